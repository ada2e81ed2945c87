package limit_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/routing/limit"
)

// wantUses compares the limits that many requests share after a beat.
func (w *world) wantUses(want ...limit.Use) {
	w.t.Helper()
	time.Sleep(1500 * time.Millisecond) // a beat, in the bubble's time
	if diff := cmp.Diff(want, w.Uses()); diff != "" {
		w.t.Errorf("uses (-want +got):\n%s", diff)
	}
}

func TestSharedLimitsTellWhatIsUsedOfThem(t *testing.T) {
	o := limit.Options{
		Deployments: deployments(limit.Budget{RPM: 50}), MaxParallel: 8,
		Groups: map[string]limit.Budget{"g": {RPM: 100, TPM: 9000}, "unlimited": {}},
		Caller: limit.Budget{RPM: 10, OTPM: 5000, MaxParallel: 4},
	}
	use := func(of, name, unit string, used, limited int64) limit.Use {
		return limit.Use{Of: of, Name: name, Unit: unit, Used: used, Limit: limited}
	}
	alone(t, o, func(t *testing.T, w *world) {
		all := func(running int64) limit.Use { return use("all", "", "running", running, 8) }
		w.wantUses(all(0), use("group", "g", "requests/min", 0, 100), use("group", "g", "tokens/min", 0, 9000))
		admit := func(caller string) *limit.Admission {
			ask := w.ask("a")
			ask.Caller = caller
			a, err := w.Admit(t.Context(), ask)
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		running := admit("ana") // counts by its estimate: 8 tokens of input, 512 of output
		defer running.Close(done)
		for _, caller := range []string{"ana", "ana", "bo"} {
			admit(caller).Close(done)
		}
		w.wantUses(all(1),
			use("group", "g", "requests/min", 4, 100), use("group", "g", "tokens/min", 565, 9000),
			use("caller", "ana", "requests/min", 3, 10), use("caller", "ana", "output tokens/min", 522, 5000), use("caller", "ana", "running", 1, 4),
			use("caller", "bo", "requests/min", 1, 10), use("caller", "bo", "output tokens/min", 5, 5000), use("caller", "bo", "running", 0, 4))
		time.Sleep(130 * time.Second) // windows are empty, and "bo" has been still for as long again
		w.wantUses(all(1), use("group", "g", "requests/min", 0, 100), use("group", "g", "tokens/min", 0, 9000),
			use("caller", "ana", "requests/min", 0, 10), use("caller", "ana", "output tokens/min", 0, 5000), use("caller", "ana", "running", 1, 4))
	})
}

// TestADeploymentTellsOfAllItsLimits: of those beside requests and tokens, too.
func TestADeploymentTellsOfAllItsLimits(t *testing.T) {
	budget := limit.Budget{ITPM: 500, OTPM: 900, MaxParallel: 2}
	alone(t, limit.Options{Deployments: deployments(budget, limit.Budget{RPM: 9})}, func(t *testing.T, w *world) {
		ask := w.ask("a")
		ask.Size = limit.Size{Text: 400, MaxOutput: 800}
		a, err := w.Admit(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		want := limit.Own{ITPM: 500, Input: 8 + 100, OTPM: 900, Output: 800, MaxParallel: 2, Running: 1}
		if got := w.Own("a"); got != want {
			t.Errorf("while it runs: %+v, want %+v", got, want)
		}
		a.Close(limit.Outcome{Reached: true, Known: true, Prompt: 90, Completion: 10})
		time.Sleep(2 * time.Second)
		want.Input, want.Output, want.Running = 90, 10, 0
		if got := w.Own("a"); got != want {
			t.Errorf("when it has ended: %+v, want %+v", got, want)
		}
		if got := w.Own("b"); got != (limit.Own{}) {
			t.Errorf("a deployment without such limits: %+v", got)
		}
	})
}

func TestOfManyCallersThoseNearestToTheirLimitsAreTold(t *testing.T) {
	alone(t, limit.Options{Deployments: deployments(limit.Budget{}), Caller: limit.Budget{RPM: 10}}, func(t *testing.T, w *world) {
		for i := range 100 {
			ask := w.ask("a")
			ask.Caller = fmt.Sprint("caller-", i)
			for range 1 + i%3/2*7 { // every third is busy
				ask.ID += "x"
				if _, err := w.Admit(t.Context(), ask); err != nil {
					t.Fatal(err)
				}
			}
		}
		uses := w.Uses()
		for _, u := range uses {
			if u.Used != 8 {
				t.Errorf("%s with %d of %d is told, of 33 busy callers", u.Name, u.Used, u.Limit)
			}
		}
		if len(uses) != 16 {
			t.Errorf("%d callers are told, want 16", len(uses))
		}
	})
}
