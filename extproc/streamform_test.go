package extproc

import (
	"strings"
	"testing"

	modev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

// TestADocumentInThePlaceOfAStreamIsToldAsOne, when it is a whole answer; whatever
// else it is stays what it is for a blocking client.
func TestADocumentInThePlaceOfAStreamIsToldAsOne(t *testing.T) {
	const (
		answer = `{"id":"x","object":"chat.completion","created":1,"model":"up","choices":[{"index":0,"message":{"role":"assistant",` +
			`"content":"ho"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`
		events = `data: {"object":"chat.completion.chunk","id":"x","created":1,"model":"up","choices":[{"index":0,"delta":{"role":"assistant",` +
			`"content":""},"logprobs":null,"finish_reason":null}]}` + "\n\n" +
			`data: {"object":"chat.completion.chunk","id":"x","created":1,"model":"up","choices":[{"index":0,"delta":{"content":"ho"},` +
			`"logprobs":null,"finish_reason":null}]}` + "\n\n" +
			`data: {"object":"chat.completion.chunk","id":"x","created":1,"model":"up","choices":[{"index":0,"delta":{},` +
			`"logprobs":null,"finish_reason":"stop"}]}` + "\n\n"
		usage = `data: {"object":"chat.completion.chunk","id":"x","created":1,"model":"up","choices":[],` +
			`"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}` + "\n\n"
		done = "data: [DONE]\n\n"
	)
	stream := strings.Replace(question, "{", `{"stream":true,`, 1)
	for name, tc := range map[string]struct{ request, body, want, kind, status string }{
		"a whole answer": {stream, answer, events + done, "text/event-stream; charset=utf-8", ""},
		"one whose usage is asked for": {
			strings.Replace(stream, "{", `{"stream_options":{"include_usage":true},`, 1), answer, events + usage + done,
			"text/event-stream; charset=utf-8", "",
		},
		"a stream under the wrong name": {stream, events + usage + done, events + done, "text/event-stream; charset=utf-8", ""},
		"an error": {
			stream, `{"error":{"message":"no"}}`, `{"error":{"message":"no","type":"server_error","param":null,"code":null}}`, "application/json",
			"502",
		},
		"a stream that breaks off":           {stream, events[:len(events)/2], `"code":"incomplete_answer"`, "application/json", "502"},
		"an answer that breaks off":          {stream, answer[:40], `"code":"incomplete_answer"`, "application/json", "502"},
		"an answer without its end":          {stream, strings.Replace(answer, `"finish_reason":"stop"`, `"finish_reason":null`, 1), "", "", ""},
		"what is no answer":                  {stream, `{"choices":[]}`, `"code":"invalid_answer"`, "application/json", "502"},
		"a document where one was asked for": {question, answer, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, twoSisters)
			f := h.open(names.FilterRequest)
			h.begin(f, tc.request)
			head := f.ask(responseHead(1, false, ":status", "200", "content-type", "application/json; charset=utf-8"))
			if mode := head.GetModeOverride().GetResponseBodyMode(); (mode == modev3.ProcessingMode_BUFFERED) != (tc.request != question) {
				t.Fatalf("body mode = %s", mode)
			}
			got := f.ask(responsePiece(tc.body, true)).GetResponseBody().GetResponse()
			set, _ := changes(got.GetHeaderMutation())
			if body := string(got.GetBodyMutation().GetBody()); !strings.Contains(body, tc.want) || tc.status == "" && body != tc.want {
				t.Errorf("body %s\nwant %s", body, tc.want)
			}
			if set["content-type"] != tc.kind || set[":status"] != tc.status {
				t.Errorf("headers %v", set)
			}
			if err := f.close(); err != nil {
				t.Error(err)
			}
			if counted := strings.Contains(h.log.String(), "prompt_tokens=3"); counted != (tc.status == "" && strings.Contains(tc.body, `"usage"`)) {
				t.Errorf("log = %s", h.log.String())
			}
		})
	}
}
