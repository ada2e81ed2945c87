package chat_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func completion(t *testing.T, body string) *chat.Completion {
	t.Helper()
	req, err := chat.Parse(chat.Completions, []byte(body), "")
	if err != nil {
		t.Fatal(err)
	}
	c, err := req.Completion(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDropRemovesDecodedAndRawParameters(t *testing.T) {
	c := completion(t, `{"model":"m","messages":[],"max_completion_tokens":5,"n":2,"stop":"x","user":"u","seed":1,"top_k":3,
		"reasoning_effort":"low","parallel_tool_calls":true,"tool_choice":"auto","response_format":{"type":"json_object"},
		"tools":[{"type":"function","function":{"name":"f"}}]}`)
	c.Drop([]string{
		"max_tokens", "n", "stop", "user", "seed", "reasoning_effort", "parallel_tool_calls", "tool_choice", "response_format", "tools",
	})
	want := &chat.Completion{Messages: []chat.Message{}, Params: []upstream.Param{{Name: "top_k", Value: []byte("3")}}}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("completion after Drop (-want +got):\n%s", diff)
	}
}

func TestAToolWithoutTypeIsTheProvidersOwn(t *testing.T) {
	c := completion(t, `{"model":"m","messages":[],"tools":[{"googleSearch":{}},{"function":{"name":"f"}}]}`)
	want := []chat.Tool{
		{Raw: []byte(`{"googleSearch":{}}`)},
		{Type: "function", Name: "f", Raw: []byte(`{"function":{"name":"f"}}`)},
	}
	if diff := cmp.Diff(want, c.Tools); diff != "" {
		t.Errorf("tools (-want +got):\n%s", diff)
	}
}
