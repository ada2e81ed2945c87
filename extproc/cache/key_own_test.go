package cache_test

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/translate/chat"
)

// TestWhatReachesNoProviderDoesNotCount, and what does counts: two requests that a
// provider can tell apart never share an answer.
func TestWhatReachesNoProviderDoesNotCount(t *testing.T) {
	keyer := cache.NewKeyer("")
	plain := keyer.Key(chatRequest(t, `{"model":"m",`+hello+`}`), cache.Scope{})
	for _, name := range []string{"litellm_x", "litellm_metadata", "api_key", "extra_headers", "user_config", "temperature", "never_heard_of",
		"drop_params", "top_k", "metadata"} {
		value := `true`
		if name == "metadata" {
			value = `{"a":1}`
		}
		key := keyer.Key(chatRequest(t, `{"model":"m",`+hello+`,"`+name+`":`+value+`}`), cache.Scope{})
		reaches := !chat.IsSteering(name) && name != "metadata" || name == "drop_params"
		if (key != plain) != reaches {
			t.Errorf("%s reaches the provider: %v; it counts: %v", name, reaches, key != plain)
		}
	}
}
