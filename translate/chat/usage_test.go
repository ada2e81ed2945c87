package chat

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUsageIsWhatTheProviderSaysAndCanBe(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want Usage
		ok   bool
	}{
		"chat's words": {
			`{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}`, Usage{Prompt: 3, Completion: 2, Total: 5}, true,
		},
		"the Responses API's": {
			`{"input_tokens":3,"output_tokens":2,"input_tokens_details":{"cached_tokens":1},"output_tokens_details":{"reasoning_tokens":2}}`,
			Usage{Prompt: 3, Completion: 2, Total: 5, Cached: 1, Reasoning: 2}, true,
		},
		"reasoning that is apart": {
			`{"prompt_tokens":3,"completion_tokens":2,"total_tokens":9,"completion_tokens_details":{"reasoning_tokens":4}}`,
			Usage{Prompt: 3, Completion: 6, Total: 9, Reasoning: 4}, true,
		},
		"a count that is unknown": {`{"prompt_tokens":-1,"completion_tokens":2,"total_tokens":-1}`, Usage{Completion: 2, Total: 2}, true},
		"counts without end": {
			`{"prompt_tokens":9223372036854775807,"completion_tokens":9223372036854775807}`,
			Usage{Prompt: mostTokens, Completion: mostTokens, Total: 2 * mostTokens}, true,
		},
		"no counts": {`{"cost":1}`, Usage{}, false},
		"no object": {`null`, Usage{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := ParseUsage([]byte(tc.text))
			if diff := cmp.Diff(tc.want, got); diff != "" || ok != tc.ok {
				t.Errorf("ok %v (-want +got)\n%s", ok, diff)
			}
		})
	}
}
