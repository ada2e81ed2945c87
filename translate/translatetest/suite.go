package translatetest

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/isthmus-proxy/isthmus/translate"
	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Suite is a provider under test.
type Suite struct {
	Provider string // its name in the model config
	Model    string // for tests that name none
	BaseURL  string // for tests and cases that name none
}

// Run plays each golden exchange of the provider, its answer cut in every way.
func Run(t *testing.T, s Suite) {
	list, err := Load("testdata/exchanges")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range list {
		t.Run(x.Name, func(t *testing.T) {
			t.Parallel()
			target, err := x.target(s.BaseURL)
			if err != nil {
				t.Fatal(err)
			}
			bound, err := translate.Bind(target)
			if err != nil {
				t.Fatal(err)
			}
			x.Check(t, bound, target.BaseURL)
			if x.answer != nil {
				x.checkReplays(t, bound)
				x.checkStarted(t, bound)
			}
		})
	}
}

// Check plays the exchange once and reports what differs from the golden one.
// baseURL is where the translator's calls go.
func (x *Exchange) Check(t *testing.T, bound *translate.Bound, baseURL string) {
	t.Helper()
	req, err := x.Parsed()
	if err != nil {
		t.Fatal(err)
	}
	call, err := bound.Request(req)
	var refused *upstream.Error
	if err != nil && !errors.As(err, &refused) {
		t.Fatalf("not an error for a client: %v", err)
	}
	base, err := url.Parse(baseURL)
	if err != nil {
		t.Fatal(err)
	}
	report(t, "request", x.CompareCall(base, call))
	var answer Answer
	switch {
	case refused != nil:
		answer = failed(refused)
	case x.answer == nil:
		return // reported above: the provider must not be asked
	default:
		answer = x.Play(bound, req, x.answer.cuts)
	}
	report(t, "answer", x.CompareAnswer(answer))
	if t.Failed() {
		if call != nil {
			t.Logf("upstream request: %s %s\n%s", call.Method, call.Path, call.Text())
		}
		t.Logf("answer: %d\n%s", answer.Status, answer.Body)
	}
}

func report(t *testing.T, what string, differences []string) {
	t.Helper()
	for _, d := range differences {
		t.Errorf("%s%s", what, d)
	}
}

// checkReplays holds the translator to the same answer however it is cut.
func (x *Exchange) checkReplays(t *testing.T, bound *translate.Bound) {
	t.Helper()
	req, err := x.Parsed()
	if err != nil {
		t.Fatal(err)
	}
	want := steady(x.Play(bound, req, nil).Body)
	for _, cuts := range x.replays() {
		if got := steady(x.Play(bound, req, cuts).Body); got != want {
			t.Fatalf("cut at %d the answer is\n%s\nbut whole it is\n%s", cuts, got, want)
		}
	}
}

// target reads litellm_params as routing/config does, as far as the exchanges
// need it. That the two agree is tested in routing.
func (x *Exchange) target(base string) (*upstream.Target, error) {
	var p struct {
		Model        string            `json:"model"`
		APIKey       string            `json:"api_key"`
		APIBase      string            `json:"api_base"`
		APIVersion   string            `json:"api_version"`
		AzureADToken string            `json:"azure_ad_token"`
		Organization string            `json:"organization"`
		DropParams   bool              `json:"drop_params"`
		ExtraHeaders map[string]string `json:"extra_headers"`
	}
	if err := json.Unmarshal(x.Config, &p, json.RejectUnknownMembers(true)); err != nil {
		return nil, err
	}
	_, model, _ := strings.Cut(p.Model, "/")
	t := &upstream.Target{
		Provider: x.Provider, Model: model, BaseURL: base, APIKey: secret.New(p.APIKey), AzureADToken: secret.New(p.AzureADToken),
		APIVersion: p.APIVersion, Organization: p.Organization, DropParams: p.DropParams,
	}
	if p.APIBase != "" {
		t.BaseURL, t.CustomBase = strings.TrimRight(p.APIBase, "/"), true
	}
	for name, value := range p.ExtraHeaders {
		t.Headers = append(t.Headers, upstream.ExtraHeader{Name: name, Value: secret.New(value)})
	}
	slices.SortFunc(t.Headers, func(a, b upstream.ExtraHeader) int { return strings.Compare(a.Name, b.Name) })
	return t, nil
}
