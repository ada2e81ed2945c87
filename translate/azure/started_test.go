package azure_test

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/translate/translatetest"
)

func TestAStreamStartsWithItsFirstContent(t *testing.T) {
	event := func(data string) string { return "data: " + data + "\n\n" }
	translatetest.Starts(t, suite, translatetest.Opening{
		ContentType: "text/event-stream",
		Silent: []string{
			event(`{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0}]}`),
			event(`{"choices":[{"content_filter_results":{},"delta":{"content":"","refusal":null,"role":"assistant"},"finish_reason":null,` +
				`"index":0,"logprobs":null}],"id":"c","obfuscation":"abc","usage":null}`),
			event(`{"choices":[{"content_filter_offsets":{"check_offset":1},"content_filter_results":{"hate":{"filtered":false}},"delta":{},` +
				`"finish_reason":null,"index":0}],"id":"c"}`),
		},
		Carriers: []string{
			event(`{"choices":[{"delta":{"content":"a"},"finish_reason":null,"index":0}],"id":"c"}`),
			event(`{"choices":[{"delta":{},"finish_reason":"content_filter","index":0}],"id":"c"}`),
		},
	})
}
