package routing

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

// flood sends n requests, so many at a time, and counts the statuses.
func flood(s *gatewaytest.Gateway, n, parallel int, body string) map[int]int {
	s.T.Helper()
	var next atomic.Int64
	var mu sync.Mutex
	var wg sync.WaitGroup
	count := map[int]int{}
	for range parallel {
		wg.Go(func() {
			for next.Add(1) <= int64(n) {
				resp, err := http.Post(s.URL+"/v1/chat/completions", "application/json", strings.NewReader(body))
				if err != nil {
					s.T.Errorf("post: %v", err)
					return
				}
				_ = gatewaytest.Drain(resp)
				mu.Lock()
				count[resp.StatusCode]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return count
}

// after answers like OpenAI, after a time that may change.
func after(ms *atomic.Int64) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, r *http.Request, body string) {
		select {
		case <-time.After(time.Duration(ms.Load()) * time.Millisecond):
			gatewaytest.OpenAI(w, r, body)
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
	t.Parallel()
	config := "model_list:\n"
	var providers []*gatewaytest.Provider
	for _, weight := range []string{"weight: 5", "weight: 3", "weight: 2"} {
		p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
		providers = append(providers, p)
		config += gatewaytest.Entry("m", p.Base(), ", "+weight)
	}
	s := gatewaytest.Start(t, config)
	if got := flood(s, 2000, 16, gatewaytest.Ask); got[200] != 2000 {
		t.Fatalf("answers: %v", got)
	}
	for i, want := range []int{1000, 600, 400} { // a deviation of 140 is more than six sigma
		if got := len(providers[i].Calls()); got < want-140 || got > want+140 {
			t.Errorf("deployment %d got %d of 2000, want about %d", i+1, got, want)
		}
	}
	s.Idle()
}

func TestSoakLeastBusyKeepsASlowDeploymentAtItsFairShareOfWhatRuns(t *testing.T) {
	testring.Soak(t, "judges shares that a busy machine shifts")
	var running, most atomic.Int64
	slow := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		n := running.Add(1)
		defer running.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		after(delay(1000))(w, r, body)
	})
	fast := []*gatewaytest.Provider{gatewaytest.NewProvider(t, after(delay(10))), gatewaytest.NewProvider(t, after(delay(10)))}
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", slow.Base(), "")+gatewaytest.Entry("m", fast[0].Base(), "")+
		gatewaytest.Entry("m", fast[1].Base(), "")+"router_settings: {routing_strategy: least-busy}\n")
	if got := flood(s, 600, 9, gatewaytest.Ask); got[200] != 600 {
		t.Fatalf("answers: %v", got)
	}
	// Nine run at a time over three deployments.
	if n := most.Load(); n > 5 {
		t.Errorf("%d ran on the slow deployment at once, its fair share is 3", n)
	}
	if n := len(slow.Calls()); n > 120 {
		t.Errorf("the slow deployment got %d of 600 requests", n)
	}
	s.Idle()
}

func TestSoakLatencyConvergesToTheFastestAndComesBackToIt(t *testing.T) {
	testring.Soak(t, "the strategy goes by times, which a busy machine makes up")
	first, second := delay(5), delay(40)
	one, two := gatewaytest.NewProvider(t, after(first)), gatewaytest.NewProvider(t, after(second))
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", one.Base(), "")+gatewaytest.Entry("m", two.Base(), "")+
		"router_settings: {routing_strategy: latency-based}\n")
	share := func(body string) float64 { // of the first, in the next 100
		before := len(one.Calls())
		flood(s, 100, 2, body)
		return float64(len(one.Calls())-before) / 100
	}
	for _, body := range []string{gatewaytest.Ask, gatewaytest.AskStream} {
		// A stall of the machine looks like a slow deployment, and is forgotten as one.
		first.Store(5)
		asynctest.Await(t, "the faster deployment gets nearly all", func() bool { return share(body) > 0.85 })
		first.Store(150)
		asynctest.Await(t, "it has become slow, and gets hardly any", func() bool { return share(body) < 0.15 })
		first.Store(5)
		asynctest.Await(t, "the recovered deployment is found", func() bool { return share(body) > 0.85 })
	}
	s.Idle()
}

