package gemini_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/translatetest"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

const blocking = `{"messages":[]}`

func TestBlockingAnswer(t *testing.T) {
	tests := map[string]struct{ answer, choices, usage string }{
		"text, thoughts and a signature": {
			`{"candidates":[{"content":{"parts":[{"text":"hm","thought":true,"thoughtSignature":"no"},{"text":"a"},{"text":"b",
			"thoughtSignature":"U0M="}]},"finishReason":"STOP"}],
			  "usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":2,"thoughtsTokenCount":3,"totalTokenCount":10}}`,
			`{"index":0,"message":{"role":"assistant","content":"ab","reasoning_content":"hm",` +
				`"provider_specific_fields":{"thought_signature":"U0M="}},"finish_reason":"stop"}`,
			`{"prompt_tokens":5,"completion_tokens":5,"total_tokens":10,"completion_tokens_details":{"reasoning_tokens":3}}`,
		},
		"calls with and without id, arguments and signature": {
			`{"candidates":[{"content":{"parts":[{"functionCall":{"id":"x1","name":"f","args":{ "a" : 1.50 }},"thoughtSignature":"U0M="},` +
				`{"functionCall":{"name":"g"}}]},"finishReason":"STOP"}]}`,
			`{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[
				{"id":"x1","type":"function","function":{"name":"f","arguments":"{\"a\":1.50}"},
				"provider_specific_fields":{"thought_signature":"U0M="}},
				{"id":"*","type":"function","function":{"name":"g","arguments":"{}"}}]},"finish_reason":"tool_calls"}`, ``,
		},
		"several candidates, the first without an index, as Google writes zero": {
			`{"candidates":[{"index":1,"content":{"parts":[{"text":"one"}]},"finishReason":"MAX_TOKENS"},{"content":{"parts":[{"text":"zero"}]},` +
				`"finishReason":"NEW_REASON"}]}`,
			`{"index":0,"message":{"role":"assistant","content":"zero"},"finish_reason":"stop"},{"index":1,"message":{"role":"assistant",` +
				`"content":"one"},"finish_reason":"length"}`, ``,
		},
		"candidates in order where none has an index": {
			`{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"},{"content":{"parts":[{"text":"b"}]},"finishReason":"STOP"}]}`,
			`{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"},{"index":1,"message":{"role":"assistant",` +
				`"content":"b"},"finish_reason":"stop"}`, ``,
		},
		"an array of responses, as of servers that overlook alt=sse": {
			`[{"candidates":[{"content":{"parts":[{"text":"a"}]}}]},{"candidates":[{"content":{"parts":[{"text":"b"}]},` +
				`"finishReason":"MAX_TOKENS"}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2,"totalTokenCount":3}}]`,
			`{"index":0,"message":{"role":"assistant","content":"ab"},"finish_reason":"length"}`,
			`{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}`,
		},
		"an unspecified reason is left out of Google's JSON": {
			`{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}`,
			`{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}`, ``,
		},
		"what a filter stopped is not passed on": {
			`{"candidates":[{"content":{"parts":[{"text":"partial"}]},"finishReason":"SAFETY"},{"content":{"parts":[{"text":"b"}]},` +
				`"finishReason":"OTHER"}]}`,
			`{"index":0,"message":{"role":"assistant","content":null},"finish_reason":"content_filter"},{"index":1,"message":{"role":"assistant",` +
				`"content":"b"},"finish_reason":"content_filter"}`, ``,
		},
		"images and speech": {
			`{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"AA"}},{"inlineData":{"mimeType":"image/png",` +
				`"data":"BB"}},{"inlineData":{"mimeType":"audio/L16","data":"CC"}}]},"finishReason":"STOP"}]}`,
			`{"index":0,"message":{"role":"assistant","content":null,"images":[{"type":"image_url","index":0,
			"image_url":{"url":"data:image/png;base64,AA"}},
				{"type":"image_url","index":1,"image_url":{"url":"data:image/png;base64,BB"}}],"audio":{"id":"audio_0","data":"CC","expires_at":0,
				"transcript":""}},"finish_reason":"stop"}`, ``,
		},
		"the prompt's tool tokens count": {
			`{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":5,"toolUsePromptTokenCount":4,"candidatesTokenCount":2,` +
				`"totalTokenCount":11}}`,
			`{"index":0,"message":{"role":"assistant","content":null},"finish_reason":"stop"}`,
			`{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}`,
		},
		"but not those of a search": {
			`{"candidates":[{"finishReason":"STOP","groundingMetadata":{}}],"usageMetadata":{"promptTokenCount":5,"toolUsePromptTokenCount":4,` +
				`"candidatesTokenCount":2,"totalTokenCount":11}}`,
			`{"index":0,"message":{"role":"assistant","content":null},"finish_reason":"stop"}`,
			`{"prompt_tokens":5,"completion_tokens":2,"total_tokens":11}`,
		},
		"candidates that count the thoughts": {
			`{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":6,"thoughtsTokenCount":4,` +
				`"totalTokenCount":11}}`,
			`{"index":0,"message":{"role":"assistant","content":null},"finish_reason":"stop"}`,
			`{"prompt_tokens":5,"completion_tokens":6,"total_tokens":11,"completion_tokens_details":{"reasoning_tokens":4}}`,
		},
		"nothing but thoughts": {
			`{"candidates":[{"finishReason":"MAX_TOKENS"}],"usageMetadata":{"promptTokenCount":5,"thoughtsTokenCount":4}}`,
			`{"index":0,"message":{"role":"assistant","content":null},"finish_reason":"length"}`,
			`{"prompt_tokens":5,"completion_tokens":4,"total_tokens":9,"completion_tokens_details":{"reasoning_tokens":4}}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := `{"id":"*","object":"chat.completion","created":0,"model":"gemini-2.5-flash","choices":[` + test.choices + `]`
			if test.usage != "" {
				want += `,"usage":` + test.usage
			}
			got, result := answer(t, blocking, test.answer)
			if result.Failure != nil {
				t.Fatal(result.Failure)
			}
			if diff := cmp.Diff(strip(want+"}"), got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

// strip removes the line breaks that only lay a table out.
func strip(text string) string { return strings.NewReplacer("\n", "", "\t", "").Replace(text) }

func TestFinishReasons(t *testing.T) {
	want := map[string]string{
		"STOP":                      "stop",
		"FINISH_REASON_UNSPECIFIED": "stop",
		"MALFORMED_FUNCTION_CALL":   "stop",
		"UNEXPECTED_TOOL_CALL":      "stop",
		"TOO_MANY_TOOL_CALLS":       "stop",
		"MISSING_THOUGHT_SIGNATURE": "stop",
		"MALFORMED_RESPONSE":        "stop",
		"MAX_TOKENS":                "length",
		"SAFETY":                    "content_filter",
		"RECITATION":                "content_filter",
		"BLOCKLIST":                 "content_filter",
		"PROHIBITED_CONTENT":        "content_filter",
		"SPII":                      "content_filter",
		"LANGUAGE":                  "content_filter",
		"OTHER":                     "content_filter",
		"IMAGE_SAFETY":              "content_filter",
		"NO_IMAGE":                  "content_filter",
	}
	got := map[string]string{}
	for reason := range want {
		_, result := answer(t, blocking, `{"candidates":[{"finishReason":"`+reason+`"}]}`)
		got[reason] = result.FinishReason
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("finish reasons (-want +got):\n%s", diff)
	}
}

const streaming = `{"messages":[],"stream":true,"stream_options":{"include_usage":true}}`

func TestStreamedAnswer(t *testing.T) {
	const head = `data: {"id":"r1","object":"chat.completion.chunk","created":0,"model":"g","choices":[`
	first := `data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}],"modelVersion":"g","responseId":"r1",` +
		`"usageMetadata":{"promptTokenCount":1,"totalTokenCount":2}}` + "\r\n\r\n"
	opened := head + `{"index":0,"delta":{"role":"assistant","content":"a"},"finish_reason":null}]}` + "\n\n"
	tests := map[string]struct{ events, want string }{
		"usage comes once, at the end, with the last counts": {
			`data: {"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":1,"totalTokenCount":2}}` +
				"\r\n\r\n",
			head + `{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n" + head +
				`],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}` + "\n\ndata: [DONE]\n\n",
		},
		"an image, a call and a signature that ends the stream without a blank line": {
			`data: {"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"AA"}},` +
				`{"functionCall":{"id":"c","name":"f"}},{"text":"","thoughtSignature":"U0M="}]},"finishReason":"STOP"}]}`,
			head + `{"index":0,"delta":{"images":[{"type":"image_url","index":0,"image_url":{"url":"data:image/png;base64,AA"}}]},` +
				`"finish_reason":null}]}` + "\n\n" +
				head + `{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},` +
				`"finish_reason":null}]}` + "\n\n" +
				head + `{"index":0,"delta":{"provider_specific_fields":{"thought_signature":"U0M="}},"finish_reason":null}]}` + "\n\n" +
				head + `{"index":0,"delta":{},"finish_reason":"tool_calls"}]}` + "\n\n" + head +
				`],"usage":{"prompt_tokens":1,"completion_tokens":0,"total_tokens":2}}` + "\n\ndata: [DONE]\n\n",
		},
		"a blocked prompt": {
			`data: {"promptFeedback":{"blockReason":"OTHER"}}` + "\n\n",
			head + `{"index":0,"delta":{},"finish_reason":"content_filter"}]}` + "\n\n" + head +
				`],"usage":{"prompt_tokens":1,"completion_tokens":0,"total_tokens":2}}` + "\n\ndata: [DONE]\n\n",
		},
		"an error event fails with its status": {
			`data: {"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}` + "\n\n" + first,
			`data: {"error":{"message":"slow down","type":"rate_limit_error","param":null,"code":"RESOURCE_EXHAUSTED"}}` + "\n\n",
		},
		"a stream cut before its finish reason is no whole answer": {
			`: comment` + "\n\n",
			`data: {"error":{"message":"the provider's answer ended before it was complete","type":"server_error","param":null,` +
				`"code":"incomplete_answer"}}` + "\n\n",
		},
		"an event that is no JSON": {
			"data: {oops\n\n",
			`data: {"error":{"message":"the provider's answer could not be read","type":"server_error","param":null,"code":"invalid_answer"}}` +
				"\n\n",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, _ := answer(t, streaming, first+test.events)
			if diff := cmp.Diff(opened+test.want, got); diff != "" {
				t.Errorf("stream (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAStreamRequestAnsweredWithOneJSONBody(t *testing.T) {
	req := translatetest.Request(t, chat.Completions, streaming)
	head := upstream.Head{Status: 200, Header: upstream.Header{{Name: "content-type", Value: "application/json; charset=UTF-8"}}}
	d := suite.Bind(t, upstream.Target{}).Decoder(req, head)
	out := string(d.Feed([]byte(`{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]}`), true))
	if !strings.HasPrefix(out, "data: {") || !strings.HasSuffix(out, "data: [DONE]\n\n") || d.Result().Failure != nil {
		t.Errorf("got %s", out)
	}
}

func TestAnswersThatFail(t *testing.T) {
	tests := map[string]struct {
		answer string
		want   upstream.Error
	}{
		"HTML": {
			"<html>", upstream.Error{Status: 502, Type: "server_error", Code: "invalid_answer", Message: "the provider's answer could not be read"},
		},
		"nothing": {
			"", upstream.Error{Status: 502, Type: "server_error", Code: "invalid_answer", Message: "the provider's answer could not be read"},
		},
		"no candidate": {
			"{}",
			upstream.Error{
				Status:  502,
				Type:    "server_error",
				Code:    "incomplete_answer",
				Message: "the provider's answer ended before it was complete",
			},
		},
		"an error with 200": {
			`{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}`,
			upstream.Error{Status: 503, Kind: upstream.KindUnavailable, Type: "server_error", Code: "UNAVAILABLE", Message: "overloaded"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out, result := answer(t, blocking, test.answer)
			if out != "" || result.Failure == nil {
				t.Fatalf("got %q and failure %v", out, result.Failure)
			}
			if diff := cmp.Diff(test.want, *result.Failure); diff != "" {
				t.Errorf("failure (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEmbeddingAnswer(t *testing.T) {
	tests := map[string]struct{ request, answer, want string }{
		"floats": {`{"input":"a"}`, `{"embeddings":[{"values":[0.5,-1]},{"values":[]}]}`,
			`{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-1]},{"object":"embedding","index":1,"embedding":[]}],` +
				`"model":"gemini-2.5-flash","usage":{"prompt_tokens":0,"total_tokens":0}}`},
		"base64, little-endian float32, and usage where it is told": {
			`{"input":"a","encoding_format":"base64"}`, `{"embeddings":[{"values":[1]}],"usageMetadata":{"promptTokenCount":3}}`,
			`{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AACAPw=="}],` +
				`"model":"gemini-2.5-flash","usage":{"prompt_tokens":3,"total_tokens":3}}`,
		},
		"something else": {`{"input":"a"}`, `{"predictions":[]}`, ``},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := suite.Bind(t, upstream.Target{}).Decoder(translatetest.Request(t, chat.Embeddings, test.request), upstream.Head{Status: 200})
			out := string(d.Feed([]byte(test.answer[:7]), false)) + string(d.Feed([]byte(test.answer[7:]), true)) +
				string(d.Feed([]byte("more"), true))
			if diff := cmp.Diff(test.want, out); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if failed := d.Result().Failure != nil; failed != (test.want == "") {
				t.Errorf("failure: %v", d.Result().Failure)
			}
		})
	}
}

func TestFailure(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
		want   upstream.Error
	}{
		"a bad key is 401 for OpenAI's clients": {
			400, `{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}`,
			upstream.Error{
				Status: 401, Kind: upstream.KindAccount,
				Type: "authentication_error", Code: "invalid_api_key", Message: "API key not valid.",
			},
		},
		"the delay of a quota becomes a header": {
			429,
			`[{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED",` +
				`"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"26.5s"}]}}]`,
			upstream.Error{
				Status:     429,
				Kind:       upstream.KindRateLimit,
				Type:       "rate_limit_error",
				Code:       "RESOURCE_EXHAUSTED",
				Message:    "quota",
				RetryAfter: 26500 * time.Millisecond,
				Header:     upstream.Header{{Name: "retry-after", Value: "27"}},
			},
		},
		"a prompt that is too long": {
			400,
			`{"error":{"code":400,"message":"The input token count (9) exceeds the maximum number of tokens allowed (8).",` +
				`"status":"INVALID_ARGUMENT"}}`,
			upstream.Error{
				Status:  400,
				Kind:    upstream.KindContextWindow,
				Type:    "invalid_request_error",
				Code:    upstream.CodeContextLength,
				Message: "The input token count (9) exceeds the maximum number of tokens allowed (8).",
			},
		},
		"a proxy's page": {
			503, `<html>`, upstream.Error{
				Status: 503, Kind: upstream.KindUnavailable,
				Type: "server_error", Message: "the provider answered 503 Service Unavailable",
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := suite.Bind(t, upstream.Target{}).Failure(upstream.Head{Status: test.status}, []byte(test.body))
			if diff := cmp.Diff(test.want, *got); diff != "" {
				t.Errorf("failure (-want +got):\n%s", diff)
			}
		})
	}
}
