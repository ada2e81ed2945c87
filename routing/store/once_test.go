package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

// line is the way to a Redis, which loses what a test has it lose.
type line struct {
	do     atomic.Pointer[fate] // of the next call; nil: calls are made
	settle atomic.Pointer[fate] // do of each settlement
	r      *store.Redis
}

// fate is what becomes of a call: it makes it, or says that it did; again makes it once
// more.
type fate func(call func() error, again func()) error

func (*line) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*line) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (l *line) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		do := l.do.Load()
		if do == nil && settles(cmd) {
			do = l.settle.Load()
		}
		if do == nil || cmd.Name() != "evalsha" {
			return next(ctx, cmd)
		}
		args := cmd.Args()
		err := (*do)(func() error { return next(ctx, cmd) }, func() { _ = next(context.WithoutCancel(ctx), redis.NewCmd(ctx, args...)) })
		if err != nil {
			cmd.SetErr(err)
		}
		return err
	}
}

// next has the next call of a script go as it says; those after it are made.
func (l *line) next(do fate) {
	var once fate = func(call func() error, again func()) error {
		l.do.Store(nil)
		return do(call, again)
	}
	l.do.Store(&once)
}

// patient is for tests in which Redis is not late but for the machine: it would be told
// once more of what it has charged.
const patient = 20 * time.Second

// onLine is shared over a line.
func onLine(t *testing.T, server *storetest.Server, silence time.Duration) (*store.Shared, *line) {
	t.Helper()
	l := &line{r: newRedis(t, store.Server{URL: "redis://" + server.Addr})}
	l.r.AddHook(l)
	acquire(t, l.r, "before")
	if err := l.r.Settle(t.Context(), []store.Settlement{{ID: "before", Slots: []string{"d/a/slots"}}}); err != nil {
		t.Fatal(err)
	}
	s := store.NewShared(store.SharedOptions{Redis: l.r, Silence: silence, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { _ = s.Close() })
	return s, l
}

// told has a store send all that it has to say, and ends it.
func told(t *testing.T, s *store.Shared) {
	t.Helper()
	asynctest.Await(t, "Redis is not away", func() bool { return !s.Away() })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func wantState(t *testing.T, server *storetest.Server, wantUsed, wantHeld int64) {
	t.Helper()
	if used, held := state(t, newClient(t, server)); used != wantUsed || held != wantHeld {
		t.Errorf("Redis counts %d, and %d slots held; want %d and %d", used, held, wantUsed, wantHeld)
	}
}

// Between the loss and the next beat, which tells of it, Redis would count what is told
// again after it.
func TestWhatIsChargedAfterALossAndBeforeTheBeatCountsOnce(t *testing.T) {
	for name, lose := range map[string]func(*testing.T, *storetest.Server, *redis.Client){
		"it starts anew": func(t *testing.T, server *storetest.Server, _ *redis.Client) { server.Kill(); server.Restart(t) },
		"it is emptied":  func(t *testing.T, _ *storetest.Server, c *redis.Client) { command(t, c, "FLUSHALL") },
		"its epoch is of another type": func(t *testing.T, _ *storetest.Server, c *redis.Client) {
			_, err := c.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
				p.FlushAll(t.Context())
				return p.RPush(t.Context(), ownKeys+"epoch", "x").Err()
			})
			if err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := storetest.Start(t)
			s, _ := onLine(t, server, patient)
			one := mustAcquire(t, s, request("one"))
			mustAcquire(t, s, request("two"))
			c := newClient(t, server)
			lose(t, server, c)
			mustAcquire(t, s, request("three"))
			s.Settle(store.Settlement{ID: "one", Slots: []string{"d/a/slots"},
				Corrections: []store.Correction{{Key: "d/a/rpm", Second: one.Second, Delta: 4}}})
			_, _ = s.Beat(t.Context(), store.Beat{})
			told(t, s)
			wantState(t, server, 3+4, 2)
		})
	}
}

