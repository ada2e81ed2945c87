package langfuse

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Config says where Langfuse is.
type Config struct {
	PublicKey string
	SecretKey secret.Text
	Host      string // default https://cloud.langfuse.com
	Version   string // of this program, shown as the SDK's
}

// Sink sends records to Langfuse. It is a [callback.Callback].
type Sink struct {
	host      string
	publicKey string
	version   string
	headers   []upstream.ExtraHeader
	poster    *callback.Poster
	ingestion atomic.Bool // the host has no OTLP endpoint
}

// sdkName is how this client calls itself. Hosts read all langfuse.*
// attributes only of scopes whose name begins like this.
const sdkName = "langfuse-sdk.isthmus"

// New makes a sink.
func New(c Config, p *callback.Poster) *Sink {
	if c.Host == "" {
		c.Host = "https://cloud.langfuse.com"
	}
	if c.Version == "" {
		c.Version = "0"
	}
	basic := base64.StdEncoding.EncodeToString([]byte(c.PublicKey + ":" + c.SecretKey.Reveal()))
	header := func(name, value string) upstream.ExtraHeader {
		return upstream.ExtraHeader{Name: name, Value: secret.New(value)}
	}
	return &Sink{
		host: strings.TrimRight(c.Host, "/"), publicKey: c.PublicKey, version: c.Version, poster: p,
		headers: []upstream.ExtraHeader{
			header("Authorization", "Basic "+basic),
			header("X-Langfuse-Public-Key", c.PublicKey),
			header("X-Langfuse-Sdk-Name", sdkName),
			header("X-Langfuse-Sdk-Version", c.Version),
			header("X-Langfuse-Ingestion-Version", "4"),
		},
	}
}

// Deliver sends a batch, in the way that the host knows.
func (s *Sink) Deliver(ctx context.Context, batch []*callback.Record) error {
	entries := make([]*entry, len(batch))
	for i, r := range batch {
		entries[i] = newEntry(r)
	}
	if !s.ingestion.Load() {
		err := s.export(ctx, entries)
		var status *callback.StatusError
		if !errors.As(err, &status) || status.Status != http.StatusNotFound && status.Status != http.StatusMethodNotAllowed {
			return err
		}
	}
	err := s.ingest(ctx, entries)
	if err == nil {
		s.ingestion.Store(true)
	}
	return err
}

func (s *Sink) url(path string) string { return s.host + "/api/public/" + path }
