package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/routing/config"
)

func TestWhatCannotChangeWhileItRunsStaysAndIsNamed(t *testing.T) {
	parse := func(settings string) *config.Config {
		c, _, err := config.Parse("c.yaml", []byte(oneModel+"general_settings: {"+settings+"}\n"),
			config.Options{Lookup: func(string) (string, bool) { return "", false }})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for settings, want := range map[string][]string{
		"num_retries: 5, max_parallel_requests: 9": nil,
		"max_request_size_mb: 7":                   {"max_request_body_bytes"},
		"queue_timeout: 7":                         {"queue_timeout"},
		"set_verbose: true":                        {"the log's level or format"},
		"json_logs: true":                          {"the log's level or format"},
		"success_callback: [otel]":                 {"the callback otel"},
		"queue_timeout: 7, json_logs: true":        {"queue_timeout", "the log's level or format"},
	} {
		old, c := parse(""), parse(settings)
		if diff := cmp.Diff(want, keepFixed(c, old)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", settings, diff)
		}
		if c.MaxRequestBody != old.MaxRequestBody || c.Limits.QueueTimeout != old.Limits.QueueTimeout || c.Verbose || c.JSONLogs {
			t.Errorf("%s: something changes that cannot", settings)
		}
	}
}
