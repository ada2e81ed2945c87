package limit_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/routing/guard"
	"github.com/isthmus-proxy/isthmus/routing/limit"
)

func TestTenAtOnceTwoRunFiveWaitThreeAreRefused(t *testing.T) {
	o := limit.Options{MaxParallel: 2, Queue: &limit.QueueOptions{Size: 5}}
	alone(t, o, func(t *testing.T, w *world) {
		var mu sync.Mutex
		var order []int
		refused := 0
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				ask := w.ask("x")
				a, err := w.Admit(t.Context(), ask)
				if r := (*limit.Refused)(nil); errors.As(err, &r) && r.NeedsSlot {
					a, _, err = w.AdmitQueued(t.Context(), ask, limit.Ticket{})
				}
				mu.Lock()
				if err != nil {
					refused++
					if r := (*limit.Refused)(nil); !errors.As(err, &r) || r.Answer.Status != 429 || r.Answer.Header.Get("retry-after") == "" {
						t.Error(err)
					}
					mu.Unlock()
					return
				}
				order = append(order, i)
				mu.Unlock()
				time.Sleep(time.Second + time.Duration(i)*time.Millisecond) // no two end together
				a.Close(done)
			})
			synctest.Wait()
		}
		if n := w.Queued(); n != 5 {
			t.Errorf("%d wait", n)
		}
		began := time.Now()
		all.Wait()
		if diff := cmp.Diff([]int{0, 1, 2, 3, 4, 5, 6}, order); diff != "" || refused != 3 {
			t.Errorf("%d refused; order (-want +got):\n%s", refused, diff)
		}
		if took := time.Since(began); took.Round(time.Second) != 4*time.Second {
			t.Errorf("seven requests of 1 s, two at a time, took %v", took)
		}
	})
}

func TestNobodyOvertakesTheQueue(t *testing.T) {
	o := limit.Options{Deployments: deployments(limit.Budget{}), MaxParallel: 1, Queue: &limit.QueueOptions{}}
	alone(t, o, func(t *testing.T, w *world) {
		running := w.admit("a")
		go func() {
			a, _, err := w.AdmitQueued(t.Context(), w.ask("a"), limit.Ticket{})
			if err != nil {
				t.Error(err)
				return
			}
			time.Sleep(time.Second)
			a.Close(done)
		}()
		synctest.Wait()
		if r := w.refused(w.ask("a")); !r.NeedsSlot {
			t.Error("the newcomer is not told to wait")
		}
		running.Close(done)
		synctest.Wait()
		w.refused(w.ask("a")) // the one that waited has the slot
		time.Sleep(2 * time.Second)
		w.admit("a").Close(done)
	})
}

// two are the deployments a and b with a slot each, and a queue.
func two() limit.Options {
	one := limit.Budget{MaxParallel: 1}
	return limit.Options{Deployments: deployments(one, one), Queue: &limit.QueueOptions{}}
}

func TestARequestWhoseCandidateIsFreeNeverWaits(t *testing.T) {
	alone(t, two(), func(t *testing.T, w *world) {
		running := w.admit("a")
		first := w.queued(t.Context(), w.ask("a"), time.Time{})
		asked := w.asked.Load()
		other := w.admit("ab") // another one of the same model, which b may serve
		if other.Chosen() != 1 || w.asked.Load() != asked+1 {
			t.Errorf("candidate %d was chosen, after %d questions", other.Chosen(), w.asked.Load()-asked)
		}
		if r := w.refused(w.ask("ba")); fmt.Sprint(r.Lacks()) != "[deployment/b deployment/a]" {
			t.Errorf("it lacks %v", r.Lacks())
		}
		second := w.queued(t.Context(), w.ask("b"), time.Time{})
		other.Close(done)
		got := <-second // and not behind the first
		got.want(t, "deployment/b")
		got.admission.Close(done)
		running.Close(done)
		(<-first).admission.Close(done)
	})
}

func TestAChangedConfigurationKeepsTheQueueAndItsOrder(t *testing.T) {
	alone(t, two(), func(t *testing.T, w *world) {
		running := w.admit("a")
		first := w.queued(t.Context(), w.ask("a"), time.Time{})
		o := two()
		o.Deployments[0].Budget.MaxParallel = 2
		o.Store, o.Now, o.Previous = w, time.Now, w.Limiter
		next := limit.New(o)
		defer next.Close()
		synctest.Wait()
		if next.Queued() != 1 || len(first) > 0 {
			t.Fatalf("%d wait, before the new configuration is in force", next.Queued())
		}
		w.ReplacedBy(next)
		if _, err := next.Admit(t.Context(), w.ask("a")); err == nil {
			t.Error("a request under the new configuration takes what an old one waits for")
		}
		got := <-first // its limits are the new ones
		if got.err != nil {
			t.Fatal(got.err)
		}
		second := w.queued(t.Context(), w.ask("a"), time.Time{})
		running.Close(done)
		(<-second).admission.Close(done)
		got.admission.Close(done)
	})
}

