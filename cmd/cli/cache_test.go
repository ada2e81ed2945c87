package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

const cached = "general_settings: {cache: true, cache_params: {type: local, ttl: 600}}\n"

func TestAnIdenticalRequestIsAnsweredFromTheCache(t *testing.T) {
	p := newProvider(t, openAI)
	s := startStack(t, "model_list:\n"+entry("m", p.base(), "")+cached)
	first := s.post("/v1/chat/completions", ask)
	if first.status != 200 || first.header.Get("X-Isthmus-Cache") != "miss" {
		t.Fatalf("first: %d %v", first.status, first.header)
	}
	for name, body := range map[string]string{
		"the same":                      ask,
		"other spelling and order":      `{ "messages":[{"content":"hi","role":"user"}], "model":"m" }`,
		"steering that changes nothing": strings.Replace(ask, `"model"`, `"num_retries":1,"model"`, 1),
	} {
		got := s.post("/v1/chat/completions", body)
		if got.status != 200 || got.header.Get("X-Isthmus-Cache") != "hit" || got.header.Get("Age") == "" || got.header.Get("X-Litellm-Cache-Key") == "" {
			t.Errorf("%s: %d %v", name, got.status, got.header)
		}
		if got.header.Get("X-Isthmus-Deployment") != first.header.Get("X-Isthmus-Deployment") || got.header.Get("X-Isthmus-Attempts") != "0" {
			t.Errorf("%s: served by %q after %s attempts", name, got.header.Get("X-Isthmus-Deployment"), got.header.Get("X-Isthmus-Attempts"))
		}
		var a struct {
			Choices []struct{ Message struct{ Content string } }
			Usage   struct {
				Total int `json:"total_tokens"`
			}
		}
		if err := json.Unmarshal([]byte(got.body), &a); err != nil || a.Choices[0].Message.Content != "hi" || a.Usage.Total != 5 {
			t.Errorf("%s: %v %s", name, err, got.body)
		}
	}
	stream := s.post("/v1/chat/completions", strings.Replace(askStream, `"stream":true`, `"stream":true,"stream_options":{"include_usage":true}`, 1))
	if stream.header.Get("X-Isthmus-Cache") != "hit" || stream.header.Get("Content-Type") != "text/event-stream; charset=utf-8" ||
		!strings.Contains(stream.body, `"total_tokens":5`) || !strings.HasSuffix(stream.body, "data: [DONE]\n\n") {
		t.Errorf("a stream after a blocking answer: %v\n%s", stream.header, stream.body)
	}
	if n := len(p.calls()); n != 1 {
		t.Errorf("the provider was asked %d times, want once", n)
	}
}

func TestWhatChangesAnAnswerMissesTheCache(t *testing.T) {
	p := newProvider(t, openAI)
	s := startStack(t, "model_list:\n"+entry("m", p.base(), "")+entry("n", p.base(), "")+cached)
	s.post("/v1/chat/completions", ask)
	for name, body := range map[string]string{
		"another temperature": strings.Replace(ask, `"model"`, `"temperature":0.1,"model"`, 1),
		"another question":    strings.Replace(ask, `"hi"`, `"ho"`, 1),
		"another model":       strings.Replace(ask, `"m"`, `"n"`, 1),
		"an unknown member":   strings.Replace(ask, `"model"`, `"new_thing":1,"model"`, 1),
		"a tool":              strings.Replace(ask, `"model"`, `"tools":[{"type":"function","function":{"name":"f"}}],"model"`, 1),
		"cache: false":        strings.Replace(ask, `"model"`, `"cache":false,"model"`, 1),
		"caching: false":      strings.Replace(ask, `"model"`, `"caching":false,"model"`, 1),
		"no-cache":            strings.Replace(ask, `"model"`, `"cache":{"no-cache":true},"model"`, 1),
		"a namespace":         strings.Replace(ask, `"model"`, `"cache":{"namespace":"mine"},"model"`, 1),
	} {
		before := len(p.calls())
		if got := s.post("/v1/chat/completions", body); got.status != 200 || got.header.Get("X-Isthmus-Cache") == "hit" || len(p.calls()) != before+1 {
			t.Errorf("%s: %d %s, %d new calls", name, got.status, got.header.Get("X-Isthmus-Cache"), len(p.calls())-before)
		}
	}
	before := len(p.calls())
	if got := s.post("/v1/chat/completions", ask, "Cache-Control", "no-cache"); got.header.Get("X-Isthmus-Cache") != "bypass" || len(p.calls()) != before+1 {
		t.Errorf("Cache-Control: no-cache: %v", got.header)
	}
	// The features that a client asks Anthropic for, in whichever order.
	for i, beta := range []string{"one-1,two-2", "two-2, one-1", "one-1"} {
		want := []string{"miss", "hit", "miss"}[i]
		if got := s.post("/v1/chat/completions", ask, "Anthropic-Beta", beta); got.header.Get("X-Isthmus-Cache") != want {
			t.Errorf("Anthropic-Beta: %s: %s, want a %s", beta, got.header.Get("X-Isthmus-Cache"), want)
		}
	}
	if got := s.post("/v1/chat/completions", strings.Replace(ask, `"model"`, `"cache":{"ttl":"soon"},"model"`, 1)); got.status != 400 || !strings.Contains(got.body, "ttl") {
		t.Errorf("a wrong control: %d %s", got.status, got.body)
	}
}

