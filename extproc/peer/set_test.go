package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
)

// fakeConn is a connection that only notes that it was closed.
type fakeConn struct {
	grpc.ClientConnInterface
	closed atomic.Bool
}

func (c *fakeConn) Close() error { c.closed.Store(true); return nil }

// bench is a Set whose connections are fakes, and a source that says what the test
// wants.
type bench struct {
	*Set
	dialled []*fakeConn
	stop    func()
	asked   atomic.Int64
	mu      sync.Mutex
	says    []string
	err     error
}

// say is what the source says from now on.
func (b *bench) say(list []string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.says, b.err = list, err
}

func newBench(t *testing.T, says ...string) *bench {
	b := &bench{says: says}
	b.Set = NewSet(Options{Log: slog.New(slog.DiscardHandler), Dial: func(string) (Conn, error) {
		b.dialled = append(b.dialled, &fakeConn{})
		return b.dialled[len(b.dialled)-1], nil
	}})
	b.stop = b.Follow("the test", func(context.Context) ([]string, error) {
		b.asked.Add(1)
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.says, b.err
	})
	t.Cleanup(func() { b.stop(); b.Close() })
	return b
}

func TestOnlyAReplicaThatIsKnownIsDialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "10.0.0.1:9100")
		for range 1000 {
			if _, _, err := b.Conn("10.0.0.2:9100"); !errors.Is(err, ErrUnknown) {
				t.Fatalf("an unknown address: %v", err)
			}
		}
		for range 3 {
			_, done, err := b.Conn("10.0.0.1:9100")
			if err != nil {
				t.Fatal(err)
			}
			done()
			done() // again is no harm
		}
		if n := len(b.dialled); n != 1 {
			t.Errorf("%d connections were made, want one", n)
		}
		b.stop()
	})
}

func TestAConnectionThatNobodyUsesIsClosedAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "10.0.0.1:9100")
		_, first, _ := b.Conn("10.0.0.1:9100")
		_, second, _ := b.Conn("10.0.0.1:9100")
		first()
		time.Sleep(2 * idleTime)
		if b.dialled[0].closed.Load() {
			t.Fatal("a connection in use was closed")
		}
		second()
		time.Sleep(idleTime - time.Second)
		_, third, _ := b.Conn("10.0.0.1:9100")
		time.Sleep(2 * time.Second)
		if b.dialled[0].closed.Load() {
			t.Fatal("a connection that was taken again was closed")
		}
		third()
		time.Sleep(idleTime + time.Second)
		if !b.dialled[0].closed.Load() || len(b.conns) != 0 {
			t.Error("an idle connection is still there")
		}
		b.stop()
	})
}

func TestAReplicaThatIsGoneIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "10.0.0.1:9100", "10.0.0.2:9100")
		_, done, _ := b.Conn("10.0.0.1:9100")
		_, used, _ := b.Conn("10.0.0.2:9100")
		done()
		b.say(nil, nil)
		time.Sleep(2 * pollEvery)
		if b.Knows("10.0.0.1:9100") || !b.dialled[0].closed.Load() {
			t.Error("a replica that is gone is still known, or connected")
		}
		if b.dialled[1].closed.Load() {
			t.Error("a connection in use was closed")
		}
		used()
		b.stop()
	})
}

func TestASourceThatIsAwayLeavesWhatItSaidForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "10.0.0.1:9100")
		b.say(nil, errors.New("away"))
		time.Sleep(knownFor - 2*pollEvery)
		if !b.Knows("10.0.0.1:9100") {
			t.Error("what was known was forgotten at once")
		}
		time.Sleep(4 * pollEvery)
		if b.Knows("10.0.0.1:9100") {
			t.Error("what was known long ago is still")
		}
		b.stop()
	})
}

func TestAReplicaThatHasJustComeIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		time.Sleep(pollEvery / 2)
		b.say([]string{"10.0.0.1:9100"}, nil)
		if !b.Find(t.Context(), "10.0.0.1:9100") {
			t.Error("it was not found")
		}
		b.stop()
	})
}

// However many ask for made-up addresses, the source is asked a few times a second.
func TestAddressesThatAreMadeUpDoNotFloodTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		began, done := time.Now(), make(chan struct{})
		for i := range 500 {
			go func() {
				for range 4 {
					b.Find(t.Context(), fmt.Sprintf("192.0.2.1:%d", i))
				}
				done <- struct{}{}
			}()
		}
		for range 500 {
			<-done
		}
		if most := int(time.Since(began)/pollSoonest) + 2; int(b.asked.Load()) > most {
			t.Errorf("the source was asked %d times in %v", b.asked.Load(), time.Since(began))
		}
		if b.Find(t.Context(), string(make([]byte, 10_000))) || b.Find(t.Context(), "") {
			t.Error("what is no address was found")
		}
		b.stop()
	})
}

func TestASourceThatPanicsIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSet(Options{Log: slog.New(slog.DiscardHandler)})
		var asked atomic.Int64
		stop := s.Follow("a bug", func(context.Context) ([]string, error) {
			if asked.Add(1) == 2 {
				panic("a bug")
			}
			return []string{"10.0.0.1:9100"}, nil
		})
		time.Sleep(3*pollEvery + pollEvery/2)
		if asked.Load() != 4 || !s.Knows("10.0.0.1:9100") {
			t.Errorf("asked %d times", asked.Load())
		}
		stop()
		stop() // again is no harm
		if s.Knows("10.0.0.1:9100") {
			t.Error("a source that is not followed any more is still believed")
		}
	})
}

func TestNamesAreLookedUp(t *testing.T) {
	has := map[string][]string{"replicas.test": {"10.0.0.1", "fd00::1"}}
	ask, err := Named([]string{"replicas.test:9100", "10.0.0.9:9101"}, func(_ context.Context, host string) ([]string, error) {
		if has[host] == nil {
			return nil, errors.New("no such name")
		}
		return has[host], nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"replicas.test:9100", "10.0.0.1:9100", "[fd00::1]:9100", "10.0.0.9:9101"}
	if got, err := ask(t.Context()); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	delete(has, "replicas.test")
	if got, err := ask(t.Context()); err == nil || !slices.Equal(got, want) {
		t.Errorf("a name that cannot be looked up any more: %v, %v; want what it had, and the error", got, err)
	}
	for _, wrong := range []string{"", "host", ":9100", "host:"} {
		if _, err := Named([]string{wrong}, nil); err == nil {
			t.Errorf("%q is taken for an address", wrong)
		}
	}
}

func TestNoSetKnowsNobody(t *testing.T) {
	var s *Set
	if s.Knows("10.0.0.1:9100") || s.Find(t.Context(), "10.0.0.1:9100") {
		t.Error("nobody knows a replica")
	}
	s.Close()
}
