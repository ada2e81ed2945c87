package translate_test

import (
	"maps"
	"testing"

	"github.com/isthmus-proxy/isthmus/translate"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// requests are one of each endpoint whose answers are read.
var requests = map[chat.Endpoint]string{
	chat.Completions:     `{"model":"m","messages":[]}`,
	chat.TextCompletions: `{"model":"m","prompt":"a"}`,
	chat.Embeddings:      `{"model":"m","input":"a"}`,
	chat.Responses:       `{"model":"m","input":"a"}`,
	chat.Moderations:     `{"model":"m","input":"a"}`,
	chat.Rerank:          `{"model":"m","query":"a","documents":["b"]}`,
}

// decode is what becomes of a whole answer with status 200.
func decode(t *testing.T, provider string, endpoint chat.Endpoint, kind, members, body string) (d chat.Decoder, out string, ok bool) {
	t.Helper()
	b, err := translate.Bind(&upstream.Target{Provider: provider, Model: "m", BaseURL: "http://localhost/v1"})
	if err != nil {
		t.Fatal(err)
	}
	if !b.Supports(endpoint) {
		return nil, "", false
	}
	req, err := chat.Parse(endpoint, []byte(requests[endpoint][:len(requests[endpoint])-1]+members+"}"), "")
	if err != nil {
		t.Fatal(err)
	}
	d = b.Decoder(req, upstream.Head{Status: 200, Header: upstream.Header{{Name: "content-type", Value: kind}}})
	return d, string(d.Feed([]byte(body), true)), true
}

// providers have all ways in which answers are read.
var providers = []string{"openai", "azure", "mistral", "openrouter", "hosted_vllm", "anthropic", "gemini", "ollama"}

func TestADocumentThatSaysNothingIsNoAnswer(t *testing.T) {
	nothing := map[string]string{
		"an empty object": "{}", "an object with space in it": " { } ", "an empty list": "[]", "null": "null", "a number": "7",
		"a text": `"hello"`, "noise": "\x00\x1f\xfe{\"choices\":[{}]}", "words": "upstream connect error", "space": " \n", "nothing": "",
		"an object that breaks off": `{"id":"c","choices":[{"mess`,
	}
	hollow := map[string]string{
		"no choices": `{"choices":[]}`, "no tokens": `{"id":"c","choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}`,
		"null":             `{"choices":null,"data":null,"embeddings":null,"candidates":null,"content":null,"output":null}`,
		"an empty message": `{"type":"message","content":[],"message":{}}`, "a name and nothing else": `{"id":"c","model":"m"}`,
		"no vectors": `{"object":"list","data":[],"embeddings":[]}`,
	}
	for endpoint := range requests {
		bodies := maps.Clone(nothing)
		if endpoint != chat.Moderations && endpoint != chat.Rerank { // of which it is not known what they answer with
			maps.Copy(bodies, hollow)
		}
		modes := []string{""}
		switch endpoint {
		case chat.Completions, chat.TextCompletions, chat.Responses:
			modes = append(modes, `,"stream":true`)
		}
		for name, body := range bodies {
			for _, provider := range providers {
				for _, members := range modes {
					d, out, ok := decode(t, provider, endpoint, "application/json", members, body)
					if !ok {
						continue
					}
					if e := d.Result().Failure; e == nil || d.Started() || d.Complete() || upstream.KindOf(e) != upstream.KindUnavailable {
						t.Errorf("%s, %s%s: %s is an answer: started %t, complete %t, failure %v: %s", provider, endpoint, members, name, d.Started(),
							d.Complete(), e, out)
					}
				}
			}
		}
	}
}

func TestAStreamThatSaysNothingIsNoAnswer(t *testing.T) {
	const done = "data: [DONE]\n\n"
	for name, body := range map[string]string{
		"nothing but its end": done, "comments": ": hello\n\n" + done, "an empty event": "data: {}\n\n" + done,
		"no choices":                 "data: {\"id\":\"c\",\"choices\":[]}\n\n" + done,
		"a role":                     "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n" + done,
		"Azure's word of the prompt": "data: {\"id\":\"\",\"choices\":[],\"prompt_filter_results\":[{}]}\n\n" + done,
		"no tokens":                  "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0}}\n\n" + done,
	} {
		for _, provider := range []string{"openai", "azure", "mistral", "anthropic", "gemini"} {
			for _, endpoint := range []chat.Endpoint{chat.Completions, chat.TextCompletions} {
				d, out, ok := decode(t, provider, endpoint, "text/event-stream", `,"stream":true`, body)
				if ok && (d.Result().Failure == nil || d.Started() || d.Complete() || len(out) >= len(done) && out[len(out)-len(done):] == done) {
					t.Errorf("%s, %s: %s is an answer: %s, %v", provider, endpoint, name, out, d.Result().Failure)
				}
			}
		}
	}
}

// What looks empty, and is an answer.
func TestAnAnswerMayBeEmpty(t *testing.T) {
	const done = "data: [DONE]\n\n"
	for name, tc := range map[string]struct {
		provider string
		endpoint chat.Endpoint
		stream   bool
		body     string
	}{
		"a tool call": {"openai", chat.Completions, false, `{"choices":[{"message":{"content":null,"tool_calls":[{"id":"t","type":"function",` +
			`"function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`},
		"a refusal":         {"openai", chat.Completions, false, `{"choices":[{"message":{"content":null,"refusal":"no"}}]}`},
		"no text, too long": {"openai", chat.Completions, false, `{"choices":[{"message":{"content":""},"finish_reason":"length"}]}`},
		"a filtered answer": {"azure", chat.Completions, false, `{"choices":[{"message":{},"finish_reason":"content_filter"}]}`},
		"no choice, and tokens": {"openai", chat.Completions, false, `{"object":"chat.completion","choices":[],"usage":{"prompt_tokens":9,` +
			`"completion_tokens":0,"total_tokens":9}}`},
		"no text, of a legacy completion":    {"openai", chat.TextCompletions, false, `{"choices":[{"text":"","finish_reason":"stop"}]}`},
		"a response that waits":              {"openai", chat.Responses, false, `{"object":"response","status":"queued","output":[]}`},
		"a response that is cut":             {"openai", chat.Responses, false, `{"status":"incomplete","output":[]}`},
		"a list of scores":                   {"hosted_vllm", chat.Rerank, false, `[{"index":0,"score":1}]`},
		"nothing flagged":                    {"openai", chat.Moderations, false, `{"results":[]}`},
		"Anthropic's end of turn":            {"anthropic", chat.Completions, false, `{"type":"message","content":[],"stop_reason":"end_turn"}`},
		"Gemini's blocked prompt":            {"gemini", chat.Completions, false, `{"promptFeedback":{"blockReason":"SAFETY"}}`},
		"Gemini's candidate without content": {"gemini", chat.Completions, false, `{"candidates":[{"finishReason":"MAX_TOKENS"}]}`},
		"Ollama's load":                      {"ollama", chat.Completions, false, `{"message":{},"done":true,"done_reason":"load"}`},
		"a finish reason and no text": {"openai", chat.Completions, true,
			"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n" + done},
		"Azure's word of the prompt first": {"azure", chat.Completions, true,
			"data: {\"id\":\"\",\"choices\":[],\"prompt_filter_results\":[{}]}\n\n" +
				"data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n" + done},
		"usage alone": {"openai", chat.Completions, true, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":0," +
			"\"total_tokens\":9}}\n\n" + done},
	} {
		kind, members := "application/json", ""
		if tc.stream {
			kind, members = "text/event-stream", `,"stream":true`
		}
		d, out, _ := decode(t, tc.provider, tc.endpoint, kind, members, tc.body)
		if e := d.Result().Failure; e != nil || !d.Started() || !d.Complete() {
			t.Errorf("%s: started %t, complete %t, failure %v: %s", name, d.Started(), d.Complete(), e, out)
		}
	}
}

// An error behind 200 is read like the same error with its own status.
func TestAnErrorBehind200HasItsOwnKind(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		kind upstream.Kind
	}{
		"OpenAI's":        {`{"error":{"message":"slow down","type":"rate_limit_error","code":"rate_limit_exceeded"}}`, upstream.KindRateLimit},
		"with an object":  {`{"object":"chat.completion","choices":[],"error":{"message":"no","code":401}}`, upstream.KindAccount},
		"OpenRouter's":    {`{"error":{"message":"Provider returned error","code":502},"user_id":"u"}`, upstream.KindUnavailable},
		"Google's":        {`{"error":{"code":429,"message":"Resource exhausted","status":"RESOURCE_EXHAUSTED"}}`, upstream.KindRateLimit},
		"a message alone": {`{"message":"Too many requests, please wait","code":429}`, upstream.KindRateLimit},
		"FastAPI's":       {`{"detail":"the worker has died","code":503}`, upstream.KindUnavailable},
		"the prompt is too long": {
			`{"error":{"message":"too long","code":"context_length_exceeded"}}`, upstream.KindContextWindow,
		},
	} {
		for _, provider := range []string{"openai", "mistral", "azure", "gemini"} {
			for _, endpoint := range []chat.Endpoint{chat.Completions, chat.TextCompletions, chat.Embeddings, chat.Responses} {
				if provider == "gemini" && name != "Google's" && name != "OpenAI's" {
					continue
				}
				d, _, ok := decode(t, provider, endpoint, "application/json", "", tc.body)
				if ok && upstream.KindOf(d.Result().Failure) != tc.kind {
					t.Errorf("%s, %s: %s is %v, want %s", provider, endpoint, name, d.Result().Failure, tc.kind)
				}
			}
		}
	}
	for _, body := range []string{`{"error":"model runner has stopped"}`, `{"error":{"message":"model runner has stopped"}}`} {
		for _, endpoint := range []chat.Endpoint{chat.Completions, chat.Embeddings} {
			if d, _, _ := decode(t, "ollama", endpoint, "application/json", "", body); upstream.KindOf(d.Result().Failure) != upstream.KindServer {
				t.Errorf("Ollama, %s: %s is %v", endpoint, body, d.Result().Failure)
			}
		}
	}
}
