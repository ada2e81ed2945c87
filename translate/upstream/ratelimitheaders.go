package upstream

import (
	"strconv"
	"strings"
)

// RateLimits returns what an answer's header says of the provider's rate limits in
// OpenAI's names, where the provider has its own: Anthropic's
// anthropic-ratelimit-requests-limit is x-ratelimit-limit-requests.
// https://platform.claude.com/docs/en/api/rate-limits#response-headers
func RateLimits(h Header) Header {
	var out Header
	for _, f := range h {
		name, ok := strings.CutPrefix(f.Name, "anthropic-ratelimit-")
		if !ok {
			continue
		}
		if _, err := strconv.ParseUint(f.Value, 10, 64); err != nil {
			continue
		}
		kind, side, _ := strings.Cut(name, "-")
		if (kind == "requests" || kind == "tokens") && (side == "limit" || side == "remaining") {
			if renamed := "x-ratelimit-" + side + "-" + kind; h.Get(renamed) == "" {
				out.Set(renamed, f.Value)
			}
		}
	}
	return out
}
