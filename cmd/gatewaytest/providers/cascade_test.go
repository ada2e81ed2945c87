package providers

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// cascade is three deployments at three providers, the first two of which are
// down, with random keys and headers of their own.
type cascade struct {
	openai, anthropic, ollama *strictProvider
	secrets                   map[*strictProvider][]string // key and header of each
}

func newCascade(t *testing.T) *cascade {
	t.Helper()
	keys := []string{gatewaytest.Canary("key-openai"), gatewaytest.Canary("key-anthropic"), gatewaytest.Canary("key-ollama")}
	c := &cascade{
		openai:    newStrictProvider(t, openAIFormat{key: keys[0]}),
		anthropic: newStrictProvider(t, anthropicFormat{key: keys[1]}),
		ollama:    newStrictProvider(t, ollamaFormat{key: keys[2]}),
		secrets:   map[*strictProvider][]string{},
	}
	c.openai.down, c.anthropic.down = 500, 529
	for i, p := range c.providers() {
		c.secrets[p] = []string{keys[i], gatewaytest.Canary("header")}
	}
	return c
}

func (c *cascade) providers() []*strictProvider {
	return []*strictProvider{c.openai, c.anthropic, c.ollama}
}

// list is the model list: the three under the names given.
func (c *cascade) list(names ...string) string {
	models := []string{"openai/gpt-4o", "anthropic/claude-sonnet-4-5", "ollama/qwen3:8b"}
	out := "model_list:\n"
	for i, p := range c.providers() {
		base := p.URL
		if i == 0 {
			base = p.Base()
		}
		out += fmt.Sprintf("- model_name: %s\n  litellm_params: {model: %q, api_base: %q, order: %d, api_key: %s, headers: {X-Tenant-%d: %s}}\n",
			names[i], models[i], base, i+1, c.secrets[p][0], i, c.secrets[p][1])
	}
	return out
}

// askAgent is a request with all that must be translated afresh for each
// attempt: a conversation with calls and their results, an image, tools.
const askAgent = `{"model":"m","messages":[
	{"role":"system","content":"Be brief."},
	{"role":"user","content":[{"type":"text","text":"compare them (bare)"},
		{"type":"image_url","image_url":{"url":"data:image/png;base64,` + tinyPNG + `"}}]},
	{"role":"assistant","content":"Let me look.","tool_calls":[
		{"id":"call_a1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Paris\"}"}},
		{"id":"call_b2","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Oslo\",\"unit\":\"°C\"}"}}]},
	{"role":"tool","tool_call_id":"call_a1","content":"{\"celsius\":12}"},
	{"role":"tool","tool_call_id":"call_b2","content":"{\"celsius\":3}"}],
	"tools":[
		{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}},
		{"type":"function","function":{"name":"to_fahrenheit","parameters":{"type":"object","properties":{"celsius":{"type":"number"}}}}}]}`

func TestSDKACascadeOverThreeProvidersAnswersInOpenAIsFormat(t *testing.T) {
	for name, tc := range map[string]struct {
		names     []string
		router    string
		fallbacks string
	}{
		"three deployments of one group": {[]string{"m", "m", "m"}, "{num_retries: 2, cooldown_time: 0}", "0"},
		"a group and its fallbacks": {[]string{"m", "second", "third"},
			"{num_retries: 0, cooldown_time: 0, fallbacks: [{m: [second, third]}]}", "2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCascade(t)
			s := gatewaytest.Start(t, c.list(tc.names...)+"router_settings: "+tc.router+"\n", "--concurrency", "1")
			blocking := s.Post("/v1/chat/completions", askAgent)
			checkServed(t, blocking, tc.fallbacks)
			checkCalls(t, blocking.Body)
			stream := s.Post("/v1/chat/completions", strings.Replace(askAgent, `"model":"m"`,
				`"model":"m","stream":true,"stream_options":{"include_usage":true}`, 1))
			checkServed(t, stream, tc.fallbacks)
			for _, part := range []string{`"object":"chat.completion.chunk"`, `"arguments":"{\"celsius\":12}"`, `"finish_reason":"tool_calls"`,
				`"total_tokens":30`, "data: [DONE]\n\n"} {
				if !strings.Contains(stream.Body, part) {
					t.Errorf("the stream lacks %s:\n%s", part, stream.Body)
				}
			}
			c.checkHeaders(t)
			if streams := s.Streams("request"); streams != 2 {
				t.Errorf("%d streams of the request filter, want one for each request", streams)
			}
			s.Idle()
		})
	}
}

// checkHeaders checks that each provider was asked twice, with its own headers
// and nothing that an earlier attempt left.
func (c *cascade) checkHeaders(t *testing.T) {
	t.Helper()
	own := [][]string{
		{"Accept", "Authorization", "X-Tenant-0"},
		{"Anthropic-Version", "X-Api-Key", "X-Tenant-1"},
		{"Authorization", "X-Tenant-2"},
	}
	for i, p := range c.providers() {
		want := append([]string{"Accept-Encoding", "Content-Length", "Content-Type", "User-Agent"}, own[i]...)
		slices.Sort(want)
		calls := p.Calls()
		if len(calls) != 2 {
			t.Errorf("%T was asked %d times, want 2", p.format, len(calls))
		}
		for _, call := range calls {
			if diff := cmp.Diff(want, slices.Sorted(maps.Keys(call.Header))); diff != "" {
				t.Errorf("headers at %T (-want +got):\n%s", p.format, diff)
			}
		}
	}
}

// checkServed checks that the third provider answered.
func checkServed(t *testing.T, a *gatewaytest.Answer, fallbacks string) {
	t.Helper()
	if a.Status != 200 || a.Err != nil {
		t.Fatalf("answer = %d (%v) %s", a.Status, a.Err, a.Body)
	}
	for name, want := range map[string]string{"X-Isthmus-Attempts": "3", "X-Isthmus-Fallbacks": fallbacks} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
}

// checkCalls checks the second act of the agent's conversation in OpenAI's format.
func checkCalls(t *testing.T, body string) {
	t.Helper()
	var got struct {
		Object  string
		Choices []struct {
			Message struct {
				ToolCalls []openAICall `json:"tool_calls"`
			}
			FinishReason string `json:"finish_reason"`
		}
		Usage struct {
			Total int `json:"total_tokens"`
		}
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || len(got.Choices) != 1 {
		t.Fatalf("%v: %s", err, body)
	}
	calls := got.Choices[0].Message.ToolCalls
	if got.Object != "chat.completion" || got.Usage.Total != totalTokens || got.Choices[0].FinishReason != "tool_calls" || len(calls) != 2 {
		t.Fatalf("answer = %s", body)
	}
	for i, want := range acts()[1].calls {
		f := calls[i].Function
		if calls[i].ID == "" || calls[i].Type != "function" || f.Name != want.name || f.Arguments != want.arguments {
			t.Errorf("call %d = %+v, want %s %s", i, calls[i], want.name, want.arguments)
		}
	}
}
