package callback

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSpillFileKeepsWhatMemoryCannot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sink.jsonl")
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		away := true
		sink := newFakeSink(func(int, []*Record) error {
			mu.Lock()
			defer mu.Unlock()
			if away {
				return errors.New("away")
			}
			return nil
		})
		c := config()
		c.MaxItems, c.BatchItems, c.SpillPath = 20, 5, path
		q := NewQueue(sink, c)
		for n := 1; n <= 200; n++ {
			q.Add(record(n))
			synctest.Wait()
		}
		if s := q.Stats(); s.Dropped != 0 || s.Queued > 20 || s.Spilled < 180 || s.OnDisk == 0 {
			t.Errorf("stats while it is away: %+v", s)
		}
		mu.Lock()
		away = false
		mu.Unlock()
		time.Sleep(5 * time.Minute)
		if s := q.Stats(); s.Sent != 200 || s.OnDisk != 0 {
			t.Errorf("stats after it recovered: %+v", s)
		}
		closeNow(t, q)
	})
}

func TestSpillFileOutlivesTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sink.jsonl")
	synctest.Test(t, func(t *testing.T) {
		c := config()
		c.SpillPath, c.BatchItems = path, 7
		q := NewQueue(newFakeSink(func(int, []*Record) error { return errors.New("away") }), c)
		add(q, 1, 50)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := q.Close(ctx); err != nil {
			t.Errorf("nothing is lost, but close says %v", err)
		}
	})
	appendTo(t, path, `{"litellm_call_id":"half`) // a process that died while writing
	synctest.Test(t, func(t *testing.T) {
		sink := newFakeSink(nil)
		c := config()
		c.SpillPath, c.BatchItems = path, 7
		q := NewQueue(sink, c)
		add(q, 51, 60)
		closeNow(t, q)
		if diff := cmp.Diff(numbers(1, 60), sink.delivered()); diff != "" {
			t.Errorf("delivered (-want +got)\n%s", diff)
		}
	})
}

func TestTwoQueuesDoNotShareASpillFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sink.jsonl")
	synctest.Test(t, func(t *testing.T) {
		away := newFakeSink(func(int, []*Record) error { return errors.New("away") })
		c := config()
		c.SpillPath = path
		before, after := NewQueue(away, c), NewQueue(newFakeSink(nil), c)
		add(before, 1, 5)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := before.Close(ctx); err != nil {
			t.Errorf("the first has no file: %v", err)
		}
		time.Sleep(2 * time.Second)
		add(after, 6, 6)
		time.Sleep(10 * time.Second)
		closeNow(t, after)
		if s := after.Stats(); s.Sent != 6 {
			t.Errorf("the second does not deliver what the first left: %+v", s)
		}
	})
}

func TestSpillFileIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c := config()
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
		c.SpillPath, c.SpillBytes = filepath.Join(t.TempDir(), "sink.jsonl"), 20_000
		c.MaxItems, c.BatchItems = 10, 2
		q := NewQueue(newFakeSink(func(int, []*Record) error { return errors.New("away") }), c)
		for n := 1; n <= 200; n++ {
			q.Add(record(n))
			synctest.Wait()
		}
		s := q.Stats()
		if s.OnDisk > 20_000 || s.Spilled == 0 || s.Dropped == 0 || s.Queued != 10 || s.Spilled+s.Dropped+10 != 200 {
			t.Errorf("stats: %+v", s)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := q.Close(ctx); err == nil {
			t.Error("records are lost, and close does not say so")
		}
		if n := strings.Count(log.String(), `error="the spill file is full"`); n != 1 {
			t.Errorf("the log says %d times, want once, why the disk takes no more:\n%s", n, log.String())
		}
	})
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}
