package extproc

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/guard"
	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// recordingRouter notes what attempts tell routing. It plans retry after every
// failure, and lets every lost attempt be followed.
type recordingRouter struct {
	calls   []string
	retry   bool
	stopped bool // no attempt may follow a lost one
	panics  string
}

func (r *recordingRouter) note(format string, args ...any) {
	r.calls = append(r.calls, fmt.Sprintf(format, args...))
}

func (r *recordingRouter) Begin(h *routing.Hop) { r.note("begin %s", h.Deployment.ID) }

func (r *recordingRouter) Answered(h *routing.Hop, d time.Duration) {
	r.note("answered %s after %s", h.Deployment.ID, d)
}

func (r *recordingRouter) FirstToken(h *routing.Hop, d time.Duration) {
	r.note("first token of %s after %s", h.Deployment.ID, d)
}

func (r *recordingRouter) Done(h *routing.Hop, o routing.Outcome) {
	if h.Deployment.ID == r.panics {
		panic("a bug in routing")
	}
	r.note("done %s: %s", h.Deployment.ID, outcomeText(o))
}

func outcomeText(o routing.Outcome) string {
	words := []string{"fine"}
	if o.Failed {
		words[0] = "failed"
	}
	if o.Kind == upstream.KindTimeout {
		words = append(words, "timed out")
	}
	if o.Nowhere {
		words = append(words, "nowhere")
	}
	return fmt.Sprintf("%s %d %q after %s", strings.Join(words, ", "), o.Status, o.Reason, o.Total)
}

func (r *recordingRouter) Lost(_ *routing.Plan, n int) bool {
	r.note("lost %d", n)
	return !r.stopped
}

func (r *recordingRouter) Failed(_ *routing.Plan, n int, _ routing.Failure) routing.Next {
	r.note("failed %d", n)
	return routing.Next{Retry: r.retry}
}

func (r *recordingRouter) Choices(p *routing.Plan, n int) []routing.Choice {
	return []routing.Choice{p.Hops[n].Choice()}
}

func (r *recordingRouter) Take(p *routing.Plan, n int, c routing.Choice) error {
	r.note("take %s for hop %d", c.Deployment.ID, n)
	return nil
}

func (r *recordingRouter) attemptBegan(n int, h *routing.Hop) {
	r.note("observed: %d begins on %s", n, h.Deployment.ID)
}

func (r *recordingRouter) attemptEnded(n int, h *routing.Hop, a *attempt) {
	r.note("observed: %d ends on %s with %d", n, h.Deployment.ID, a.status)
}

func (r *recordingRouter) attemptJudged(n int, next routing.Next, _ *routing.Plan) {
	r.note("observed: retry after %d: %v", n, next.Retry)
}

// epoch is when the requests of these tests come; at is so long after it.
var epoch = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return epoch.Add(d) }

// newAttempts are attempts that follow a plan over the deployments a, b and c, with ten,
// four and ten seconds.
func newAttempts(r *recordingRouter) *attempts {
	a := &attempts{router: r, observer: r}
	plan := &routing.Plan{Name: "m", Hops: []routing.Hop{hopTo("m", "a", 0), hopTo("m", "b", 0), hopTo("n", "c", 1)}}
	for i, seconds := range []time.Duration{10, 4, 10} {
		plan.Hops[i].Timeout = seconds * time.Second
	}
	a.follow(plan)
	return a
}

func unguarded() *guard.Guard { return guard.New(slog.New(slog.NewTextHandler(io.Discard, nil)), nil) }