// One replica learns of the loss; the other's next request and settlement come before its
// own beat.
func TestAReplicaThatHasNotHeardOfALossCountsOnce(t *testing.T) {
	server := storetest.Start(t)
	a, _ := onLine(t, server, patient)
	b, _ := onLine(t, server, patient)
	mustAcquire(t, a, request("a1"))
	b1 := mustAcquire(t, b, request("b1"))
	command(t, newClient(t, server), "FLUSHALL")
	_, _ = a.Beat(t.Context(), store.Beat{})
	b.Settle(store.Settlement{ID: "b1", Slots: []string{"d/a/slots"},
		Corrections: []store.Correction{{Key: "d/a/rpm", Second: b1.Second, Delta: 4}}})
	mustAcquire(t, b, request("b2"))
	_, _ = b.Beat(t.Context(), store.Beat{})
	told(t, a)
	told(t, b)
	wantState(t, server, 1+1+4+1, 2)
}

// The answer to a beat from before a loss, read after the loss has been made good, is no
// second loss.
func TestAnAnswerThatIsOvertakenIsNoSecondLoss(t *testing.T) {
	server := storetest.Start(t)
	s, l := onLine(t, server, patient)
	mustAcquire(t, s, request("one"))
	asked, read, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	l.next(func(call func() error, _ func()) error {
		err := call()
		close(asked)
		<-read
		return err
	})
	go func() { defer close(over); _, _ = s.Beat(context.WithoutCancel(t.Context()), store.Beat{}) }()
	<-asked
	command(t, newClient(t, server), "FLUSHALL")
	mustAcquire(t, s, request("two"))
	asynctest.Await(t, "Redis is not away", func() bool { return !s.Away() })
	close(read)
	<-over
	mustAcquire(t, s, request("three"))
	told(t, s)
	wantState(t, server, 3, 3)
}

// A settlement without an answer is made again, and counts once, whatever became of it.
func TestASettlementWithoutAnAnswerCountsOnce(t *testing.T) {
	for name, fate := range map[string]struct {
		at    func(call func() error, later func()) error
		later bool // it is carried out when all is over
	}{
		"it was carried out": {at: func(call func() error, _ func()) error { return errors.Join(io.EOF, call()) }},
		"it was lost":        {at: func(func() error, func()) error { return io.EOF }},
		"it was lost with a timeout": {at: func(func() error, func()) error {
			return &net.OpError{Op: "read", Err: context.DeadlineExceeded}
		}},
		"it is carried out late": {at: func(func() error, func()) error { return io.EOF }, later: true},
		"it was carried out twice": {at: func(call func() error, again func()) error {
			err := call()
			again()
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			server := storetest.Start(t)
			s, l := onLine(t, server, patient)
			one, two := mustAcquire(t, s, request("one")), mustAcquire(t, s, request("two"))
			sent, late := make(chan struct{}), func() {}
			l.next(func(call func() error, again func()) error {
				defer close(sent)
				if fate.later {
					late = again
				}
				return fate.at(call, again)
			})
			s.Settle(store.Settlement{ID: "one", Slots: []string{"d/a/slots"},
				Corrections: []store.Correction{{Key: "d/a/rpm", Second: one.Second, Delta: 4}}})
			<-sent
			s.Settle(store.Settlement{ID: "two", Corrections: []store.Correction{{Key: "d/a/rpm", Second: two.Second, Delta: 2}}})
			asynctest.Await(t, "Redis has both", func() bool { used, _ := state(t, newClient(t, server)); return used == 1+2+4+2 })
			late()
			told(t, s)
			wantState(t, server, 1+2+4+2, 1)
		})
	}
}

// What was to be told again after a loss is told as a part of all that is.
func TestASettlementWithoutAnAnswerBeforeALossCountsOnce(t *testing.T) {
	server := storetest.Start(t)
	s, l := onLine(t, server, patient)
	one := mustAcquire(t, s, request("one"))
	sent := make(chan struct{})
	l.next(func(func() error, func()) error {
		command(t, newClient(t, server), "FLUSHALL")
		close(sent)
		return io.EOF
	})
	s.Settle(store.Settlement{ID: "one", Slots: []string{"d/a/slots"},
		Corrections: []store.Correction{{Key: "d/a/rpm", Second: one.Second, Delta: 4}}})
	<-sent
	mustAcquire(t, s, request("two"))
	_, _ = s.Beat(t.Context(), store.Beat{})
	told(t, s)
	wantState(t, server, 1+4+1, 1)
}

