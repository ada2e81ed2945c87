package callback

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeSink answers as the test says and notes what it was given and when.
type fakeSink struct {
	answer func(call int, batch []*Record) error // nil: always nil

	mu      sync.Mutex
	began   time.Time
	batches [][]string
	at      []time.Duration
}

func newFakeSink(answer func(int, []*Record) error) *fakeSink {
	return &fakeSink{answer: answer, began: time.Now()}
}

func (s *fakeSink) Deliver(ctx context.Context, batch []*Record) error {
	s.mu.Lock()
	var ids []string
	for _, r := range batch {
		ids = append(ids, r.CallID)
	}
	s.batches = append(s.batches, ids)
	s.at = append(s.at, time.Since(s.began))
	call := len(s.batches)
	s.mu.Unlock()
	if s.answer == nil {
		return nil
	}
	return s.answer(call, batch)
}

// delivered lists the ids of all batches in order.
func (s *fakeSink) delivered() (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.batches {
		ids = append(ids, b...)
	}
	return ids
}

func record(n int) *Record { return &Record{CallID: strconv.Itoa(n)} }

func numbers(from, to int) (ids []string) {
	for n := from; n <= to; n++ {
		ids = append(ids, strconv.Itoa(n))
	}
	return ids
}

func config() QueueConfig {
	return QueueConfig{Name: "test", Rand: func() float64 { return 0.5 }, Log: quiet()}
}

func add(q *Queue[*Record], from, to int) {
	for n := from; n <= to; n++ {
		q.Add(record(n))
	}
}

// closeNow closes a queue with a deadline and fails the test when records are
// lost.
func closeNow(t *testing.T, q *Queue[*Record]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := q.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestBatchesLeaveWhenFullOrOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newFakeSink(nil)
		c := config()
		c.BatchItems = 3
		q := NewQueue(sink, c)
		add(q, 1, 4)
		time.Sleep(900 * time.Millisecond)
		add(q, 5, 5)
		time.Sleep(10 * time.Second)
		closeNow(t, q)
		if diff := cmp.Diff([][]string{{"1", "2", "3"}, {"4", "5"}}, sink.batches); diff != "" {
			t.Errorf("batches (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff([]time.Duration{0, time.Second}, sink.at); diff != "" {
			t.Errorf("times (-want +got)\n%s", diff)
		}
		if s := q.Stats(); s.Sent != 5 || s.Queued != 0 || s.Bytes != 0 || s.Dropped != 0 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestBatchesAreBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newFakeSink(nil)
		c := config()
		c.BatchBytes = 2*recordBytes + 10
		q := NewQueue(sink, c)
		add(q, 1, 5)
		closeNow(t, q)
		if diff := cmp.Diff([][]string{{"1", "2"}, {"3", "4"}, {"5"}}, sink.batches); diff != "" {
			t.Errorf("batches (-want +got)\n%s", diff)
		}
	})
}

func TestFailuresAreRepeatedWithGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newFakeSink(func(call int, _ []*Record) error {
			switch call {
			case 1, 2:
				return errors.New("connection refused")
			case 3:
				return &StatusError{Status: 429, RetryAfter: 30 * time.Second}
			}
			return nil
		})
		q := NewQueue(sink, config())
		add(q, 1, 2)
		time.Sleep(5 * time.Minute)
		closeNow(t, q)
		// After the batch's age: 0.75 of 1 s, 0.75 of 2 s, and what the sink asked for.
		want := []time.Duration{time.Second, 1750 * time.Millisecond, 3250 * time.Millisecond, 33250 * time.Millisecond}
		if diff := cmp.Diff(want, sink.at); diff != "" {
			t.Errorf("times (-want +got)\n%s", diff)
		}
		if s := q.Stats(); s.Sent != 2 || s.Retried != 6 || s.Dropped != 0 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestPausesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newFakeSink(func(int, []*Record) error { return errors.New("away") })
		q := NewQueue(sink, config())
		add(q, 1, 1)
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		n := len(sink.at)
		if pause := sink.at[n-1] - sink.at[n-2]; pause != 45*time.Second {
			t.Errorf("the last pause is %v", pause)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := q.Close(ctx); err == nil || !strings.Contains(err.Error(), "1 records are lost") {
			t.Errorf("close says %v", err)
		}
		if len(sink.at) == n {
			t.Error("closing did not try once more")
		}
	})
}

func TestPermanentErrorsDropTheBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newFakeSink(func(call int, _ []*Record) error {
			if call == 1 {
				return Permanent(errors.New("401 wrong key"))
			}
			return nil
		})
		q := NewQueue(sink, config())
		add(q, 1, 2)
		time.Sleep(2 * time.Second)
		add(q, 3, 3)
		time.Sleep(2 * time.Second)
		closeNow(t, q)
		if s := q.Stats(); s.Sent != 1 || s.Dropped != 2 || s.Retried != 0 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestOneRefusedRecordCostsOnlyItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newFakeSink(func(_ int, batch []*Record) error {
			for _, r := range batch {
				if r.CallID == "5" {
					return Permanent(&StatusError{Status: 400})
				}
			}
			return nil
		})
		q := NewQueue(sink, config())
		add(q, 1, 8)
		time.Sleep(time.Minute)
		closeNow(t, q)
		if s := q.Stats(); s.Sent != 7 || s.Dropped != 1 {
			t.Errorf("stats: %+v", s)
		}
		want := [][]string{numbers(1, 8), numbers(1, 4), numbers(5, 8), numbers(5, 6), {"5"}, {"6"}, numbers(7, 8)}
		if diff := cmp.Diff(want, sink.batches); diff != "" {
			t.Errorf("batches (-want +got)\n%s", diff)
		}
	})
}

