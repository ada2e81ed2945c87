package callbacks

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// The requests of this file are one of each way in which a request can end. Each
// names itself by its body's user, so that its record can be told at the other end
// of a sink.

// scenarios are the requests, by name, in the order in which they are made.
func scenarios() []scenario {
	const chat = "/v1/chat/completions"
	return []scenario{
		{name: "success", path: chat, model: "m", says: "hi", more: requestMetadata, status: 200},
		{name: "failure", path: chat, model: "m", says: "fail", status: 429},
		{name: "unknown model", path: chat, model: "nope", says: "hi", status: 404},
		{name: "stream", path: chat, model: "m", says: "hi", more: `,"stream":true`, status: 200},
		{name: "stream that the client left", path: chat, model: "m", says: "wait", more: `,"stream":true`, status: 200, leave: true},
		{name: "stream that was cut", path: chat, model: "m", says: "cut", more: `,"stream":true`, status: 200},
		{name: "stream that stalled", path: chat, model: "hasty", says: "wait", more: `,"stream":true`, status: 200},
		{name: "timeout", path: chat, model: "hasty", says: "hang", status: 504},
		{name: "gone", path: chat, model: "m", says: "hang", leave: true},
		{name: "cache", path: chat, model: "m", says: "hi", status: 200},
		{name: "cache", path: chat, model: "m", says: "hi", status: 200},
		{name: "cache of a stream", path: chat, model: "m", says: "hi", more: `,"stream":true`, status: 200},
		{name: "cache of a stream", path: chat, model: "m", says: "hi", more: `,"stream":true`, status: 200},
		{name: "cascade", path: chat, model: "down", says: "hi", status: 200},
		{name: "text completion", path: "/v1/completions", model: "m", more: `,"prompt":"Once"`, status: 200},
		{name: "embedding", path: "/v1/embeddings", model: "m", more: `,"input":["um","dois"]`, status: 200},
		{name: "response", path: "/v1/responses", model: "m", more: `,"input":"hi"`, status: 200},
		{name: "stream of a response", path: "/v1/responses", model: "m", more: `,"input":"hi","stream":true`, status: 200},
	}
}

// requestMetadata is all that a client may say to steer Langfuse.
const requestMetadata = `,"temperature":0.5,"metadata":{"tags":["team:search"],"trace_id":"0af7651916cd43dd8448eb211c80319c",` +
	`"trace_name":"checkout",` +
	`"session_id":"sess-1","trace_user_id":"ana","trace_version":"v3","trace_release":"r1","generation_name":"reply","tenant":"acme"}`

// scenario is one request.
type scenario struct {
	name, path, model, says, more string
	status                        int  // that the client gets; 0: none
	leave                         bool // the client goes away: after the first bytes, or before them when status is 0
}

func (c scenario) body() string {
	messages := ""
	if c.says != "" {
		messages = fmt.Sprintf(`,"messages":[{"role":"user","content":%q}]`, c.says)
	}
	return fmt.Sprintf(`{"model":%q,"user":%q%s%s}`, c.model, c.name, messages, c.more)
}

// scenarioProvider is the providers of the scenarios.
type scenarioProvider struct {
	*gatewaytest.Provider
	asked   chan struct{} // somebody hangs at the provider
	proceed chan struct{} // the client has the first piece of what is to be cut
}

func newScenarioProvider(t *testing.T) *scenarioProvider {
	g := &scenarioProvider{asked: make(chan struct{}, 1), proceed: make(chan struct{}, 1)}
	g.Provider = gatewaytest.NewProvider(t, g.serve)
	return g
}

// models is the model list.
func (g *scenarioProvider) models() string {
	one := func(name, base, more string) string {
		return fmt.Sprintf("- model_name: %s\n  model_info: {id: dep-%[1]s}\n"+
			"  litellm_params: {model: openai/up, api_key: sk-provider, api_base: %q%s}\n", name, base, more)
	}
	const prices = ", input_cost_per_token: 0.000002, output_cost_per_token: 0.00001"
	return "model_list:\n" + one("m", g.Base(), prices) + one("hasty", g.Base(), ", timeout: 2") + one("down", g.URL+"/down/v1", "") +
		"router_settings: {num_retries: 0, fallbacks: [{down: [m]}]}\n"
}

