package trace

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Config is what a Tracer needs.
type Config struct {
	Asked   bool                // the model config names the callback otel
	Getenv  func(string) string // the process's environment
	Version string              // of the program
	Log     *slog.Logger
}

// Tracer makes the spans of requests. It is safe for concurrent use. A nil
// Tracer makes none.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// Open makes a Tracer, or returns nil when spans are not configured. It does not wait
// for the collector. Close must be called.
func Open(ctx context.Context, c Config) (*Tracer, error) {
	s, err := readEnvironment(c.Getenv, c.Asked)
	if err != nil || !s.on {
		return nil, err
	}
	exporter, err := newExporter(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("open the exporter of traces: %w", err)
	}
	// The environment comes last and wins: OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES.
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(attribute.String("service.name", "isthmus"), attribute.String("service.version", c.Version)),
		resource.WithFromEnv())
	if err != nil {
		c.Log.Warn("traces: OTEL_RESOURCE_ATTRIBUTES is not wholly understood", "error", err)
	}
	// The SDK has one place for its errors in a process.
	otel.SetErrorHandler(&errorLogger{log: c.Log, secrets: headerValues(c.Getenv)})
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about))
	return &Tracer{provider: provider, tracer: provider.Tracer("github.com/isthmus-proxy/isthmus",
		trace.WithInstrumentationVersion(c.Version))}, nil
}

func newExporter(ctx context.Context, s settings) (*otlptrace.Exporter, error) {
	if s.protocol == GRPC {
		var options []otlptracegrpc.Option
		if s.endpoint != "" {
			options = append(options, otlptracegrpc.WithEndpointURL(s.endpoint), otlptracegrpc.WithHeaders(s.headers))
		}
		return otlptracegrpc.New(ctx, options...)
	}
	var options []otlptracehttp.Option
	if s.endpoint != "" {
		options = append(options, otlptracehttp.WithEndpointURL(s.endpoint), otlptracehttp.WithHeaders(s.headers))
	}
	return otlptracehttp.New(ctx, options...)
}

// Close sends the spans that wait, as long as ctx allows.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// errorLogPause is how long the log is spared after a line about the collector.
const errorLogPause = time.Minute

// maxErrorText bounds the text of an error in the log, in bytes: a collector may answer at length.
const maxErrorText = 300

// errorLogger logs the SDK's errors, at most one an interval.
type errorLogger struct {
	log     *slog.Logger
	secrets []string // never said, though a collector may repeat them
	last    atomic.Pointer[time.Time]
}

// Handle logs an error of the SDK, without secrets. Safe for concurrent use.
func (c *errorLogger) Handle(err error) {
	now, last := time.Now(), c.last.Load()
	if last != nil && now.Sub(*last) < errorLogPause || !c.last.CompareAndSwap(last, &now) {
		return
	}
	text := err.Error()
	for _, s := range c.secrets {
		text = strings.ReplaceAll(text, s, "…")
	}
	c.log.Warn("traces: spans are lost", "error", upstream.Clip(text, maxErrorText))
}
