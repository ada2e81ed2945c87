package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/soak/ending"
)

// watcher looks at the two processes while they are loaded.
type watcher struct {
	gateway *gateway
	tally   *tally
	every   time.Duration // between two lines

	began          time.Time
	envoy          int // process id of the Envoy that was seen last
	restarts       int
	service, proxy residents
}

// run samples memory every second until ctx ends, or one of the processes has.
func (w *watcher) run(ctx context.Context) error {
	w.began = time.Now()
	next := w.began.Add(w.every)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if err := w.gateway.alive(); err != nil {
				return err
			}
			w.sample()
			if !now.Before(next) {
				fmt.Println(w.line())
				next = next.Add(w.every)
			}
		}
	}
}

func (w *watcher) sample() {
	if now := w.gateway.envoyPid(); now != w.envoy && now != 0 {
		w.envoy = now
		w.restarts++
	}
	if n := resident(w.gateway.servicePid()); n > 0 {
		w.service = append(w.service, n)
	}
	if n := resident(w.envoy); n > 0 {
		w.proxy = append(w.proxy, n)
	}
}

// line are the figures so far.
func (w *watcher) line() string {
	c := w.tally.total()
	mib := func(r residents) int64 { return r[max(0, len(r)-60):].median() >> 20 }
	return fmt.Sprintf("%6s: %d requests, %d answered, %d failed cleanly, %d left, %d not answered; "+
		"memory of isthmus %d MiB, of Envoy %d MiB; %d restarts of Envoy",
		time.Since(w.began).Round(time.Second), c.all(), c[ending.Answered], c[ending.Failed], c[ending.Left], c[ending.Unanswered],
		mib(w.service), mib(w.proxy), w.restarts)
}

// verdict says what was wrong with the processes.
func (w *watcher) verdict() error {
	var err error
	if w.restarts > 0 {
		err = fmt.Errorf("%d Envoys died: %v", w.restarts, w.gateway.deaths())
	}
	if flat := w.service.flat(); flat != nil {
		err = errors.Join(err, fmt.Errorf("isthmus: %w", flat))
	}
	if flat := w.proxy.flat(); flat != nil {
		err = errors.Join(err, fmt.Errorf("the Envoy: %w", flat))
	}
	return err
}