func TestAPanicOfTheSinkIsAPermanentError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newFakeSink(func(call int, _ []*Record) error {
			if call == 1 {
				panic("bug")
			}
			return nil
		})
		q := NewQueue(sink, config())
		add(q, 1, 1)
		time.Sleep(2 * time.Second)
		add(q, 2, 2)
		closeNow(t, q)
		if s := q.Stats(); s.Sent != 1 || s.Dropped != 1 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestAFullQueueDropsTheOldestAndSaysSoOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var back atomic.Bool
		sink := newFakeSink(func(int, []*Record) error {
			if !back.Load() {
				return errors.New("away")
			}
			return nil
		})
		var log bytes.Buffer
		c := config()
		c.MaxItems, c.BatchItems, c.Log = 10, 2, slog.New(slog.NewTextHandler(&log, nil))
		q := NewQueue(sink, c)
		for n := 1; n <= 100; n++ {
			q.Add(record(n))
			time.Sleep(100 * time.Millisecond)
		}
		if s := q.Stats(); s.Queued != 10 || s.Dropped != 90 {
			t.Errorf("stats: %+v", s)
		}
		back.Store(true)
		time.Sleep(2 * time.Minute)
		closeNow(t, q)
		// The batch on its way when the sink went away is kept: it was first.
		got := sink.delivered()
		got = got[len(got)-10:]
		if diff := cmp.Diff(append([]string{"1", "2"}, numbers(93, 100)...), got); diff != "" {
			t.Errorf("delivered (-want +got)\n%s", diff)
		}
		for text, times := range map[string]int{"delivery failed": 1, "queue full": 1, "were dropped\" sink=test records=90": 1,
			"answers again": 1} {
			if n := strings.Count(log.String(), text); n != times {
				t.Errorf("%q is logged %d times, want %d:\n%s", text, n, times, log.String())
			}
		}
	})
}

func TestAQueueIsBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newFakeSink(func(int, []*Record) error { return errors.New("away") })
		c := config()
		c.MaxBytes = 10 * recordBytes
		q := NewQueue(sink, c)
		add(q, 1, 1000)
		if s := q.Stats(); s.Bytes > c.MaxBytes || s.Queued != 10 || s.Dropped != 990 {
			t.Errorf("stats: %+v", s)
		}
		giant := record(1001)
		giant.size = c.MaxBytes + 1
		q.Add(giant)
		if s := q.Stats(); s.Queued != 10 || s.Dropped != 991 {
			t.Errorf("a record larger than the queue: %+v", s)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = q.Close(ctx)
	})
}

func TestASinkThatHangsHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := true
		var calls int
		var mu sync.Mutex
		sink := deliverer(func(ctx context.Context, batch []*Record) error {
			mu.Lock()
			calls++
			stuck := hang
			mu.Unlock()
			if stuck {
				<-ctx.Done()
				return context.Cause(ctx)
			}
			return nil
		})
		q := NewQueue(sink, config())
		start := time.Now()
		add(q, 1, 5000)
		if took := time.Since(start); took != 0 {
			t.Errorf("adding took %v", took)
		}
		time.Sleep(5 * time.Minute)
		mu.Lock()
		hang = false
		mu.Unlock()
		time.Sleep(2 * time.Minute)
		if s := q.Stats(); s.Sent != 5000 || s.Dropped != 0 {
			t.Errorf("stats after it recovered: %+v", s)
		}
		closeNow(t, q)
	})
}

// deliverer is a function as a sink.
type deliverer func(context.Context, []*Record) error

func (d deliverer) Deliver(ctx context.Context, batch []*Record) error { return d(ctx, batch) }

func TestCloseDeliversEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newFakeSink(func(call int, _ []*Record) error {
			if call == 2 {
				return errors.New("hiccup")
			}
			return nil
		})
		q := NewQueue(sink, config())
		add(q, 1, 950)
		closeNow(t, q)
		if s := q.Stats(); s.Sent != 950 {
			t.Errorf("stats: %+v", s)
		}
		q.Add(record(951))
		if s := q.Stats(); s.Dropped != 1 {
			t.Errorf("a record after the end is not counted: %+v", s)
		}
		if err := q.Close(t.Context()); err != nil {
			t.Errorf("the second close says %v", err)
		}
	})
}

func TestCloseHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := deliverer(func(ctx context.Context, _ []*Record) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		q := NewQueue(sink, config())
		add(q, 1, 250)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		err := q.Close(ctx)
		if took := time.Since(start); took != 3*time.Second || err == nil || !strings.Contains(err.Error(), "250 records are lost") {
			t.Errorf("close took %v and says %v", took, err)
		}
	})
}

func TestEveryRecordIsCountedOnceUnderLoad(t *testing.T) {
	sink := newFakeSink(nil)
	c := config()
	c.BatchAge = time.Millisecond
	q := NewQueue(sink, c)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { add(q, 1, 1000) })
	}
	wg.Wait()
	closeNow(t, q)
	if s := q.Stats(); s.Sent != 8000 || len(sink.delivered()) != 8000 || s.Queued != 0 {
		t.Errorf("stats: %+v, delivered %d", s, len(sink.delivered()))
	}
}
