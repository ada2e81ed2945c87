package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
)

// flood sends n requests, so many at a time, and counts the statuses.
func (s *stack) flood(n, parallel int, body string) map[int]int {
	s.t.Helper()
	var next atomic.Int64
	var mu sync.Mutex
	var wg sync.WaitGroup
	count := map[int]int{}
	for range parallel {
		wg.Go(func() {
			for next.Add(1) <= int64(n) {
				resp, err := http.Post(s.url+"/v1/chat/completions", "application/json", strings.NewReader(body))
				if err != nil {
					s.t.Errorf("post: %v", err)
					return
				}
				_ = drainBody(resp)
				mu.Lock()
				count[resp.StatusCode]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return count
}

func drainBody(resp *http.Response) error {
	_, err := io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}

// after answers like OpenAI, after a time that may change.
func after(ms *atomic.Int64) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, r *http.Request, body string) {
		select {
		case <-time.After(time.Duration(ms.Load()) * time.Millisecond):
			openAI(w, r, body)
		case <-r.Context().Done():
		}
	}
}

func delay(ms int64) *atomic.Int64 {
	d := &atomic.Int64{}
	d.Store(ms)
	return d
}

func TestSimpleShuffleFollowsTheWeights(t *testing.T) {
	config := "model_list:\n"
	var providers []*provider
	for _, weight := range []string{"weight: 5", "weight: 3", "weight: 2"} {
		p := newProvider(t, openAI)
		providers = append(providers, p)
		config += entry("m", p.base(), ", "+weight)
	}
	s := startStack(t, config)
	if got := s.flood(2000, 16, ask); got[200] != 2000 {
		t.Fatalf("answers: %v", got)
	}
	for i, want := range []int{1000, 600, 400} { // a deviation of 140 is more than six sigma
		if got := len(providers[i].calls()); got < want-140 || got > want+140 {
			t.Errorf("deployment %d got %d of 2000, want about %d", i+1, got, want)
		}
	}
	s.idle()
}

func TestLeastBusyKeepsASlowDeploymentAtItsFairShareOfWhatRuns(t *testing.T) {
	var running, most atomic.Int64
	slow := newProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		n := running.Add(1)
		defer running.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		after(delay(1000))(w, r, body)
	})
	fast := []*provider{newProvider(t, after(delay(10))), newProvider(t, after(delay(10)))}
	s := startStack(t, "model_list:\n"+entry("m", slow.base(), "")+entry("m", fast[0].base(), "")+entry("m", fast[1].base(), "")+
		"router_settings: {routing_strategy: least-busy}\n")
	if got := s.flood(600, 9, ask); got[200] != 600 {
		t.Fatalf("answers: %v", got)
	}
	// Nine run at a time over three deployments.
	if n := most.Load(); n > 5 {
		t.Errorf("%d ran on the slow deployment at once, its fair share is 3", n)
	}
	if n := len(slow.calls()); n > 120 {
		t.Errorf("the slow deployment got %d of 600 requests", n)
	}
	s.idle()
}

func TestLatencyConvergesToTheFastestAndComesBackToIt(t *testing.T) {
	first, second := delay(5), delay(40)
	one, two := newProvider(t, after(first)), newProvider(t, after(second))
	s := startStack(t, "model_list:\n"+entry("m", one.base(), "")+entry("m", two.base(), "")+"router_settings: {routing_strategy: latency-based}\n")
	share := func(body string) float64 { // of the first, in the next 100
		before := len(one.calls())
		s.flood(100, 2, body)
		return float64(len(one.calls())-before) / 100
	}
	for _, body := range []string{ask, askStream} {
		// A stall of the machine looks like a slow deployment, and is forgotten as one.
		first.Store(5)
		await(t, 2*time.Minute, "the faster deployment gets nearly all", func() bool { return share(body) > 0.85 })
		first.Store(150)
		await(t, 2*time.Minute, "it has become slow, and gets hardly any", func() bool { return share(body) < 0.15 })
		first.Store(5)
		await(t, 2*time.Minute, "the recovered deployment is found", func() bool { return share(body) > 0.85 })
	}
	s.idle()
}

