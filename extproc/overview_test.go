package extproc

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/status"
	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/routing/store"
)

// snapshot asks the admin port for the status page's data.
func (h *house) snapshot(key string) (int, string) {
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/status/snapshot", nil)
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	w := httptest.NewRecorder()
	Admin(h.runtime, http.NotFoundHandler()).ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestTheStatusPageTellsOfARequestAndItsAttempts(t *testing.T) {
	h := newHouse(t, twoSisters)
	f := h.open(names.FilterRequest)
	_, id := h.begin(f, question)
	h.fail(id, 1, 500, `{"error":{"message":"broken at http://a.test with sk-a"}}`)
	h.retry(id, 2, ":path", "/v1/chat/completions")
	f.end()
	<-f.err
	_, text := h.snapshot("")
	var got struct {
		Sections struct {
			Requests    map[string]status.Request    `json:"requests"`
			Deployments map[string]status.Deployment `json:"deployments"`
		} `json:"sections"`
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	want := status.Request{ID: id, Endpoint: "chat/completions", Model: "m", Aborted: true, Attempts: []status.Attempt{
		{Deployment: "a", Group: "m", Status: 500, Failed: true, Reason: "500 server_error"}, {Deployment: "b", Group: "m"},
	}}
	times := cmp.Options{cmpopts.IgnoreFields(status.Request{}, "Ended", "Took"), cmpopts.IgnoreFields(status.Attempt{}, "After", "Took")}
	if diff := cmp.Diff(want, got.Sections.Requests["0"], times); diff != "" {
		t.Errorf("the request (-want +got):\n%s", diff)
	}
	if d := got.Sections.Deployments["a"]; d.Provider != "openai" || d.Failures != 1 || d.Requests != 1 {
		t.Errorf("the deployment: %+v", d)
	}
	for _, secret := range []string{"sk-a", "sk-b", "a.test", "b.test", `"hi"`, "broken at"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is in the data: %s", secret, text)
		}
	}
}

func TestTheStatusPagesDataNeedsTheMasterKey(t *testing.T) {
	h := newHouse(t, twoSisters+"general_settings: {master_key: sk-master}\n")
	for key, want := range map[string]int{"": 401, "sk-wrong": 401, "sk-master": 200} {
		code, text := h.snapshot(key)
		if code != want || (want != 200) != strings.Contains(text, "invalid_api_key") || strings.Contains(text, "sk-master") {
			t.Errorf("key %q: %d %s", key, code, text)
		}
	}
}

func TestTheStatusPageAndHealthTellOfADeploymentsOwnLimits(t *testing.T) {
	h := newHouse(t, twoSisters)
	l := limit.New(limit.Options{
		Store: store.NewShared(store.SharedOptions{Now: time.Now, Log: slog.New(slog.DiscardHandler)}), Now: time.Now,
		Deployments: []limit.Deployment{{ID: "a", Group: "m", Budget: limit.Budget{ITPM: 70, OTPM: 90_000, MaxParallel: 3}}, {ID: "b", Group: "m"}},
	})
	defer l.Close()
	h.runtime.Use(h.router, Settings{Limiter: l})
	f := h.open(names.FilterRequest)
	h.begin(f, question)
	var page struct {
		Sections struct {
			Deployments map[string]status.Deployment `json:"deployments"`
		} `json:"sections"`
	}
	_, text := h.snapshot("")
	if err := json.Unmarshal([]byte(text), &page); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	d := page.Sections.Deployments["a"]
	if d.ITPM != 70 || d.OTPM != 90_000 || d.MaxParallel != 3 || d.Running != 1 || d.Input == 0 || d.Output == 0 {
		t.Errorf("the page: %+v", d)
	}
	if d := page.Sections.Deployments["b"]; d.ITPM != 0 || d.MaxParallel != 0 {
		t.Errorf("the page: %+v", d)
	}
	w := httptest.NewRecorder()
	Admin(h.runtime, http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1/health", nil))
	for _, want := range []string{`"itpm":70,`, `"otpm":90000,`, `"max_parallel_requests":3`, `"running":1,`, `"input_tokens_last_minute":`, `"output_tokens_last_minute":`} {
		if text := w.Body.String(); strings.Count(text, want) != 1 {
			t.Errorf("/health has %s not once: %s", want, text)
		}
	}
	f.end()
	<-f.err
}

func TestTheStatusPageTellsOfTheLimitsThatManyShareAndOfTheQueue(t *testing.T) {
	h := newHouse(t, twoSisters)
	l := limit.New(limit.Options{
		Store: store.NewShared(store.SharedOptions{Now: time.Now, Log: slog.New(slog.DiscardHandler)}), Now: time.Now,
		Deployments: []limit.Deployment{{ID: "a", Group: "m"}, {ID: "b", Group: "m"}}, Groups: map[string]limit.Budget{"m": {RPM: 9}},
		Caller: limit.Budget{RPM: 5}, MaxParallel: 7, Queue: &limit.QueueOptions{Size: 30},
	})
	defer l.Close()
	h.runtime.Use(h.router, Settings{Limiter: l, TenantHeader: "x-team"})
	for _, team := range []string{"search", "search", ""} {
		f := h.open(names.FilterRequest)
		h.begin(f, question, "x-team", team)
		f.end()
		<-f.err
	}
	_, text := h.snapshot("")
	var got struct {
		Sections struct {
			Rest struct {
				Limits []status.Limit `json:"limits"`
				Queue  status.Queue   `json:"queue"`
			} `json:"rest"`
		} `json:"sections"`
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	want := []status.Limit{
		{Of: "all", Unit: "running", Limit: 7}, {Of: "group", Name: "m", Unit: "requests/min", Limit: 9},
		{Of: "caller", Name: "without a name", Unit: "requests/min", Limit: 5, Used: 1},
		{Of: "caller", Name: "search", Unit: "requests/min", Limit: 5, Used: 2},
	}
	// What is used of a group is known with the next beat, a second later.
	got.Sections.Rest.Limits[1].Used = 0
	if diff := cmp.Diff(want, got.Sections.Rest.Limits); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
	if q := got.Sections.Rest.Queue; q != (status.Queue{Room: 30}) {
		t.Errorf("the queue: %+v", q)
	}
}

// TestWhoHasNoKeyLeavesNoTrace: anybody could flush the history and fill the log.
func TestWhoHasNoKeyLeavesNoTrace(t *testing.T) {
	h := newHouse(t, twoSisters+"general_settings: {master_key: sk-master-key}\n")
	ask := func(path string, header ...string) {
		f := h.open(names.FilterRequest)
		f.ask(requestHeaders(true, append(set(begun(), ":path", path), header...)...))
		if err := f.close(); err != nil {
			t.Fatal(err)
		}
	}
	ask("/v1/chat/completions")
	h.runtime.strangers.mu.Lock()
	h.runtime.strangers.next = time.Now().Add(time.Hour) // however slow this machine is
	h.runtime.strangers.mu.Unlock()
	for range 50 {
		ask("/openai/deployments/m/chat/completions")
		ask("/v1/chat/completions", "authorization", "Bearer wrong")
		ask("/nowhere")
		ask("/v1/models")
	}
	if n := strings.Count(h.log.String(), "msg=request"); n != 1 {
		t.Errorf("%d lines, want one", n)
	}
	ask("/nowhere", "authorization", "Bearer sk-master-key")
	_, page := h.snapshot("sk-master-key")
	if n := strings.Count(page, `"endpoint"`); n != 1 {
		t.Errorf("%d requests on the page, want that of the key: %s", n, page)
	}
	if n := strings.Count(h.log.String(), "msg=request"); n != 2 {
		t.Errorf("%d lines, want one more", n)
	}
	families, err := h.counts.Gather()
	if err != nil {
		t.Fatal(err)
	}
	refused := 0.0
	for _, f := range families {
		if f.GetName() == "isthmus_refused_total" {
			for _, m := range f.GetMetric() {
				refused += m.GetCounter().GetValue()
			}
		}
	}
	if refused != 202 {
		t.Errorf("%v refused requests are counted, want 202", refused)
	}
}
