package cache

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

func TestAnIdenticalRequestIsAnsweredFromTheCache(t *testing.T) {
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), "")+gatewaytest.Cached)
	first := s.Post("/v1/chat/completions", gatewaytest.Ask)
	if first.Status != 200 || first.Header.Get("X-Isthmus-Cache") != "miss" {
		t.Fatalf("first: %d %v", first.Status, first.Header)
	}
	for name, body := range map[string]string{
		"the same":                      gatewaytest.Ask,
		"other spelling and order":      `{ "messages":[{"content":"hi","role":"user"}], "model":"m" }`,
		"steering that changes nothing": strings.Replace(gatewaytest.Ask, `"model"`, `"num_retries":1,"model"`, 1),
	} {
		got := s.Post("/v1/chat/completions", body)
		if got.Status != 200 || got.Header.Get("X-Isthmus-Cache") != "hit" || got.Header.Get("Age") == "" ||
			got.Header.Get("X-Litellm-Cache-Key") == "" {
			t.Errorf("%s: %d %v", name, got.Status, got.Header)
		}
		if got.Header.Get("X-Isthmus-Deployment") != first.Header.Get("X-Isthmus-Deployment") || got.Header.Get("X-Isthmus-Attempts") != "0" {
			t.Errorf("%s: served by %q after %s attempts", name, got.Header.Get("X-Isthmus-Deployment"), got.Header.Get("X-Isthmus-Attempts"))
		}
		var a struct {
			Choices []struct{ Message struct{ Content string } }
			Usage   struct {
				Total int `json:"total_tokens"`
			}
		}
		if err := json.Unmarshal([]byte(got.Body), &a); err != nil || a.Choices[0].Message.Content != "hi" || a.Usage.Total != 5 {
			t.Errorf("%s: %v %s", name, err, got.Body)
		}
	}
	stream := s.Post("/v1/chat/completions", strings.Replace(gatewaytest.AskStream, `"stream":true`,
		`"stream":true,"stream_options":{"include_usage":true}`, 1))
	if stream.Header.Get("X-Isthmus-Cache") != "hit" || stream.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" ||
		!strings.Contains(stream.Body, `"total_tokens":5`) || !strings.HasSuffix(stream.Body, "data: [DONE]\n\n") {
		t.Errorf("a stream after a blocking answer: %v\n%s", stream.Header, stream.Body)
	}
	if n := len(p.Calls()); n != 1 {
		t.Errorf("the provider was asked %d times, want once", n)
	}
}

func TestWhatChangesAnAnswerMissesTheCache(t *testing.T) {
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), "")+gatewaytest.Entry("n", p.Base(), "")+gatewaytest.Cached)
	s.Post("/v1/chat/completions", gatewaytest.Ask)
	for name, body := range map[string]string{
		"another temperature": strings.Replace(gatewaytest.Ask, `"model"`, `"temperature":0.1,"model"`, 1),
		"another question":    strings.Replace(gatewaytest.Ask, `"hi"`, `"ho"`, 1),
		"another model":       strings.Replace(gatewaytest.Ask, `"m"`, `"n"`, 1),
		"an unknown member":   strings.Replace(gatewaytest.Ask, `"model"`, `"new_thing":1,"model"`, 1),
		"a tool":              strings.Replace(gatewaytest.Ask, `"model"`, `"tools":[{"type":"function","function":{"name":"f"}}],"model"`, 1),
		"cache: false":        strings.Replace(gatewaytest.Ask, `"model"`, `"cache":false,"model"`, 1),
		"caching: false":      strings.Replace(gatewaytest.Ask, `"model"`, `"caching":false,"model"`, 1),
		"no-cache":            strings.Replace(gatewaytest.Ask, `"model"`, `"cache":{"no-cache":true},"model"`, 1),
		"a namespace":         strings.Replace(gatewaytest.Ask, `"model"`, `"cache":{"namespace":"mine"},"model"`, 1),
	} {
		before := len(p.Calls())
		got := s.Post("/v1/chat/completions", body)
		if got.Status != 200 || got.Header.Get("X-Isthmus-Cache") == "hit" || len(p.Calls()) != before+1 {
			t.Errorf("%s: %d %s, %d new calls", name, got.Status, got.Header.Get("X-Isthmus-Cache"), len(p.Calls())-before)
		}
	}
	before := len(p.Calls())
	got := s.Post("/v1/chat/completions", gatewaytest.Ask, "Cache-Control", "no-cache")
	if got.Header.Get("X-Isthmus-Cache") != "bypass" || len(p.Calls()) != before+1 {
		t.Errorf("Cache-Control: no-cache: %v", got.Header)
	}
	// The features that a client asks Anthropic for, in whichever order.
	for i, beta := range []string{"one-1,two-2", "two-2, one-1", "one-1"} {
		want := []string{"miss", "hit", "miss"}[i]
		if got := s.Post("/v1/chat/completions", gatewaytest.Ask, "Anthropic-Beta", beta); got.Header.Get("X-Isthmus-Cache") != want {
			t.Errorf("Anthropic-Beta: %s: %s, want a %s", beta, got.Header.Get("X-Isthmus-Cache"), want)
		}
	}
	got = s.Post("/v1/chat/completions", strings.Replace(gatewaytest.Ask, `"model"`, `"cache":{"ttl":"soon"},"model"`, 1))
	if got.Status != 400 || !strings.Contains(got.Body, "ttl") {
		t.Errorf("a wrong control: %d %s", got.Status, got.Body)
	}
}