func TestAttemptsAreKnownByTheirNumber(t *testing.T) {
	overloaded := &upstream.Error{Status: 529, Type: "overloaded_error"}
	anybody := func(*routing.Hop) bool { return true }
	for name, tc := range map[string]struct {
		router recordingRouter
		does   func(a *attempts)
		want   []string
	}{
		"an attempt begins once, however often it is told of": {
			does: func(a *attempts) { a.begin(1, epoch); a.begin(1, at(time.Second)) },
			want: []string{"begin a", "observed: 1 begins on a"},
		},
		"an attempt that the plan does not have does not begin": {
			does: func(a *attempts) { a.begin(0, epoch); a.begin(4, epoch) },
		},
		"nothing begins without a plan": {
			does: func(a *attempts) { a.follow(nil); a.begin(1, epoch); a.failed(1, 500, "500", epoch); a.lost(2, epoch) },
		},
		"an attempt that Envoy made and that was refused is counted by the one after it": {
			does: func(a *attempts) { a.begin(1, epoch); a.lost(3, at(time.Second)) },
			want: []string{
				"begin a", "observed: 1 begins on a", "begin b",
				`done a: failed 0 "refused or reset" after 1s`, "observed: 1 ends on a with 0", "lost 1",
				`done b: failed 0 "refused or reset" after 0s`, "observed: 2 ends on b with 0", "lost 2",
			},
		},
		"an attempt is lost once": {
			does: func(a *attempts) { a.begin(1, epoch); a.lost(2, at(time.Second)); a.lost(2, at(2*time.Second)) },
			want: []string{
				"begin a", "observed: 1 begins on a", `done a: failed 0 "refused or reset" after 1s`, "observed: 1 ends on a with 0", "lost 1",
			},
		},
		"an attempt that took all its time was cut by Envoy's timer, which may be a little early": {
			does: func(a *attempts) { a.begin(1, epoch); a.lost(2, at(10*time.Second-40*time.Millisecond)) },
			want: []string{
				"begin a", "observed: 1 begins on a", `done a: failed, timed out 0 "no answer in time" after 9.96s`,
				"observed: 1 ends on a with 0", "lost 1",
			},
		},
		"Envoy's word that the time was up counts, though our clock says otherwise": {
			does: func(a *attempts) { a.begin(1, epoch); a.failed(1, 0, "upstream_per_try_timeout", at(time.Second)) },
			want: []string{
				"begin a", "observed: 1 begins on a", `done a: failed, timed out 0 "no answer in time" after 1s`, "observed: 1 ends on a with 0",
			},
		},
		"a host name that does not resolve is told to routing": {
			does: func(a *attempts) { a.begin(1, epoch); a.failed(1, 0, "no_healthy_upstream", epoch) },
			want: []string{
				"begin a", "observed: 1 begins on a", `done a: failed, nowhere 0 "its host name does not resolve" after 0s`,
				"observed: 1 ends on a with 0",
			},
		},
		"a deadline that the attempts before have used up does not speak against the last one": {
			does: func(a *attempts) {
				a.begin(1, epoch)
				a.lost(2, at(9*time.Second))
				a.begin(2, at(9*time.Second))
				a.failed(2, 0, totalTimeout, at(10*time.Second))
			},
			want: []string{
				"begin a", "observed: 1 begins on a", `done a: failed 0 "refused or reset" after 9s`, "observed: 1 ends on a with 0", "lost 1",
				"begin b", "observed: 2 begins on b", `done b: fine 0 "the request's time was up" after 1s`, "observed: 2 ends on b with 0",
			},
		},
		"an error is judged once": {
			router: recordingRouter{retry: true},
			does: func(a *attempts) {
				a.begin(1, epoch)
				for range 2 {
					a.judge(1, overloaded, routing.Outcome{Failed: true, Status: 529, Reason: "529"}, anybody, at(time.Second))
				}
			},
			want: []string{
				"begin a", "observed: 1 begins on a", `done a: failed 529 "529" after 1s`, "observed: 1 ends on a with 529",
				"failed 1", "observed: retry after 1: true",
			},
		},
		"what runs when the request ends has the request's outcome, and only then": {
			does: func(a *attempts) {
				a.begin(1, epoch)
				a.answered(1, 200, at(time.Second))
				a.close(routing.Outcome{Status: 200}, at(2*time.Second), unguarded())
				a.close(routing.Outcome{Status: 200}, at(3*time.Second), unguarded())
				a.begin(2, at(3*time.Second))
				a.failed(1, 500, "500", at(3*time.Second))
			},
			want: []string{
				"begin a", "observed: 1 begins on a", `done a: fine 200 "" after 2s`, "observed: 1 ends on a with 200",
			},
		},
		"an answer that was not read to its end keeps the status it began with": {
			does: func(a *attempts) {
				a.begin(1, epoch)
				a.answered(1, 206, at(time.Second))
				a.close(routing.Outcome{}, at(2*time.Second), unguarded())
			},
			want: []string{
				"begin a", "observed: 1 begins on a", `done a: fine 0 "" after 2s`, "observed: 1 ends on a with 206",
			},
		},
		"an answer begins once, by its first token and not by its headers": {
			does: func(a *attempts) {
				a.begin(1, epoch)
				a.answered(1, 200, at(time.Second))
				a.began(1, at(3*time.Second))
				a.began(1, at(4*time.Second))
				a.close(routing.Outcome{Status: 200}, at(5*time.Second), unguarded())
				a.began(1, at(6*time.Second))
			},
			want: []string{
				"begin a", "observed: 1 begins on a", "answered a after 3s", `done a: fine 200 "" after 5s`, "observed: 1 ends on a with 200",
			},
		},
		"a relayed answer is good by its headers, and has its first token told at last": {
			does: func(a *attempts) {
				a.begin(1, epoch)
				a.failed(1, 500, "500", at(time.Second))
				a.begin(2, at(time.Second))
				a.answered(2, 200, at(2*time.Second))
				a.relayed(2)
				a.close(routing.Outcome{}, at(9*time.Second), unguarded())
				a.firstToken(at(5 * time.Second))
			},
			want: []string{
				"begin a", "observed: 1 begins on a", `done a: failed 500 "500" after 1s`, "observed: 1 ends on a with 500",
				"begin b", "observed: 2 begins on b", "answered b after 0s", `done b: fine 0 "" after 8s`, "observed: 2 ends on b with 200",
				"first token of b after 4s",
			},
		},
		"a panic in the end of one attempt leaves the others to be ended": {
			router: recordingRouter{panics: "a"},
			does: func(a *attempts) {
				a.begin(1, epoch)
				a.begin(2, epoch)
				a.close(routing.Outcome{}, epoch, unguarded())
			},
			want: []string{
				"begin a", "observed: 1 begins on a", "begin b", "observed: 2 begins on b", `done b: fine 0 "" after 0s`,
				"observed: 2 ends on b with 0",
			},
		},
		"an attempt that has begun keeps its deployment, whatever is chosen for it later": {
			does: func(a *attempts) {
				a.begin(1, epoch)
				a.begin(2, epoch)
				if c := a.plan.Hops[2].Choice(); a.take(2, c) || !a.take(3, c) {
					panic("the wrong attempt takes a choice")
				}
				a.close(routing.Outcome{}, epoch, unguarded())
				a.take(3, a.plan.Hops[2].Choice())
			},
			want: []string{
				"begin a", "observed: 1 begins on a", "begin b", "observed: 2 begins on b", "take c for hop 2",
				`done a: fine 0 "" after 0s`, "observed: 1 ends on a with 0", `done b: fine 0 "" after 0s`, "observed: 2 ends on b with 0",
			},
		},
		"each attempt's own time says whether its time was up": {
			does: func(a *attempts) {
				a.begin(1, epoch)
				a.lost(2, at(5*time.Second))
				a.begin(2, at(5*time.Second))
				a.lost(3, at(9*time.Second))
			},
			want: []string{
				"begin a", "observed: 1 begins on a", `done a: failed 0 "refused or reset" after 5s`, "observed: 1 ends on a with 0", "lost 1",
				"begin b", "observed: 2 begins on b", `done b: failed, timed out 0 "no answer in time" after 4s`,
				"observed: 2 ends on b with 0", "lost 2",
			},
		},
		"a deployment that Envoy passed over gives its place in the plan": {
			does: func(a *attempts) {
				a.begin(1, epoch)
				a.hopOn(1, "c")
				a.lost(2, epoch)
				a.begin(2, epoch)
				a.hopOn(3, "")
			},
			want: []string{
				"begin a", "observed: 1 begins on a", `done a: fine 0 "" after 0s`, "begin c",
				`done c: failed 0 "refused or reset" after 0s`, "observed: 1 ends on c with 0", "lost 1", "begin b", "observed: 2 begins on b",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := tc.router
			tc.does(newAttempts(&r))
			if diff := cmp.Diff(tc.want, r.calls); diff != "" {
				t.Errorf("what routing and the observer are told (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAHopIsFoundByItsNumberOrByTheDeploymentThatEnvoyChose(t *testing.T) {
	for name, tc := range map[string]struct {
		n         int
		id        string
		want      string // "": none
		moved     bool
		planAfter string
	}{
		"the number alone":                             {1, "", "a", false, "a b c"},
		"the planned deployment":                       {2, "b", "b", false, "a b c"},
		"one that was to come later changes places":    {1, "c", "c", true, "c b a"},
		"one that was tried before is tried again":     {2, "a", "a", true, "a a c"},
		"a deployment that is in no hop":               {1, "x", "", false, "a b c"},
		"an attempt after the end of the plan":         {4, "", "", false, "a b c"},
		"an attempt before the first":                  {0, "a", "", false, "a b c"},
		"the last of the plan, as Envoy has chosen it": {3, "c", "c", false, "a b c"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttempts(&recordingRouter{})
			hop, moved, ok := a.hopOn(tc.n, tc.id)
			if ok != (tc.want != "") || ok && hop.Deployment.ID != tc.want || moved != tc.moved {
				t.Errorf("got %v, moved %v, ok %v", hop.Deployment, moved, ok)
			}
			var ids []string
			for _, h := range a.plan.Hops {
				ids = append(ids, h.Deployment.ID)
			}
			if got := strings.Join(ids, " "); got != tc.planAfter {
				t.Errorf("the plan is %q, want %q", got, tc.planAfter)
			}
		})
	}
}

func TestHopsThatCannotDoWhatIsAskedAreTakenOutOfAPlanThatCanChange(t *testing.T) {
	only := func(id string) func(*routing.Hop) bool {
		return func(h *routing.Hop) bool { return h.Deployment.ID == id }
	}
	for name, tc := range map[string]struct {
		able  func(*routing.Hop) bool
		fixed bool
		retry bool
		next  string // the deployment of the next attempt
		hops  int
	}{
		"the next one can":               {only("b"), false, true, "b", 3},
		"only the one after it can":      {only("c"), false, true, "c", 2},
		"none can: no attempt follows":   {only("x"), false, false, "", 1},
		"a fixed plan stays as it is":    {only("x"), true, true, "", 3},
		"the plan before it is not seen": {only("a"), false, false, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttempts(&recordingRouter{retry: true})
			a.plan.Fixed = tc.fixed
			a.begin(1, epoch)
			next, planned := a.judge(1, &upstream.Error{Status: 500}, routing.Outcome{Failed: true, Status: 500}, tc.able, epoch)
			id := ""
			if planned != nil {
				id = planned.ID
			}
			if next.Retry != tc.retry || id != tc.next || len(a.plan.Hops) != tc.hops {
				t.Errorf("retry %v on %q, %d hops", next.Retry, id, len(a.plan.Hops))
			}
			if e := a.remembered(); e == nil || e.Status != 500 {
				t.Errorf("the last error is %v", e)
			}
		})
	}
}

func TestAnAttemptAfterALostOneIsMadeOnlyWhereRoutingLetsIt(t *testing.T) {
	for _, stopped := range []bool{false, true} {
		a := newAttempts(&recordingRouter{stopped: stopped})
		a.begin(1, epoch)
		if may := a.lost(2, epoch); may == stopped {
			t.Errorf("routing has stopped it: %v; it may be made: %v", stopped, may)
		}
		if may := a.lost(2, epoch); !may {
			t.Error("routing is asked again of an attempt that has ended")
		}
	}
}

func TestWhatAFailedAttemptHasUsedOfItsLimits(t *testing.T) {
	for name, tc := range map[string]struct {
		ends func(a *attempts)
		want limit.Outcome
	}{
		"an attempt that was not made: nothing":         {func(*attempts) {}, limit.Outcome{}},
		"one that was refused: nothing":                 {func(a *attempts) { a.lost(2, at(time.Second)) }, limit.Outcome{}},
		"one whose host name does not resolve: nothing": {func(a *attempts) { a.failed(1, 0, noHost, epoch) }, limit.Outcome{}},
		"one that answered with an error: a request, and no tokens": {
			func(a *attempts) { a.failed(1, 500, "500", epoch) }, limit.Outcome{Reached: true, Known: true},
		},
		"one whose time was up: the provider may have worked on it": {
			func(a *attempts) { a.lost(2, at(10*time.Second)) }, limit.Outcome{Reached: true},
		},
		"one that ran when the client left: the provider may work on it": {
			func(a *attempts) { a.close(routing.Outcome{}, epoch, unguarded()) }, limit.Outcome{Reached: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttempts(&recordingRouter{})
			if !strings.Contains(name, "not made") {
				a.begin(1, epoch)
			}
			tc.ends(a)
			if got := a.spent(1); got != tc.want {
				t.Errorf("spent = %+v, want %+v", got, tc.want)
			}
			if got := a.spent(3); got != (limit.Outcome{}) {
				t.Errorf("an attempt that was never made spent %+v", got)
			}
		})
	}
}

func TestFallbacksAndTheLastReasonAreThoseOfTheAttemptsMade(t *testing.T) {
	a := newAttempts(&recordingRouter{})
	if n := a.fallbacks(); n != 0 || a.lastReason(1) != "" {
		t.Errorf("before the first attempt: %d fallbacks, reason %q", n, a.lastReason(1))
	}
	a.begin(1, epoch)
	a.lost(3, epoch)
	a.begin(3, epoch)
	if n := a.fallbacks(); n != 1 || a.count() != 3 {
		t.Errorf("%d fallbacks, %d attempts", n, a.count())
	}
	if got := a.lastReason(2) + "|" + a.lastReason(3) + "|" + a.lastReason(9); got != noAnswer+"||" {
		t.Errorf("reasons = %s", got)
	}
}
