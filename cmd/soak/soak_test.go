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

	"github.com/isthmus-proxy/isthmus/cmd/soak/ending"
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
	count.add(mix[0], ending.Answered, nil)
	count.add(mix[1], ending.Unanswered, errors.New("gone"))
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
		if got, why := ending.Of(resp.StatusCode, k.stream, k.broken, text.Bytes()); err != nil || got != ending.Answered {
			t.Errorf("%s: %d, %v, %v", k.name, got, why, err)
		}
	}
}