func TestErrorsAndCutStreamsAreNotStored(t *testing.T) {
	var mu sync.Mutex
	fail := true
	p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		mu.Lock()
		failing := fail
		mu.Unlock()
		switch {
		case !failing:
			gatewaytest.OpenAI(w, r, body)
		case strings.Contains(body, `"stream":true`):
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"half\"}}]}\n\n")
		default:
			gatewaytest.FailWith(500)(w, r, body)
		}
	})
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ", num_retries: 0")+gatewaytest.Cached)
	for _, body := range []string{gatewaytest.Ask, gatewaytest.AskStream} {
		s.Post("/v1/chat/completions", body)
	}
	mu.Lock()
	fail = false
	mu.Unlock()
	for _, body := range []string{gatewaytest.AskStream, gatewaytest.Ask} {
		if got := s.Post("/v1/chat/completions", body); got.Status != 200 || strings.Contains(got.Body, "half") {
			t.Errorf("after the failure: %d %s", got.Status, got.Body)
		}
	}
}

func TestAHundredIdenticalMissesAskOnce(t *testing.T) {
	const clients = 100
	release := make(chan struct{})
	p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		gatewaytest.OpenAI(w, r, body)
	})
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), "")+gatewaytest.Cached)
	answers := make(chan *gatewaytest.Answer, clients)
	for range clients {
		go func() { answers <- s.Post("/v1/chat/completions", gatewaytest.Ask) }()
	}
	asynctest.Await(t, "all clients have arrived", func() bool { return s.Streams("request") == clients })
	close(release)
	for range clients {
		if a := <-answers; a.Status != 200 || !strings.Contains(a.Body, `"hi"`) {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	if n := len(p.Calls()); n != 1 {
		t.Errorf("the provider was asked %d times, want once", n)
	}
	s.Idle()
}

func TestEmbeddingsAreStoredItemByItem(t *testing.T) {
	p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, _ *http.Request, body string) {
		var req struct{ Input []string }
		if err := json.Unmarshal([]byte(body), &req); err != nil {
			w.WriteHeader(400)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"object":"list","model":"up","data":[`)
		for i, text := range req.Input {
			if i > 0 {
				fmt.Fprint(w, ",")
			}
			fmt.Fprintf(w, `{"object":"embedding","index":%d,"embedding":[%d]}`, i, len(text))
		}
		fmt.Fprintf(w, `],"usage":{"prompt_tokens":%d,"total_tokens":%d}}`, len(req.Input), len(req.Input))
	})
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), "")+gatewaytest.Cached)
	s.Post("/v1/embeddings", `{"model":"m","input":["a","bb"]}`)
	got := s.Post("/v1/embeddings", `{"model":"m","input":["bb","ccc","a"]}`)
	var a struct {
		Data []struct {
			Index     int
			Embedding []int
		}
	}
	if err := json.Unmarshal([]byte(got.Body), &a); err != nil || fmt.Sprint(a.Data) != "[{0 [2]} {1 [3]} {2 [1]}]" {
		t.Errorf("answer = %v %s", err, got.Body)
	}
	if calls := p.Calls(); len(calls) != 2 || !strings.Contains(calls[1].Body, `"input":["ccc"]`) {
		t.Errorf("the provider was asked %v", calls)
	}
	if got := s.Post("/v1/embeddings", `{"model":"m","input":["ccc"]}`); got.Header.Get("X-Isthmus-Cache") != "hit" {
		t.Errorf("an item alone: %v", got.Header)
	}
}