func TestErrorsAndCutStreamsAreNotStored(t *testing.T) {
	var mu sync.Mutex
	fail := true
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		mu.Lock()
		failing := fail
		mu.Unlock()
		switch {
		case !failing:
			openAI(w, r, body)
		case strings.Contains(body, `"stream":true`):
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"half\"}}]}\n\n")
		default:
			failWith(500)(w, r, body)
		}
	})
	s := startStack(t, "model_list:\n"+entry("m", p.base(), ", num_retries: 0")+cached)
	for _, body := range []string{ask, askStream} {
		s.post("/v1/chat/completions", body)
	}
	mu.Lock()
	fail = false
	mu.Unlock()
	for _, body := range []string{askStream, ask} {
		if got := s.post("/v1/chat/completions", body); got.status != 200 || strings.Contains(got.body, "half") {
			t.Errorf("after the failure: %d %s", got.status, got.body)
		}
	}
}

func TestAHundredIdenticalMissesAskOnce(t *testing.T) {
	const clients = 100
	release := make(chan struct{})
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		openAI(w, r, body)
	})
	s := startStack(t, "model_list:\n"+entry("m", p.base(), "")+cached)
	answers := make(chan *answer, clients)
	for range clients {
		go func() { answers <- s.post("/v1/chat/completions", ask) }()
	}
	await(t, 20*time.Second, "all clients have arrived", func() bool { return s.streams("request") == clients })
	close(release)
	for range clients {
		if a := <-answers; a.status != 200 || !strings.Contains(a.body, `"hi"`) {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if n := len(p.calls()); n != 1 {
		t.Errorf("the provider was asked %d times, want once", n)
	}
	s.idle()
}

func TestEmbeddingsAreStoredItemByItem(t *testing.T) {
	p := newProvider(t, func(w http.ResponseWriter, _ *http.Request, body string) {
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
	s := startStack(t, "model_list:\n"+entry("m", p.base(), "")+cached)
	s.post("/v1/embeddings", `{"model":"m","input":["a","bb"]}`)
	got := s.post("/v1/embeddings", `{"model":"m","input":["bb","ccc","a"]}`)
	var a struct {
		Data []struct {
			Index     int
			Embedding []int
		}
	}
	if err := json.Unmarshal([]byte(got.body), &a); err != nil || fmt.Sprint(a.Data) != "[{0 [2]} {1 [3]} {2 [1]}]" {
		t.Errorf("answer = %v %s", err, got.body)
	}
	if calls := p.calls(); len(calls) != 2 || !strings.Contains(calls[1].body, `"input":["ccc"]`) {
		t.Errorf("the provider was asked %v", calls)
	}
	if got := s.post("/v1/embeddings", `{"model":"m","input":["ccc"]}`); got.header.Get("X-Isthmus-Cache") != "hit" {
		t.Errorf("an item alone: %v", got.header)
	}
}