func TestUsageFillsQuotasEvenly(t *testing.T) {
	large, small := newProvider(t, openAI), newProvider(t, openAI)
	s := startStack(t, "model_list:\n"+entry("m", large.base(), ", tpm: 20000")+entry("m", small.base(), ", tpm: 10000")+
		"router_settings: {routing_strategy: usage-based}\n")
	if got := s.flood(600, 4, ask); got[200] != 600 {
		t.Fatalf("answers: %v", got)
	}
	if n := len(large.calls()); n < 380 || n > 420 {
		t.Errorf("the deployment with twice the quota got %d of 600, want 400", n)
	}
	want := fmt.Sprintf(`"tokens_last_minute":%d`, 5*len(large.calls()))
	await(t, 20*time.Second, "/health knows "+want, func() bool { return strings.Contains(s.adminGet("/health"), want) })
}

// byModel answers with the status that a model has, 200 for those not named, and
// notes the order of the models.
func byModel(status map[string]int, seen *[]string) func(http.ResponseWriter, *http.Request, string) {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request, body string) {
		var asked struct{ Model string }
		_ = json.Unmarshal([]byte(body), &asked)
		mu.Lock()
		*seen = append(*seen, asked.Model)
		mu.Unlock()
		if bad := status[asked.Model]; bad != 0 {
			failWith(bad)(w, r, body)
			return
		}
		openAI(w, r, body)
	}
}

