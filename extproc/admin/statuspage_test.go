package admin

import (
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/extproc"
	"github.com/isthmus-proxy/isthmus/extproc/status"
	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/routing/store"
)

const twoSisters = `model_list:
- {model_name: m, litellm_params: {model: openai/up-a, api_base: "http://a.test/v1", api_key: sk-a}, model_info: {id: a}}
- {model_name: m, litellm_params: {model: anthropic/up-b, api_base: "http://b.test", api_key: sk-b}, model_info: {id: b}}
`

func TestTheStatusPagesDataNeedsTheMasterKey(t *testing.T) {
	p := newPort(t, twoSisters+"general_settings: {master_key: sk-master}\n")
	for key, want := range map[string]int{"": 401, "sk-wrong": 401, "sk-master": 200} {
		code, text := p.get("/status/snapshot", key)
		if code != want || (want != 200) != strings.Contains(text, "invalid_api_key") || strings.Contains(text, "sk-master") {
			t.Errorf("key %q: %d %s", key, code, text)
		}
	}
}

func TestTheStatusPageAndHealthTellOfADeploymentsOwnLimits(t *testing.T) {
	p := newPort(t, twoSisters)
	l := limit.New(limit.Options{
		Store: store.NewShared(store.SharedOptions{Now: time.Now, Log: slog.New(slog.DiscardHandler)}), Now: time.Now,
		Deployments: []limit.Deployment{{ID: "a", Group: "m", Budget: limit.Budget{ITPM: 70, OTPM: 90_000, MaxParallel: 3}},
			{ID: "b", Group: "m"}},
	})
	defer l.Close()
	p.runtime.Use(p.router, extproc.Settings{Limiter: l})
	if _, err := l.Admit(t.Context(), &limit.Ask{ID: "1", Model: "m", Candidates: []string{"a"},
		Size: limit.Size{Text: 50, MaxOutput: 7}}); err != nil {
		t.Fatal(err)
	}
	var page struct {
		Sections struct {
			Deployments map[string]status.Deployment `json:"deployments"`
		} `json:"sections"`
	}
	_, text := p.get("/status/snapshot", "")
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
	_, text = p.get("/health", "")
	for _, want := range []string{`"itpm":70,`, `"otpm":90000,`, `"max_parallel_requests":3`, `"running":1,`, `"input_tokens_last_minute":`,
		`"output_tokens_last_minute":`} {
		if strings.Count(text, want) != 1 {
			t.Errorf("/health has %s not once: %s", want, text)
		}
	}
}

func TestTheStatusPageTellsOfTheLimitsThatManyShareAndOfTheQueue(t *testing.T) {
	p := newPort(t, twoSisters)
	l := limit.New(limit.Options{
		Store: store.NewShared(store.SharedOptions{Now: time.Now, Log: slog.New(slog.DiscardHandler)}), Now: time.Now,
		Deployments: []limit.Deployment{{ID: "a", Group: "m"}, {ID: "b", Group: "m"}}, Groups: map[string]limit.Budget{"m": {RPM: 9}},
		Caller: limit.Budget{RPM: 5}, MaxParallel: 7, Queue: &limit.QueueOptions{Size: 30},
	})
	defer l.Close()
	p.runtime.Use(p.router, extproc.Settings{Limiter: l, TenantHeader: "x-team"})
	for id, team := range []string{"search", "search", "-"} { // as the service names who has no name
		ask := &limit.Ask{ID: strconv.Itoa(id), Model: "m", Caller: team, Candidates: []string{"a"}}
		a, err := l.Admit(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		a.Close(limit.Outcome{Reached: true})
	}
	_, text := p.get("/status/snapshot", "")
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
