package upstream_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func TestRateLimitsGetOpenAIsNames(t *testing.T) {
	got := upstream.RateLimits(upstream.Header{
		{Name: "content-type", Value: "application/json"},
		{Name: "anthropic-ratelimit-requests-limit", Value: "50"},
		{Name: "anthropic-ratelimit-requests-remaining", Value: "49"},
		{Name: "anthropic-ratelimit-requests-reset", Value: "2026-01-01T00:00:00Z"},
		{Name: "anthropic-ratelimit-tokens-limit", Value: "1000"},
		{Name: "anthropic-ratelimit-input-tokens-limit", Value: "7"},
		{Name: "anthropic-ratelimit-tokens-remaining", Value: "900"},
		{Name: "x-ratelimit-remaining-tokens", Value: "a proxy's"},
	})
	want := upstream.Header{
		{Name: "x-ratelimit-limit-requests", Value: "50"},
		{Name: "x-ratelimit-remaining-requests", Value: "49"},
		{Name: "x-ratelimit-limit-tokens", Value: "1000"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}