const scenarioPiece = "data: {\"id\":\"c1\",\"model\":\"up\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"," +
	"\"content\":\"Era uma vez\"},\"finish_reason\":null}]}\n\n"

func (g *scenarioProvider) serve(w http.ResponseWriter, r *http.Request, body string) {
	says := func(word string) bool { return strings.Contains(body, `"content":"`+word+`"`) }
	switch {
	case strings.HasPrefix(r.URL.Path, "/down/"):
		gatewaytest.FailWith(503)(w, r, body)
	case strings.HasSuffix(r.URL.Path, "/embeddings"):
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w,
			`{"object":"list","model":"up","data":[{"object":"embedding","index":0,"embedding":[0.5]},{"object":"embedding","index":1,`+
				`"embedding":[0.25]}],"usage":{"prompt_tokens":2,"total_tokens":2}}`)
	case strings.HasSuffix(r.URL.Path, "/responses"):
		respond(w, body)
	case strings.HasSuffix(r.URL.Path, "/v1/completions"):
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w,
			`{"id":"cmpl-1","object":"text_completion","created":1,"model":"up","choices":[{"index":0,"text":" upon a time",`+
				`"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":3,"total_tokens":4}}`)
	case says("fail"):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(429)
		_, _ = io.WriteString(w, `{"error":{"message":"Rate limit reached","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}`)
	case says("wait"), says("cut"):
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, scenarioPiece)
		gatewaytest.Flush(w)
		if says("cut") {
			<-g.proceed
			panic(http.ErrAbortHandler)
		}
		<-r.Context().Done()
	case says("hang"):
		g.asked <- struct{}{}
		<-r.Context().Done()
	default:
		gatewaytest.OpenAI(w, r, body)
	}
}

// respond answers like OpenAI's Responses API.
func respond(w http.ResponseWriter, body string) {
	const answer = `{"id":"resp_1","object":"response","status":"completed","model":"up","output":[{"type":"message","role":"assistant",` +
		`"content":[{"type":"output_text","text":"hi"}]}],"usage":{"input_tokens":3,"output_tokens":2,"total_tokens":5}}`
	if !strings.Contains(body, `"stream":true`) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}\n\n")
	gatewaytest.Flush(w)
	_, _ = io.WriteString(w, "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":"+answer+"}\n\n")
}

// run makes the request of a scenario and waits until it is in the log: it has its
// record then.
func (g *scenarioProvider) run(t *testing.T, s *gatewaytest.Gateway, c scenario) {
	t.Helper()
	written := func() int { return strings.Count(s.Stderr.String(), `"msg":"request"`) }
	before := written()
	ctx, leave := context.WithTimeout(t.Context(), 30*time.Second)
	defer leave()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+c.path, strings.NewReader(c.body()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "test/1")
	req.Header.Set("X-Tenant", "acme")
	if c.leave && c.status == 0 {
		go func() { <-g.asked; leave() }()
	}
	resp, err := http.DefaultClient.Do(req)
	if (err == nil) != (c.status != 0) {
		t.Fatalf("%s: %v", c.name, err)
	}
	if err == nil {
		if resp.StatusCode != c.status {
			t.Errorf("%s: status %d, want %d", c.name, resp.StatusCode, c.status)
		}
		if c.leave || c.says == "cut" {
			if _, err := io.ReadFull(resp.Body, make([]byte, len(scenarioPiece))); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
		if c.says == "cut" {
			g.proceed <- struct{}{}
		}
		if !c.leave {
			_, _ = io.Copy(io.Discard, resp.Body) // of a stream that was cut it fails
		}
		_ = resp.Body.Close()
	}
	if c.says == "hang" && !c.leave {
		<-g.asked
	}
	asynctest.Await(t, c.name+" is in the log", func() bool { return written() == before+1 })
}
