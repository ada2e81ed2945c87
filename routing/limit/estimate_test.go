package limit

import "testing"

func TestEstimatesLearnWhatUsageReallyIs(t *testing.T) {
	var e estimator
	if got, want := e.guess(Size{Text: 4000, MaxOutput: 300}), (estimate{1008, 300}); got != want {
		t.Errorf("before the first answer: %+v, want %+v", got, want)
	}
	if got, want := e.guess(Size{Text: 4000, Media: 2}), (estimate{3008, 512}); got != want {
		t.Errorf("with media and no bound: %+v, want %+v", got, want)
	}
	for range 100 { // two bytes a token, 50 tokens of answer
		e.learn(Size{Text: 4000, MaxOutput: 4096}, 2008, 50)
	}
	got := e.guess(Size{Text: 4000, MaxOutput: 4096})
	if got.input < 1950 || got.input > 2050 || got.output < 50 || got.output > 60 {
		t.Errorf("after 100 answers of 2008 and 50 tokens: %+v", got)
	}
	if got := e.guess(Size{Text: 4000, MaxOutput: 20}); got.output != 20 {
		t.Errorf("an answer of at most 20 tokens is estimated at %d", got.output)
	}
}

func TestOddAnswersDoNotSpoilTheEstimate(t *testing.T) {
	var e estimator
	e.learn(Size{Text: 10}, 0, 0)
	e.learn(Size{}, 100, 0)
	e.learn(Size{Text: 100, Media: 3}, 5000, 0)
	if got, want := e.guess(Size{Text: 400}), (estimate{108, 512}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func BenchmarkEstimate(b *testing.B) {
	b.ReportAllocs()
	var e estimator
	s := Size{Text: 4000, MaxOutput: 300}
	for b.Loop() {
		e.learn(s, 1000, e.guess(s).output)
	}
}