func TestTheGuidesFallbackBlockThroughEnvoy(t *testing.T) {
	block, err := os.ReadFile(filepath.Join("..", "..", "routing", "config", "testdata", "guide", "08-fallback-cascade.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	p := newProvider(t, byModel(map[string]int{"gpt-4o": 404, "gpt-4-turbo": 500}, &seen))
	t.Setenv("OPENAI_API_KEY", "sk-guide")
	t.Setenv("OPENAI_BASE_URL", p.base())
	s := startStack(t, string(block))
	got := s.post("/v1/chat/completions", `{"model":"my-model","num_retries":0,"messages":[{"role":"user","content":"oi"}]}`)
	if diff := cmp.Diff([]string{"gpt-4o", "gpt-4-turbo", "gpt-3.5-turbo"}, seen); diff != "" || got.status != 200 {
		t.Errorf("answer %d %s; models asked for (-want +got):\n%s", got.status, got.body, diff)
	}
	if a, f := got.header.Get("X-Isthmus-Attempts"), got.header.Get("X-Isthmus-Fallbacks"); a != "3" || f != "2" {
		t.Errorf("%s attempts, %s fallbacks, want 3 and 2", a, f)
	}
	seen = nil
	clock := asynctest.WatchStalls(t).Clock()
	got = s.post("/v1/chat/completions", `{"model":"my-model","num_retries":1,"messages":[{"role":"user","content":"oi"}]}`)
	if diff := cmp.Diff([]string{"gpt-4o", "gpt-4-turbo", "gpt-4-turbo", "gpt-3.5-turbo"}, seen); diff != "" || got.status != 200 {
		t.Errorf("with a retry: answer %d %s; models asked for (-want +got):\n%s", got.status, got.body, diff)
	}
	// Envoy's timers count from when its loop last looked at the clock.
	if took, late := clock(); took < 4900*time.Millisecond-late || took-late > 9*time.Second {
		t.Errorf("it took %s (the machine was late by %s); retry_after is 5 s before the one try that repeats a deployment", took, late)
	}
	s.idle()
}

func TestTheGuidesProductionBlockThroughEnvoy(t *testing.T) {
	block, err := os.ReadFile(filepath.Join("..", "..", "routing", "config", "testdata", "guide", "18-production.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	var mu sync.Mutex
	note := func(name string, status int) func(http.ResponseWriter, *http.Request, string) {
		return func(w http.ResponseWriter, r *http.Request, body string) {
			mu.Lock()
			keys = append(keys, name+r.Header.Get("Authorization"))
			mu.Unlock()
			failWith(status)(w, r, body)
		}
	}
	gemini, openai := newProvider(t, note("gemini", 403)), newProvider(t, note("openai ", 401))
	ollama := newProvider(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		mu.Lock()
		keys = append(keys, "ollama")
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"model":"llama2","message":{"role":"assistant","content":"olá"},"done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":2}`)
	})
	t.Setenv("GOOGLE_API_KEY", "g")
	t.Setenv("GEMINI_API_BASE", gemini.URL+"/v1beta")
	t.Setenv("OPENAI_API_KEY_1", "one")
	t.Setenv("OPENAI_API_KEY_2", "two")
	t.Setenv("OPENAI_BASE_URL", openai.base())
	s := startStack(t, strings.Replace(string(block), "http://localhost:11434", ollama.URL, 1))
	got := s.post("/v1/chat/completions", `{"model":"primary","messages":[{"role":"user","content":"oi"}]}`)
	if got.status != 200 || !strings.Contains(got.body, "olá") || got.header.Get("X-Isthmus-Fallbacks") != "2" {
		t.Errorf("answer %d after %s fallbacks: %s", got.status, got.header.Get("X-Isthmus-Fallbacks"), got.body)
	}
	if len(keys) == 4 && keys[1] > keys[2] {
		keys[1], keys[2] = keys[2], keys[1] // two equal deployments, in any order
	}
	if diff := cmp.Diff([]string{"gemini", "openai Bearer one", "openai Bearer two", "ollama"}, keys); diff != "" {
		t.Errorf("who was asked (-want +got):\n%s", diff)
	}
	s.idle()
}

func TestEveryKindOfFailureThroughEnvoy(t *testing.T) {
	const contextText = `{"error":{"message":"This model's maximum context length is 10 tokens","type":"invalid_request_error","param":null,"code":null}}`
	const policyText = `{"error":{"message":"rejected as a result of our safety system","type":"invalid_request_error","param":null,"code":"content_policy_violation"}}`
	say := func(body string) func(http.ResponseWriter, *http.Request, string) {
		return func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(400)
			fmt.Fprint(w, body)
		}
	}
	reset := func(http.ResponseWriter, *http.Request, string) { panic(http.ErrAbortHandler) }
	type result struct {
		Alone int    // status when nobody else is there
		Tries string // attempts then, with num_retries 1
		Group string // attempts in a group with a good one
		State string // of the deployment after one failure in that group
	}
	rows := map[string]struct {
		bad  func(http.ResponseWriter, *http.Request, string)
		want result
	}{
		"s400": {failWith(400), result{400, "1", "1", "healthy"}}, "ctx": {say(contextText), result{400, "1", "1", "healthy"}},
		"policy": {say(policyText), result{400, "1", "1", "healthy"}}, "s401": {failWith(401), result{401, "1", "2", "cooling"}},
		"s403": {failWith(403), result{403, "1", "2", "cooling"}}, "s404": {failWith(404), result{404, "1", "2", "cooling"}},
		"s408": {failWith(408), result{408, "2", "2", "healthy"}}, "s409": {failWith(409), result{409, "2", "2", "healthy"}},
		"s413": {failWith(413), result{413, "1", "1", "healthy"}}, "s422": {failWith(422), result{422, "1", "1", "healthy"}},
		"s429": {failWith(429), result{429, "2", "2", "cooling"}}, "s500": {failWith(500), result{500, "2", "2", "healthy"}},
		"s502": {failWith(502), result{502, "2", "2", "healthy"}}, "s503": {failWith(503), result{503, "2", "2", "healthy"}},
		"s504": {failWith(504), result{504, "2", "2", "healthy"}}, "s529": {failWith(529), result{529, "2", "2", "healthy"}},
		"refused": {nil, result{503, "2", "2", "healthy"}}, "reset": {reset, result{503, "2", "2", "healthy"}},
		"timeout": {hang, result{504, "2", "2", "healthy"}},
	}
	config, good := "model_list:\n", newProvider(t, openAI).base()
	for name, row := range rows {
		base := refused(t)
		if row.bad != nil {
			base = newProvider(t, row.bad).base()
		}
		timeout := ""
		if name == "timeout" {
			timeout = ", timeout: 1"
		}
		config += entry("alone-"+name, base, timeout) + entry("group-"+name, base, ", order: 1"+timeout) + entry("group-"+name, good, ", order: 2"+timeout)
	}
	s := startStack(t, config+"router_settings: {num_retries: 1, cooldown_time: 60}\n")
	ask := func(model string) *answer {
		return s.post("/v1/chat/completions", `{"model":"`+model+`","messages":[{"role":"user","content":"hi"}]}`)
	}
	for name, row := range rows {
		alone, group := ask("alone-"+name), ask("group-"+name)
		got := result{alone.status, alone.header.Get("X-Isthmus-Attempts"), group.header.Get("X-Isthmus-Attempts"), s.stateOf("group-" + name)}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	s.idle()
}

// stateOf is the state of the first deployment of a group.
func (s *stack) stateOf(group string) string {
	var h struct {
		Deployments []struct {
			Group string `json:"model_group"`
			State string
		}
	}
	if err := json.Unmarshal([]byte(s.adminGet("/health")), &h); err != nil {
		s.t.Fatal(err)
	}
	for _, d := range h.Deployments {
		if d.Group == group {
			return d.State
		}
	}
	return ""
}

func TestRetriesKeepToTheirBudgetThroughEnvoy(t *testing.T) {
	for name, bad := range map[string]func(*testing.T) string{
		"failures with an answer": func(t *testing.T) string { return newProvider(t, failWith(500)).base() },
		"failures without one":    refused,
	} {
		t.Run(name, func(t *testing.T) {
			good := newProvider(t, openAI)
			s := startStack(t, "model_list:\n"+entry("m", bad(t), ", order: 1")+entry("m", good.base(), ", order: 2")+
				"router_settings: {cooldown_time: 0, retry_budget_percent: 10, retry_budget_min_per_second: 0}\n")
			got := s.flood(200, 1, ask)
			if got[200] > 20 || got[200] < 15 {
				t.Errorf("%d of 200 were retried with a budget of 10 %%: %v", got[200], got)
			}
			s.idle()
		})
	}
}

func TestWhenAllCoolTheClientIsToldWhenToComeBackAndVerboseTellsTheAttempts(t *testing.T) {
	limited := newProvider(t, failWith(429, "Retry-After", "70"))
	broken := newProvider(t, failWith(500))
	s := startStack(t, "model_list:\n"+entry("m", limited.base(), ", order: 1")+entry("m", broken.base(), ", order: 2, allowed_fails: 1, cooldown_time: 90")+
		"litellm_settings: {set_verbose: true}\nrouter_settings: {num_retries: 1}\n")
	got := s.post("/v1/chat/completions", ask)
	details := got.header.Get("X-Isthmus-Attempt-Details")
	if got.status != 500 || strings.Count(details, ";ms=") != 2 || !strings.Contains(details, `;status=429;`) || !strings.Contains(details, `why="500 server_error"`) {
		t.Errorf("%d with details %s", got.status, details)
	}
	await(t, 20*time.Second, "the log line tells the attempts", func() bool { return strings.Contains(s.stderr.String(), `"attempt_details":"`) })
	got = s.post("/v1/chat/completions", ask)
	wait, _ := strconv.Atoi(got.header.Get("Retry-After"))
	if got.status != 503 || wait < 60 || wait > 70 || !strings.Contains(got.body, `"code":"no_deployment_available"`) {
		t.Errorf("all cool: %d %v %s", got.status, got.header, got.body)
	}
	if strings.Contains(got.body, "127.0.0.1") || got.header.Get("X-Isthmus-Attempts") != "0" {
		t.Errorf("%v %s", got.header, got.body)
	}
	health := s.adminGet("/health")
	for _, want := range []string{`"state":"cooling"`, `"cooldown_cause":"429 rate_limit_error"`, `"cooldown_cause":"500 server_error"`, `"failures_last_minute":1`, `"left_out":[]`} {
		if !strings.Contains(health, want) {
			t.Errorf("/health lacks %s: %s", want, health)
		}
	}
	if info := s.adminGet("/v1/model/info"); !strings.Contains(info, `"litellm_params":{"model":"openai/up"`) || strings.Contains(info, "sk-provider") {
		t.Errorf("/v1/model/info: %s", info)
	}
}
