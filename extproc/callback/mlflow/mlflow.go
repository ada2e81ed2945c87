package mlflow

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/extproc/callback/otlp"
	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Config says where MLflow is.
type Config struct {
	TrackingURI    string      // http(s)://[user:password@]host
	ExperimentName string      // default "Default", as MLflow's own
	Username       string      // MLFLOW_TRACKING_USERNAME; also taken from the URI
	Password       secret.Text // MLFLOW_TRACKING_PASSWORD
	Token          secret.Text // MLFLOW_TRACKING_TOKEN, instead of user and password
	Version        string      // of this program
}

// Sink sends records to MLflow. It is a [callback.Callback].
type Sink struct {
	config     Config
	poster     *callback.Poster
	headers    []upstream.ExtraHeader
	now        func() time.Time
	experiment string    // id; "" until it is known
	asked      time.Time // when
}

// New makes a sink.
func New(c Config, p *callback.Poster, now func() time.Time) *Sink {
	c.TrackingURI = strings.TrimRight(c.TrackingURI, "/")
	if u, err := url.Parse(c.TrackingURI); err == nil && u.User != nil {
		password, _ := u.User.Password()
		c.Username, c.Password = u.User.Username(), secret.New(password)
		u.User = nil
		c.TrackingURI = u.String()
	}
	if c.ExperimentName == "" {
		c.ExperimentName = "Default"
	}
	s := &Sink{config: c, poster: p, now: now}
	switch {
	case !c.Token.IsZero():
		s.authorize("Bearer " + c.Token.Reveal())
	case c.Username != "":
		s.authorize("Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password.Reveal())))
	}
	return s
}

func (s *Sink) authorize(value string) {
	s.headers = append(s.headers, upstream.ExtraHeader{Name: "Authorization", Value: secret.New(value)})
}

// Deliver sends a batch as traces.
func (s *Sink) Deliver(ctx context.Context, batch []*callback.Record) error {
	err := s.send(ctx, batch)
	switch {
	case isStatus(err, 404), isStatus(err, 405), isStatus(err, 501):
		return fmt.Errorf("traces need MLflow 3.6 or newer with an SQL store: %w", err)
	case err != nil:
		return fmt.Errorf("send traces: %w", err)
	}
	return nil
}

func (s *Sink) send(ctx context.Context, batch []*callback.Record) error {
	id, err := s.experimentID(ctx)
	if err != nil {
		return err
	}
	spans := make([]*tracepb.Span, len(batch))
	for i, r := range batch {
		spans[i] = span(r)
	}
	var resource otlp.Attributes
	resource.Text("service.name", "isthmus")
	resource.Text("service.version", s.config.Version)
	headers := append([]upstream.ExtraHeader{{Name: "X-Mlflow-Experiment-Id", Value: secret.New(id)}}, s.headers...)
	return otlp.Export(ctx, s.poster, callback.Post{URL: s.config.TrackingURI + "/v1/traces", Header: headers},
		otlp.Traces(resource, otlp.Scope{Name: "isthmus", Version: s.config.Version}, spans))
}
