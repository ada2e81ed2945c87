package extproc

import (
	"cmp"
	"strings"
	"testing"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/routing"
)

// streamsOf are the streams of a provider: pieces that are nobody's first token, and
// what may follow.
type streamsOf struct {
	path, body          string // "": of chat
	params, contentType string
	opening             []string
	token, failure      string
}

func streams() map[string]streamsOf {
	const sse = "text/event-stream"
	const filtered = `data: {"id":"","model":"","choices":[],"prompt_filter_results":[{"prompt_index":0}]}` + "\n\n"
	const role = `data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null}}]}` + "\n\n"
	return map[string]streamsOf{
		"azure": {
			params: "model: azure/m, api_base: http://127.0.0.1:1, api_version: 2024-10-21", contentType: sse, opening: []string{filtered, role},
			token:   `data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}` + "\n\n",
			failure: `data: {"error":{"message":"no"}}` + "\n\n",
		},
		"legacy completions": {
			path: "/v1/completions", body: `{"model":"m","prompt":"hi","stream":true}`,
			params: "model: openai/m, api_base: http://127.0.0.1:1/v1", contentType: sse,
			opening: []string{": comment\n\n", `data: {"id":"c","choices":[{"index":0,"text":"","finish_reason":null}]}` + "\n\n"},
			token:   `data: {"id":"c","choices":[{"index":0,"text":"a"}]}` + "\n\n",
			failure: `data: {"error":{"message":"no"}}` + "\n\n",
		},
		"responses": {
			path: "/v1/responses", body: `{"model":"m","input":"hi","stream":true}`,
			params: "model: openai/m, api_base: http://127.0.0.1:1/v1", contentType: sse,
			opening: []string{
				`data: {"type":"response.created","response":{"id":"r"}}` + "\n\n", `data: {"type":"response.queued","response":{"id":"r"}}` + "\n\n",
				`data: {"type":"response.in_progress","response":{"id":"r"}}` + "\n\n", `data: {"type":"keepalive"}` + "\n\n",
				`data: {"type":"response.output_item.added","item":{"type":"message","content":[]}}` + "\n\n",
				`data: {"type":"response.content_part.added","part":{"type":"output_text","text":""}}` + "\n\n",
			},
			token:   `data: {"type":"response.output_text.delta","delta":"a"}` + "\n\n",
			failure: `data: {"type":"error","message":"no"}` + "\n\n",
		},
		"openai": {
			params: "model: openai/m, api_base: http://127.0.0.1:1/v1", contentType: sse,
			opening: []string{
				": comment\n\n", `data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}` + "\n\n",
			},
			token:   `data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}` + "\n\n",
			failure: `data: {"error":{"message":"no"}}` + "\n\n",
		},
		"anthropic": {
			params: "model: anthropic/m, api_base: http://127.0.0.1:1", contentType: sse,
			opening: []string{
				`data: {"type":"message_start","message":{"usage":{"input_tokens":1,"output_tokens":1}}}` + "\n\n", `data: {"type":"ping"}` + "\n\n",
				`data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}` + "\n\n",
			},
			token:   `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}` + "\n\n",
			failure: `data: {"type":"error","error":{"type":"overloaded_error","message":"no"}}` + "\n\n",
		},
		"gemini": {
			params: "model: gemini/m, api_base: http://127.0.0.1:1", contentType: sse,
			opening: []string{
				`data: {"usageMetadata":{"promptTokenCount":1}}` + "\n\n", `data: {"candidates":[{"content":{"role":"model"}}]}` + "\n\n",
				`data: {"candidates":[{"content":{"role":"model","parts":[{"text":""}]}}]}` + "\n\n",
			},
			token:   `data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}` + "\n\n",
			failure: `data: {"error":{"code":503,"message":"no"}}` + "\n\n",
		},
		"ollama": {
			params: "model: ollama/m, api_base: http://127.0.0.1:1", contentType: "application/x-ndjson",
			opening: []string{`{"message":{"content":""},"done":false}` + "\n"},
			token:   `{"message":{"content":"a"},"done":false}` + "\n",
			failure: `{"error":"no"}` + "\n",
		},
	}
}

// begin sends a request for such a stream, see [house.begin].
func (s streamsOf) begin(h *house, f *filterStream) (*extprocv3.ProcessingResponse, string) {
	h.t.Helper()
	return h.beginAt(f, cmp.Or(s.path, "/v1/chat/completions"), cmp.Or(s.body, `{"model":"m","messages":[],"stream":true}`))
}

