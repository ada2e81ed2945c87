package webhook

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// The formats of a body.
const (
	JSONArray = "json_array" // one array of records
	NDJSON    = "ndjson"     // one record a line
	Single    = "single"     // one request for each record
)

// Config says where records are posted and how.
type Config struct {
	URL        string
	Headers    []upstream.ExtraHeader
	Secret     secret.Text // zero: bodies are not signed
	Format     string      // default json_array
	EventTypes []string    // llm_api_success, llm_api_failure (or success, failure); empty: both
}

// Sink posts records. It is a [callback.Callback].
type Sink struct {
	config Config
	poster *callback.Poster
	now    func() time.Time
}

// New makes a sink. now is the clock of the signatures.
func New(c Config, p *callback.Poster, now func() time.Time) *Sink {
	if c.Format == "" {
		c.Format = JSONArray
	}
	return &Sink{config: c, poster: p, now: now}
}

// Deliver posts a batch. In the format "single" a batch must be of one record,
// or a failure would repeat those that arrived: give its queue batches of one.
func (s *Sink) Deliver(ctx context.Context, batch []*callback.Record) error {
	batch = slices.DeleteFunc(slices.Clone(batch), func(r *callback.Record) bool { return !s.wants(r.Status) })
	switch {
	case len(batch) == 0:
		return nil
	case s.config.Format == NDJSON:
		return s.lines(ctx, batch)
	case s.config.Format == Single:
		for _, r := range batch {
			if err := s.post(ctx, r); err != nil {
				return err
			}
		}
		return nil
	}
	return s.post(ctx, batch)
}

func (s *Sink) wants(status callback.Status) bool {
	return len(s.config.EventTypes) == 0 ||
		slices.Contains(s.config.EventTypes, string(status)) || slices.Contains(s.config.EventTypes, "llm_api_"+string(status))
}

func (s *Sink) post(ctx context.Context, v any) error {
	body, err := callback.Encode(v)
	if err != nil {
		return err
	}
	return s.send(ctx, "application/json", body)
}

func (s *Sink) lines(ctx context.Context, batch []*callback.Record) error {
	var body bytes.Buffer
	for _, r := range batch {
		line, err := callback.Encode(r)
		if err != nil {
			return err
		}
		body.Write(line)
		body.WriteByte('\n')
	}
	return s.send(ctx, "application/x-ndjson", body.Bytes())
}

func (s *Sink) send(ctx context.Context, contentType string, body []byte) error {
	headers := slices.Clone(s.config.Headers)
	if !s.config.Secret.IsZero() {
		headers = append(headers, upstream.ExtraHeader{Name: SignatureHeader, Value: secret.New(Sign(s.config.Secret, s.now(), body))})
	}
	_, err := s.poster.Do(ctx, callback.Post{URL: s.config.URL, ContentType: contentType, Header: headers, Body: body})
	return err
}