// settles reports whether a command is a call of settle.lua.
func settles(cmd redis.Cmder) bool {
	return slices.ContainsFunc(cmd.Args(), func(arg any) bool {
		text, ok := arg.(string)
		return ok && strings.HasPrefix(text, ownKeys+"settled/")
	})
}

// Two replicas make requests at once, while Redis loses all that it knows now and then, and
// settlements are lost before or after they are carried out, or are carried out twice. At
// the end it counts what was charged and corrected, once.
func TestWhateverIsLostCountsOnce(t *testing.T) {
	const workers, each = 4, 50
	server := storetest.Start(t)
	c := newClient(t, server)
	var replicas []*store.Shared
	var lines []*line
	var roll atomic.Int64
	for range 2 {
		s, l := onLine(t, server, patient)
		replicas, lines = append(replicas, s), append(lines, l)
		var unsafe fate = func(call func() error, again func()) error {
			switch roll.Add(1) % 7 {
			case 0:
				return io.EOF
			case 1:
				return errors.Join(io.EOF, call())
			case 2:
				err := call()
				again()
				return err
			}
			return call()
		}
		l.settle.Store(&unsafe)
	}
	command(t, c, "FLUSHALL") // what the replicas did before is none of the test's
	for _, s := range replicas {
		_, _ = s.Beat(t.Context(), store.Beat{})
	}
	var charged atomic.Int64
	var all sync.WaitGroup
	for i, s := range replicas {
		for w := range workers {
			all.Go(func() {
				for n := range each {
					q := request(fmt.Sprint(i, "/", w, "/", n))
					q.Candidates[0].Windows[0].Limit, q.Candidates[0].Windows[0].Cost = 1<<30, 17
					q.Candidates[0].Slots[0].Limit = 1 << 20
					reply, err := s.Acquire(t.Context(), q)
					if err != nil || reply.Chosen != 0 {
						t.Error(reply, err)
						return
					}
					delta := int64(n%9) - 10
					charged.Add(17 + delta)
					s.Settle(store.Settlement{ID: q.ID, Slots: []string{"d/a/slots"},
						Corrections: []store.Correction{{Key: "d/a/rpm", Second: reply.Second, Delta: delta}}})
				}
			})
		}
	}
	over := make(chan struct{})
	go func() { defer close(over); all.Wait() }()
	for n := 0; ; n++ {
		select {
		case <-over:
			for i, s := range replicas {
				lines[i].settle.Store(nil)
				_, _ = s.Beat(t.Context(), store.Beat{})
			}
			for _, s := range replicas {
				told(t, s)
			}
			wantState(t, server, charged.Load(), 0)
			return
		case <-time.After(10 * time.Millisecond):
			_, _ = replicas[n%2].Beat(t.Context(), store.Beat{})
			if n%8 == 3 {
				command(t, c, "FLUSHALL")
			}
		}
	}
}

// refusalReply is a server's reply that it does not write.
type refusalReply struct{}

func (refusalReply) Error() string { return "OOM command not allowed when used memory > 'maxmemory'." }
func (refusalReply) RedisError()   {}

// What a request was to give back with a call whose answer came too late for it is told once
// more when the call has not done it, and only then.
func TestWhatALateCallHasNotGivenBackIsToldOnce(t *testing.T) {
	for name, answer := range map[string]func(call func() error) error{
		"it was refused": func(func() error) error { return refusalReply{} },
		"it was made":    func(call func() error) error { return call() },
	} {
		t.Run(name, func(t *testing.T) {
			server := storetest.Start(t)
			s, l := onLine(t, server, 50*time.Millisecond)
			q := request("one")
			second := mustAcquire(t, s, q).Second
			late, over := make(chan struct{}), make(chan struct{})
			l.next(func(call func() error, _ func()) error {
				err := answer(call)
				<-late
				close(over)
				return err
			})
			q.Return = store.Settlement{ID: "one", Slots: []string{"d/a/slots"},
				Corrections: []store.Correction{{Key: "d/a/rpm", Second: second, Delta: 4}}}
			mustAcquire(t, s, q) // by this replica itself
			close(late)
			<-over
			asynctest.Await(t, "Redis has it", func() bool { used, _ := state(t, newClient(t, server)); return used == 2+4+1 })
			told(t, s)
			wantState(t, server, 2+4+1, 1)
		})
	}
}
