package status

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
)

// world is a gateway made up by a test, with a clock of its own.
type world struct {
	at       time.Time
	snapshot Snapshot
	history  *History
	board    *Board
}

func newWorld() *world {
	w := &world{at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	now := func() time.Time { return w.at }
	w.snapshot = Snapshot{Gateway: Gateway{Version: "v1"}, Deployments: []Deployment{{ID: "a", State: "healthy"},
		{ID: "b", Order: 1, State: "healthy"}}}
	w.history = NewHistory(now)
	w.history.Track([]string{"a", "b"})
	w.board = NewBoard(func() Snapshot { return w.snapshot }, w.history, now)
	return w
}

// seen is a frame as the tests look at it.
type seen struct {
	Version  int64
	Full     bool
	Sections map[string]map[string]any
}

// part is one part of a frame; nil when it is not in it.
func (s *seen) part(section, key string) map[string]any {
	p, _ := s.Sections[section][key].(map[string]any)
	return p
}

// frame moves the clock on by an interval and reads a frame.
func (w *world) frame(t *testing.T, since int64) *seen {
	t.Helper()
	w.at = w.at.Add(Interval)
	text, version, err := w.board.Frame(since)
	if err != nil {
		t.Fatal(err)
	}
	if text == nil {
		return nil
	}
	var f seen
	if err := json.Unmarshal(text, &f, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if f.Version != version {
		t.Errorf("the frame says version %d, Frame says %d", f.Version, version)
	}
	return &f
}

func TestAFrameHoldsWhatHasChangedSinceAVersion(t *testing.T) {
	w := newWorld()
	first := w.frame(t, 0)
	if !first.Full || len(first.Sections["deployments"]) != 2 || first.part("gateway", "")["version"] != "v1" {
		t.Errorf("the first frame is not the whole: %+v", first)
	}
	if again := w.frame(t, first.Version); again != nil {
		t.Errorf("nothing changed, but there is a frame: %+v", again)
	}
	w.snapshot.Deployments[1].State = "cooling"
	next := w.frame(t, first.Version)
	want := &seen{Version: first.Version + 1, Sections: map[string]map[string]any{
		"deployments": {"b": map[string]any{"id": "b", "order": 1.0, "group": "", "provider": "", "model": "", "state": "cooling",
			"in_flight": 0.0, "requests": 0.0, "tokens": 0.0, "failures": 0.0}},
	}}
	if diff := cmp.Diff(want, next); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAReaderWhoSkipsFramesGetsTheNewestOfEachPart(t *testing.T) {
	w := newWorld()
	first := w.frame(t, 0)
	for i := range int64(5) {
		w.snapshot.Deployments[0].InFlight = i + 1
		w.frame(t, 0)
	}
	got := w.frame(t, first.Version)
	if got.Full || len(got.Sections) != 1 || got.part("deployments", "a")["in_flight"] != 5.0 {
		t.Errorf("%+v", got)
	}
}

func TestWhatGoesMakesTheNextFrameWhole(t *testing.T) {
	w := newWorld()
	first := w.frame(t, 0)
	w.snapshot.Deployments = w.snapshot.Deployments[:1]
	w.history.Track([]string{"a"})
	got := w.frame(t, first.Version)
	if !got.Full || len(got.Sections["deployments"]) != 1 || len(got.Sections["trails"]) != 1 {
		t.Errorf("%+v", got)
	}
	if w.frame(t, got.Version) != nil {
		t.Error("it is whole for ever")
	}
}

func TestTheBoardLooksOnceInAnInterval(t *testing.T) {
	w := newWorld()
	looks := 0
	w.board.source = func() Snapshot { looks++; return w.snapshot }
	for range 10 {
		if _, _, err := w.board.Frame(0); err != nil {
			t.Fatal(err)
		}
	}
	if looks != 1 {
		t.Errorf("it looked %d times", looks)
	}
}

func TestTheLastHundredRequestsAreKept(t *testing.T) {
	w := newWorld()
	first := w.frame(t, 0)
	for i := range 250 {
		w.history.Add(Request{ID: fmt.Sprint(i), Model: strings.Repeat("m", 5000) + "\xff",
			Attempts: []Attempt{{Deployment: "nobody", Reason: strings.Repeat("é", 5000)}}})
	}
	got := w.frame(t, first.Version)
	requests := got.Sections["requests"]
	if got.Full || len(requests) != kept || got.part("requests", "249")["id"] != "249" || requests["150"] == nil || requests["149"] != nil {
		t.Errorf("full %v, %d requests", got.Full, len(requests))
	}
	if n := len(got.part("requests", "249")["model"].(string)); n > longest+4 {
		t.Errorf("%d bytes of the model's name are kept", n)
	}
	if n := len(w.board.parts); n > kept+20 {
		t.Errorf("the board holds %d parts", n)
	}
}

func TestATrailTellsTheMinutesInSlices(t *testing.T) {
	w := newWorld()
	w.at = w.at.Truncate(trailSlice)
	add := func(status int, failed bool, firstByte float64) {
		w.history.Add(Request{Attempts: []Attempt{{Deployment: "a", Status: status, Failed: failed, FirstByte: firstByte}}})
	}
	add(200, false, 100)
	add(200, false, 300)
	add(500, true, 0)
	add(0, false, 0)  // the client left
	add(400, true, 0) // the client's mistake
	w.at = w.at.Add(2 * trailSlice)
	add(200, false, 50) // in the running slice
	want := Trail{Wait: []float64{200, 0}, Good: []int64{2, 0}, Failed: []int64{1, 0}}
	if diff := cmp.Diff(want, w.history.trail()["a"]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.at = w.at.Add(trailLength * trailSlice)
	if diff := cmp.Diff(Trail{}, w.history.trail()["a"]); diff != "" {
		t.Errorf("what is long ago counts (-want +got):\n%s", diff)
	}
}

func BenchmarkAdd(b *testing.B) {
	h := NewHistory(time.Now)
	h.Track([]string{"a"})
	attempts := []Attempt{{Deployment: "a", Status: 200, FirstByte: 20}}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			h.Add(Request{ID: "x", Model: "m", Status: 200, Attempts: attempts})
		}
	})
}

// BenchmarkFrame is what a viewer costs each second with 200 busy deployments.
func BenchmarkFrame(b *testing.B) {
	s := newScene(200)
	var seen int64
	b.ReportAllocs()
	for b.Loop() {
		s.at = s.at.Add(Interval)
		for i := range s.snapshot.Deployments {
			s.snapshot.Deployments[i].Requests++
		}
		_, seen, _ = s.board.Frame(seen)
	}
}
