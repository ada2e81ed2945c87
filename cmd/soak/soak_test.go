package main

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestAScriptGoesThroughAPromptAndComesOutAsItWas(t *testing.T) {
	want := script{size: 1, chunks: 2, pause: 3, wait: 4, status: 500, errors: 6, cut: 1, hang: 1}
	if got := scriptOf([]byte(`{"content":"some text ` + want.String() + `"}`)); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := scriptOf([]byte("no script")); got != (script{}) {
		t.Errorf("got %+v of nothing", got)
	}
}

func TestOnlyAWholeAnswerIsAnsweredAndOnlyAnErrorHasFailedCleanly(t *testing.T) {
	const event = `data: {"choices":[]}` + "\n\n"
	const failure = `data: {"error":{"message":"x"}}` + "\n\n"
	for name, tc := range map[string]struct {
		status int
		kind   kind
		text   string
		want   ending
	}{
		"a document":                     {200, kind{}, `{"id":"x"}`, answered},
		"half a document":                {200, kind{}, `{"id":`, unanswered},
		"nothing":                        {200, kind{}, ``, unanswered},
		"an error":                       {503, kind{}, `{"error":{"message":"x"}}`, failed},
		"an error of another shape":      {503, kind{}, `no healthy upstream`, unanswered},
		"a stream":                       {200, kind{stream: true}, event + "data: [DONE]\n\n", answered},
		"a stream without an end":        {200, kind{stream: true}, event, unanswered},
		"a stream with an error at last": {200, kind{stream: true}, event + failure, failed},
		"and its end":                    {200, kind{stream: true, broken: true}, event + failure + "data: [DONE]\n\n", failed},
		"a clean end of what was cut":    {200, kind{stream: true, broken: true}, event + "data: [DONE]\n\n", unanswered},
	} {
		got, err := judge(tc.status, tc.kind, []byte(tc.text))
		if got != tc.want || (err != nil) != (tc.want == unanswered) {
			t.Errorf("%s: %d, %v; want %d", name, got, err, tc.want)
		}
	}
}

func TestMemoryIsFlatWhenTheLastThirdIsAsTheMiddleOne(t *testing.T) {
	third := func(n int64) residents { return slices.Repeat(residents{n << 20}, fewestToSay/3) }
	for name, tc := range map[string]struct {
		samples residents
		grows   bool
	}{
		"flat":                      {slices.Concat(third(100), third(200), third(200)), false},
		"a warm-up may grow":        {slices.Concat(third(10), third(400), third(400)), false},
		"within the slack":          {slices.Concat(third(10), third(40), third(56)), false},
		"within the percentage":     {slices.Concat(third(10), third(400), third(440)), false},
		"more than both":            {slices.Concat(third(10), third(400), third(450)), true},
		"a peak is no growth":       {slices.Concat(third(10), third(400), third(400), residents{4000 << 20}), false},
		"too few to say":            {residents{1 << 30, 2 << 30}, false},
		"it may shrink all the way": {slices.Concat(third(400), third(300), third(200)), false},
	} {
		if err := tc.samples.flat(); (err != nil) != tc.grows {
			t.Errorf("%s: %v", name, err)
		}
	}
	if resident(os.Getpid()) == 0 {
		t.Error("this process has no memory")
	}
}

func TestTheFiguresAreOfEachKindAndSayWhy(t *testing.T) {
	mix := kinds()
	count := newTally(mix)
	count.add(mix[0], answered, nil)
	count.add(mix[1], unanswered, errors.New("gone"))
	var out bytes.Buffer
	count.print(&out)
	for _, want := range []string{mix[0].name, "not answered, " + mix[1].name + ": gone"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	if err := ended(count); err == nil || !strings.HasPrefix(err.Error(), "1 requests") {
		t.Errorf("the end is %v", err)
	}
	for n := range 200 {
		if k := pick(mix, n); k.name == "" {
			t.Errorf("share %d has no kind", n)
		}
	}
}

// Each kind's own provider does what the client expects of it, without a gateway.
func TestTheScriptedProvidersAnswerEachKind(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(provider))
	defer server.Close()
	dice := rand.New(rand.NewPCG(1, 1))
	for _, k := range kinds() {
		if k.model != "openai" || k.leaves {
			continue
		}
		resp, err := http.Post(server.URL+"/good/v1/chat/completions", "application/json", strings.NewReader(k.body(dice)))
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		_, err = text.ReadFrom(resp.Body)
		_ = resp.Body.Close()
		if got, why := judge(resp.StatusCode, k, text.Bytes()); err != nil || got != answered {
			t.Errorf("%s: %d, %v, %v", k.name, got, why, err)
		}
	}
}
