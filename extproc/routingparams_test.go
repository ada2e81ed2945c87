package extproc

import (
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// A time below a clock's tick became 0, which is none at all.
func TestATimeOfTheClientIsAtLeastAMillisecond(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0.001": time.Millisecond, "1e-3": time.Millisecond, "2": 2 * time.Second, "86400": 24 * time.Hour,
		"1e-300": 0, "1e-9": 0, "0.0009": 0, "0": 0, "-1": 0, "86401": 0, "1e300": 0, "NaN": 0, "Inf": 0,
	} {
		var body routing.Call
		inBody := readSteering(&body, "timeout", jsontext.Value(text))
		var header time.Duration
		inHeader := readTimeout(&header, upstream.Header{{Name: "x-litellm-timeout", Value: text}}, "x-litellm-timeout")
		if body.Timeout != want || header != want || (inBody == nil) != (want > 0) || (inHeader == nil) != (want > 0) {
			t.Errorf("%s: %s, %v in the body, %s, %v in the header; want %s", text, body.Timeout, inBody, header, inHeader, want)
		}
	}
}