func TestUsageFillsQuotasEvenly(t *testing.T) {
	large, small := gatewaytest.NewProvider(t, gatewaytest.OpenAI), gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", large.Base(), ", tpm: 20000")+
		gatewaytest.Entry("m", small.Base(), ", tpm: 10000")+"router_settings: {routing_strategy: usage-based}\n")
	if got := flood(s, 600, 4, gatewaytest.Ask); got[200] != 600 {
		t.Fatalf("answers: %v", got)
	}
	if n := len(large.Calls()); n < 380 || n > 420 {
		t.Errorf("the deployment with twice the quota got %d of 600, want 400", n)
	}
	want := fmt.Sprintf(`"tokens_last_minute":%d`, 5*len(large.Calls()))
	asynctest.Await(t, "/health knows "+want, func() bool { return strings.Contains(s.AdminGet("/health"), want) })
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
			gatewaytest.FailWith(bad)(w, r, body)
			return
		}
		gatewaytest.OpenAI(w, r, body)
	}
}

func TestTheGuidesFallbackBlockThroughEnvoy(t *testing.T) {
	block, err := os.ReadFile("../../../routing/config/testdata/guide/08-fallback-cascade.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	p := gatewaytest.NewProvider(t, byModel(map[string]int{"gpt-4o": 404, "gpt-4-turbo": 500}, &seen))
	t.Setenv("OPENAI_API_KEY", "sk-guide")
	t.Setenv("OPENAI_BASE_URL", p.Base())
	s := gatewaytest.Start(t, string(block))
	got := s.Post("/v1/chat/completions", `{"model":"my-model","num_retries":0,"messages":[{"role":"user","content":"oi"}]}`)
	if diff := cmp.Diff([]string{"gpt-4o", "gpt-4-turbo", "gpt-3.5-turbo"}, seen); diff != "" || got.Status != 200 {
		t.Errorf("answer %d %s; models asked for (-want +got):\n%s", got.Status, got.Body, diff)
	}
	if a, f := got.Header.Get("X-Isthmus-Attempts"), got.Header.Get("X-Isthmus-Fallbacks"); a != "3" || f != "2" {
		t.Errorf("%s attempts, %s fallbacks, want 3 and 2", a, f)
	}
	seen = nil
	clock := asynctest.WatchStalls(t).Clock()
	got = s.Post("/v1/chat/completions", `{"model":"my-model","num_retries":1,"messages":[{"role":"user","content":"oi"}]}`)
	if diff := cmp.Diff([]string{"gpt-4o", "gpt-4-turbo", "gpt-4-turbo", "gpt-3.5-turbo"}, seen); diff != "" || got.Status != 200 {
		t.Errorf("with a retry: answer %d %s; models asked for (-want +got):\n%s", got.Status, got.Body, diff)
	}
	// Envoy's timers count from when its loop last looked at the clock.
	if took, late := clock(); took < 4900*time.Millisecond-late || testring.JudgesTimes() && took-late > 9*time.Second {
		t.Errorf("it took %s (the machine was late by %s); retry_after is 5 s before the one try that repeats a deployment", took, late)
	}
	s.Idle()
}

func TestTheGuidesProductionBlockThroughEnvoy(t *testing.T) {
	block, err := os.ReadFile("../../../routing/config/testdata/guide/18-production.yaml")
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
			gatewaytest.FailWith(status)(w, r, body)
		}
	}
	gemini, openai := gatewaytest.NewProvider(t, note("gemini", 403)), gatewaytest.NewProvider(t, note("openai ", 401))
	ollama := gatewaytest.NewProvider(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		mu.Lock()
		keys = append(keys, "ollama")
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"model":"llama2","message":{"role":"assistant","content":"olá"},"done":true,"done_reason":"stop",`+
			`"prompt_eval_count":3,"eval_count":2}`)
	})
	t.Setenv("GOOGLE_API_KEY", "g")
	t.Setenv("GEMINI_API_BASE", gemini.URL+"/v1beta")
	t.Setenv("OPENAI_API_KEY_1", "one")
	t.Setenv("OPENAI_API_KEY_2", "two")
	t.Setenv("OPENAI_BASE_URL", openai.Base())
	s := gatewaytest.Start(t, strings.Replace(string(block), "http://localhost:11434", ollama.URL, 1))
	got := s.Post("/v1/chat/completions", `{"model":"primary","messages":[{"role":"user","content":"oi"}]}`)
	if got.Status != 200 || !strings.Contains(got.Body, "olá") || got.Header.Get("X-Isthmus-Fallbacks") != "2" {
		t.Errorf("answer %d after %s fallbacks: %s", got.Status, got.Header.Get("X-Isthmus-Fallbacks"), got.Body)
	}
	if len(keys) == 4 && keys[1] > keys[2] {
		keys[1], keys[2] = keys[2], keys[1] // two equal deployments, in any order
	}
	if diff := cmp.Diff([]string{"gemini", "openai Bearer one", "openai Bearer two", "ollama"}, keys); diff != "" {
		t.Errorf("who was asked (-want +got):\n%s", diff)
	}
	s.Idle()
}

func TestEveryKindOfFailureThroughEnvoy(t *testing.T) {
	t.Parallel()
	const contextText = `{"error":{"message":"This model's maximum context length is 10 tokens","type":"invalid_request_error",` +
		`"param":null,"code":null}}`
	const policyText = `{"error":{"message":"rejected as a result of our safety system","type":"invalid_request_error","param":null,` +
		`"code":"content_policy_violation"}}`
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
		"s400":    {gatewaytest.FailWith(400), result{400, "1", "1", "healthy"}},
		"ctx":     {say(contextText), result{400, "1", "1", "healthy"}},
		"policy":  {say(policyText), result{400, "1", "1", "healthy"}},
		"s401":    {gatewaytest.FailWith(401), result{401, "1", "2", "cooling"}},
		"s403":    {gatewaytest.FailWith(403), result{403, "1", "2", "cooling"}},
		"s404":    {gatewaytest.FailWith(404), result{404, "1", "2", "cooling"}},
		"s408":    {gatewaytest.FailWith(408), result{408, "2", "2", "healthy"}},
		"s409":    {gatewaytest.FailWith(409), result{409, "2", "2", "healthy"}},
		"s413":    {gatewaytest.FailWith(413), result{413, "1", "1", "healthy"}},
		"s422":    {gatewaytest.FailWith(422), result{422, "1", "1", "healthy"}},
		"s429":    {gatewaytest.FailWith(429), result{429, "2", "2", "cooling"}},
		"s500":    {gatewaytest.FailWith(500), result{500, "2", "2", "healthy"}},
		"s502":    {gatewaytest.FailWith(502), result{502, "2", "2", "healthy"}},
		"s503":    {gatewaytest.FailWith(503), result{503, "2", "2", "healthy"}},
		"s504":    {gatewaytest.FailWith(504), result{504, "2", "2", "healthy"}},
		"s529":    {gatewaytest.FailWith(529), result{529, "2", "2", "healthy"}},
		"refused": {nil, result{503, "2", "2", "healthy"}},
		"reset":   {reset, result{503, "2", "2", "healthy"}},
		"timeout": {gatewaytest.Hang, result{504, "2", "2", "healthy"}},
	}
	config, good := "model_list:\n", gatewaytest.NewProvider(t, gatewaytest.OpenAI).Base()
	for name, row := range rows {
		base := gatewaytest.RefusedAddress(t)
		if row.bad != nil {
			base = gatewaytest.NewProvider(t, row.bad).Base()
		}
		timeout := ""
		if name == "timeout" {
			timeout = ", timeout: 1"
		}
		config += gatewaytest.Entry("alone-"+name, base, timeout) + gatewaytest.Entry("group-"+name, base, ", order: 1"+timeout) +
			gatewaytest.Entry("group-"+name, good, ", order: 2"+timeout)
	}
	s := gatewaytest.Start(t, config+"router_settings: {num_retries: 1, cooldown_time: 60}\n")
	ask := func(model string) *gatewaytest.Answer {
		return s.Post("/v1/chat/completions", `{"model":"`+model+`","messages":[{"role":"user","content":"hi"}]}`)
	}
	for name, row := range rows {
		alone, group := ask("alone-"+name), ask("group-"+name)
		got := result{alone.Status, alone.Header.Get("X-Isthmus-Attempts"), group.Header.Get("X-Isthmus-Attempts"), stateOf(s, "group-"+name)}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	s.Idle()
}

// stateOf is the state of the first deployment of a group.
func stateOf(s *gatewaytest.Gateway, group string) string {
	var h struct {
		Deployments []struct {
			Group string `json:"model_group"`
			State string
		}
	}
	if err := json.Unmarshal([]byte(s.AdminGet("/health")), &h); err != nil {
		s.T.Fatal(err)
	}
	for _, d := range h.Deployments {
		if d.Group == group {
			return d.State
		}
	}
	return ""
}

func TestRetriesKeepToTheirBudgetThroughEnvoy(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]func(*testing.T) string{
		"failures with an answer": func(t *testing.T) string { return gatewaytest.NewProvider(t, gatewaytest.FailWith(500)).Base() },
		"failures without one":    gatewaytest.RefusedAddress,
	} {
		t.Run(name, func(t *testing.T) {
			good := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
			s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", bad(t), ", order: 1")+gatewaytest.Entry("m", good.Base(), ", order: 2")+
				"router_settings: {cooldown_time: 0, retry_budget_percent: 10, retry_budget_min_per_second: 0}\n")
			got := flood(s, 200, 1, gatewaytest.Ask)
			if got[200] > 20 || got[200] < 15 {
				t.Errorf("%d of 200 were retried with a budget of 10 %%: %v", got[200], got)
			}
			s.Idle()
		})
	}
}

func TestWhenAllCoolTheClientIsToldWhenToComeBackAndVerboseTellsTheAttempts(t *testing.T) {
	limited := gatewaytest.NewProvider(t, gatewaytest.FailWith(429, "Retry-After", "70"))
	broken := gatewaytest.NewProvider(t, gatewaytest.FailWith(500))
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", limited.Base(), ", order: 1")+
		gatewaytest.Entry("m", broken.Base(), ", order: 2, allowed_fails: 1, cooldown_time: 90")+
		"litellm_settings: {set_verbose: true}\nrouter_settings: {num_retries: 1}\n")
	got := s.Post("/v1/chat/completions", gatewaytest.Ask)
	details := got.Header.Get("X-Isthmus-Attempt-Details")
	if got.Status != 500 || strings.Count(details, ";ms=") != 2 || !strings.Contains(details, `;status=429;`) ||
		!strings.Contains(details, `why="500 server_error"`) {
		t.Errorf("%d with details %s", got.Status, details)
	}
	asynctest.Await(t, "the log line tells the attempts",
		func() bool { return strings.Contains(s.Stderr.String(), `"attempt_details":"`) })
	got = s.Post("/v1/chat/completions", gatewaytest.Ask)
	wait, _ := strconv.Atoi(got.Header.Get("Retry-After"))
	if got.Status != 503 || wait < 60 || wait > 70 || !strings.Contains(got.Body, `"code":"no_deployment_available"`) {
		t.Errorf("all cool: %d %v %s", got.Status, got.Header, got.Body)
	}
	if strings.Contains(got.Body, "127.0.0.1") || got.Header.Get("X-Isthmus-Attempts") != "0" {
		t.Errorf("%v %s", got.Header, got.Body)
	}
	health := s.AdminGet("/health")
	for _, want := range []string{`"state":"cooling"`, `"cooldown_cause":"429 rate_limit_error"`, `"cooldown_cause":"500 server_error"`,
		`"failures_last_minute":1`, `"left_out":[]`} {
		if !strings.Contains(health, want) {
			t.Errorf("/health lacks %s: %s", want, health)
		}
	}
	info := s.AdminGet("/v1/model/info")
	if !strings.Contains(info, `"litellm_params":{"model":"openai/up"`) || strings.Contains(info, "sk-provider") {
		t.Errorf("/v1/model/info: %s", info)
	}
}