func TestAStreamBeginsWithItsFirstToken(t *testing.T) {
	for name, says := range streams() {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, "model_list: [{model_name: m, litellm_params: {"+says.params+", api_key: k}}]\n")
			f := h.open(names.FilterRequest)
			_, id := says.begin(h, f)
			x, d := h.exchanges.find(id), h.router.Deployments()[0]
			begun := func() (bool, bool) { return x.outcome.load().firstToken > 0, h.router.State(d).FirstToken > 0 }
			f.ask(responseHead(1, false, ":status", "200", "content-type", says.contentType))
			for _, piece := range says.opening {
				f.feed(responsePiece(piece, false))
				if told, measured := begun(); told || measured {
					t.Errorf("after %q the first token has come: %v, and routing has measured it: %v", piece, told, measured)
				}
			}
			f.ask(responsePiece(says.token, false))
			if told, measured := begun(); !told || !measured {
				t.Errorf("after the first token it has come: %v, and routing has measured it: %v", told, measured)
			}
			f.end()
			<-f.err
		})
	}
}

func TestAStreamThatFailsBeforeItsFirstTokenHasNone(t *testing.T) {
	for name, says := range streams() {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, "model_list: [{model_name: m, litellm_params: {"+says.params+", api_key: k, order: 1}},"+
				"{model_name: m, litellm_params: {"+says.params+", api_key: l, order: 2}}]\ngeneral_settings: {allowed_fails: 2}\n")
			for n := range 2 { // good headers in between are no good answer
				f := h.open(names.FilterRequest)
				says.begin(h, f)
				f.ask(responseHead(1, false, ":status", "200", "content-type", says.contentType))
				f.feed(responsePiece(strings.Join(says.opening, ""), false))
				f.ask(responsePiece(says.failure, true))
				if err := f.close(); err != nil {
					t.Fatal(err)
				}
				if health := h.router.State(h.router.Deployments()[0]).Health; (health == "cooling") != (n == 1) {
					t.Errorf("after failure %d it is %s", n+1, health)
				}
			}
			if line := h.log.String(); strings.Count(line, "ms_first_token=0 ") != 2 {
				t.Errorf("the log says %s", line)
			}
		})
	}
}

func TestABlockingAnswerEndsACooldownWhenItWasRead(t *testing.T) {
	h := newHouse(t, "model_list: [{model_name: m, litellm_params: {"+streams()["openai"].params+", api_key: k}}]\n")
	f := h.open(names.FilterRequest)
	_, id := h.begin(f, `{"model":"m","messages":[]}`)
	x := h.exchanges.find(id)
	told := func() bool {
		x.attempts.mu.Lock()
		defer x.attempts.mu.Unlock()
		return x.attempts.made[0].reported
	}
	f.ask(responseHead(1, false, ":status", "200", "content-type", "application/json"))
	if told() {
		t.Error("its headers are a good answer")
	}
	f.ask(responsePiece(`{"id":"c","object":"chat.completion","choices":[{}]}`, true))
	if !told() {
		t.Error("it is none at its end")
	}
}

func TestTheFirstTokenOfARelayedStream(t *testing.T) {
	tags := func(v string) *accesslogv3.HTTPAccessLogEntry {
		common := &accesslogv3.AccessLogCommon{CustomTags: map[string]string{names.TagFirstBody: v}}
		return &accesslogv3.HTTPAccessLogEntry{CommonProperties: common}
	}
	for name, tc := range map[string]struct {
		entry *accesslogv3.HTTPAccessLogEntry // nil: none came
		want  time.Duration
	}{
		"is when its body began":                                {tags("1400"), 1400 * time.Millisecond},
		"is that of its headers when Envoy does not say":        {tags(""), 7 * time.Millisecond},
		"is that of its headers when Envoy has no number":       {tags("-"), 7 * time.Millisecond},
		"is that of its headers when the entry does not say it": {&accesslogv3.HTTPAccessLogEntry{}, 7 * time.Millisecond},
		"is that of its headers without an entry":               {nil, 7 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recordingRouter{}
			x := &exchange{started: epoch, attempts: attempts{router: r, observer: r}}
			x.attempts.follow(&routing.Plan{Hops: []routing.Hop{hopTo("m", "a", 0)}})
			x.attempts.begin(1, at(2*time.Millisecond))
			var entry *logEntry
			if tc.entry != nil {
				e := readEntry(tc.entry, nil)
				entry = &e
			}
			o := outcome{by: byDeployment, relayed: true, firstByte: 7 * time.Millisecond}
			x.firstTokenFromLog(&o, entry)
			rec := &record{outcome: o, stream: true}
			if got := rec.timeToFirstToken(); got != tc.want {
				t.Errorf("the record says %s", got)
			}
			if got, want := r.calls[len(r.calls)-1], "first token of a after "+(tc.want-2*time.Millisecond).String(); got != want {
				t.Errorf("routing is told %q, want %q", got, want)
			}
		})
	}
}
