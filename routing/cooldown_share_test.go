package routing

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/store"
)

// sharedStore is a CooldownStore that can go away.
type sharedStore struct {
	mu   sync.Mutex
	list map[string]store.Cooldown
	away bool
}

func (s *sharedStore) change(f func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errors.New("away")
	}
	f()
	return nil
}

func (s *sharedStore) PutCooldown(_ context.Context, c store.Cooldown) error {
	return s.change(func() { s.list[c.Deployment] = c })
}

func (s *sharedStore) DropCooldown(_ context.Context, id string) error {
	return s.change(func() { delete(s.list, id) })
}

func (s *sharedStore) Cooldowns(context.Context) (out []store.Cooldown, err error) {
	err = s.change(func() {
		for _, c := range s.list {
			out = append(out, c)
		}
	})
	return out, err
}

func (s *sharedStore) setAway(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

// replicas are two routers that share their cooldowns.
func replicas(t *testing.T, s CooldownStore, log *slog.Logger) (one, two *world) {
	t.Helper()
	for _, w := range []**world{&one, &two} {
		*w = newWorld(t, "m/a", "m/b", "lone/c")
		(*w).now = time.Now
		sharer := NewCooldownSharer((*w).Router, s, nil, log)
		t.Cleanup(sharer.Close)
	}
	return one, two
}

func TestCooldownsReachOtherReplicasWithinASecondAndEndThereToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &sharedStore{list: map[string]store.Cooldown{}}
		one, two := replicas(t, shared, slog.New(slog.DiscardHandler))
		one.fail("a", 429, 30*time.Second)
		one.fail("c", 429, 30*time.Second)
		time.Sleep(time.Second)
		state := two.State(two.deployment("a"))
		if state.Health != "cooling" || state.Cause != "scripted" || time.Until(state.Until).Round(time.Second) != 29*time.Second {
			t.Errorf("a on the other replica: %+v", state)
		}
		if two.stateOf("c") != "healthy" {
			t.Error("a lone deployment cools on the other replica")
		}
		time.Sleep(29 * time.Second)
		if one.stateOf("a") != "probing" || two.stateOf("a") != "probing" {
			t.Errorf("after 30 s a is %s here and %s there, want probing", one.stateOf("a"), two.stateOf("a"))
		}
		one.Answered(one.hop("a"), time.Second)
		two.Answered(two.hop("a"), time.Second)
		time.Sleep(time.Second)
		if left, err := shared.Cooldowns(t.Context()); two.stateOf("a") != "healthy" || len(left) != 0 || err != nil {
			t.Errorf("after a good probe a is %s; the store has %v", two.stateOf("a"), left)
		}
	})
}

func TestAProbeElsewhereEndsACooldownThatWasTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &sharedStore{list: map[string]store.Cooldown{}}
		one, _ := replicas(t, shared, slog.New(slog.DiscardHandler))
		_ = shared.PutCooldown(t.Context(), store.Cooldown{Deployment: "a", Until: time.Now().Add(time.Minute), Cause: "429"})
		time.Sleep(time.Second)
		if one.stateOf("a") != "cooling" {
			t.Fatal("a does not cool")
		}
		_ = shared.DropCooldown(t.Context(), "a")
		time.Sleep(time.Second)
		if one.stateOf("a") != "healthy" {
			t.Error("a cools although the other replica has ended it")
		}
	})
}

func TestWithoutTheStoreEachReplicaGoesByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &sharedStore{list: map[string]store.Cooldown{}, away: true}
		var log bytes.Buffer
		one, two := replicas(t, shared, slog.New(slog.NewTextHandler(&lockedWriter{w: &log}, nil)))
		one.fail("a", 429, time.Minute)
		time.Sleep(10 * time.Second)
		if one.stateOf("a") != "cooling" || two.stateOf("a") != "healthy" {
			t.Errorf("a is %s here and %s there", one.stateOf("a"), two.stateOf("a"))
		}
		shared.setAway(false)
		one.fail("b", 429, time.Minute)
		time.Sleep(time.Second)
		synctest.Wait()
		if two.stateOf("b") != "cooling" {
			t.Error("the store is back, and b's cooldown did not get there")
		}
		if n := strings.Count(log.String(), "not shared"); n != 2 {
			t.Errorf("%d warnings from 2 replicas, want one each:\n%s", n, log.String())
		}
	})
}

type lockedWriter struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