func TestTheCandidatesOfARequestThatWaitsAreLookedUpAnew(t *testing.T) {
	broken := errors.New("all cool down")
	for name, tc := range map[string]struct {
		renew func(*limit.Ask) error
		want  error
	}{
		"it is served by a new candidate":         {func(a *limit.Ask) error { a.Candidates = []string{"b"}; return nil }, nil},
		"it leaves when there is none any more":   {func(*limit.Ask) error { return broken }, broken},
		"a panic costs that request and no other": {func(*limit.Ask) error { panic("a bug") }, guard.ErrPanicked},
	} {
		t.Run(name, func(t *testing.T) {
			alone(t, two(), func(t *testing.T, w *world) {
				running := w.admit("a")
				ask, began := w.ask("a"), time.Now()
				a, _, err := w.AdmitQueued(t.Context(), ask, limit.Ticket{Renew: tc.renew})
				if !errors.Is(err, tc.want) || time.Since(began) > 3*time.Second || w.Queued() != 0 {
					t.Errorf("%v after %v, %d wait", err, time.Since(began), w.Queued())
				}
				if err == nil {
					if chosen := ask.Candidates[a.Chosen()]; chosen != "b" {
						t.Errorf("%s serves it", chosen)
					}
					a.Close(done)
				}
				running.Close(done)
				w.admit("a").Close(done)
				w.admit("b").Close(done)
			})
		})
	}
}

func TestTheQueueUsesNoCandidateThatMayNotBeTaken(t *testing.T) {
	alone(t, two(), func(t *testing.T, w *world) {
		a, b := w.admit("a"), w.admit("b")
		ask := w.ask("ab")
		ask.Usable = func(i int) bool { return i == 1 }
		waiting := w.queued(t.Context(), ask, time.Time{})
		a.Close(done)
		synctest.Wait()
		if len(waiting) > 0 {
			t.Fatal("it took the one that cools down")
		}
		b.Close(done)
		if got := <-waiting; got.err != nil || got.admission.Chosen() != 1 {
			t.Errorf("%v", got.err)
		}
	})
}

// TestAPanicOfTheStoreLeavesNoSlotTaken: what it had taken nobody else knows.
func TestAPanicOfTheStoreLeavesNoSlotTaken(t *testing.T) {
	alone(t, two(), func(t *testing.T, w *world) {
		running := w.admit("a")
		waiting := w.queued(t.Context(), w.ask("a"), time.Time{})
		w.during = func() { w.during = nil; panic("a bug") }
		running.Close(done)
		if got := <-waiting; !errors.Is(got.err, guard.ErrPanicked) {
			t.Errorf("the request whose try has panicked: %v", got.err)
		}
		w.admit("a").Close(done)
	})
}

func TestARefusalNamesTheLimitsAndTheirValues(t *testing.T) {
	o := two()
	o.Deployments[0].Budget.RPM, o.Deployments[1].Budget.RPM = 1, 2
	o.Queue.Size, o.Queue.Timeout = 1, 4*time.Second
	alone(t, o, func(t *testing.T, w *world) {
		b := w.admit("b")
		waiting := w.queued(t.Context(), w.ask("b"), time.Time{})
		messages := []string{w.refused(w.ask("b")).Answer.Message}
		full := <-w.queued(t.Context(), w.ask("b"), time.Time{})
		late := <-waiting
		short := <-w.queued(t.Context(), w.ask("b"), time.Now().Add(time.Second))
		for _, got := range []waited{full, late, short} {
			got.want(t, "deployment/b")
			var r *limit.Refused
			if !errors.As(got.err, &r) || !r.Queued || r.Answer.Header.Get("retry-after") == "" {
				t.Fatal(got.err)
			}
			messages = append(messages, r.Answer.Message)
		}
		w.admit("a").Close(done)
		messages = append(messages, w.refused(w.ask("a")).Answer.Message)
		b.Close(done)
		const many = "too many requests for `m` are running at the same time (max_parallel_requests 1 of deployment/b)"
		if diff := cmp.Diff([]string{
			many + "; try again in 1 s",
			many + ", and the queue is full (queue_max_size 1); try again in 1 s",
			many + ", and none ended while the request waited (queue_timeout 4 s); try again in 1 s",
			many + ", and none ended before the request's own time was over (request_timeout); try again in 1 s",
			"the limit of requests or tokens per minute of `m` is reached (rpm 1 of deployment/a); try again in 61 s",
		}, messages); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
	})
}
