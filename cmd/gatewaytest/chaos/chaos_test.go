package chaos

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
	"github.com/isthmus-proxy/isthmus/envoy/process"
)

var (
	rowLength    = flag.Duration("length", time.Minute, "how long each row's fault is there, or comes and goes")
	envoyRelease = flag.String("envoy", process.DefaultVersion, "the `VERSION` of Envoy")
)

func TestMain(m *testing.M) { os.Exit(gatewaytest.Main(m)) }

// Times of a row besides its fault's.
const (
	calm       = 2 * time.Second  // of load before the fault
	comesBack  = 20 * time.Second // within which all is well after the fault, by itself
	stillAfter = 30 * time.Second // within which nothing is held after the load
	wellAfter  = 60               // requests in a row that say that all is well
)

// TestSoakChaos runs each row of docs/reliability.md.
func TestSoakChaos(t *testing.T) {
	testring.Soak(t, "each fault lasts a minute, and what is late is a fault")
	for _, r := range rows() {
		t.Run(r.name, r.run)
	}
}

func (r row) run(t *testing.T) {
	if r.deadline == 0 {
		r.deadline = usualDeadline
	}
	redisTimeout := 4 * time.Second // a Redis that gets no time to run on a small machine is not gone
	if strings.Contains(r.name, "redis-") {
		redisTimeout = 100 * time.Millisecond // the default
	}
	attempt := attemptTime
	if strings.HasPrefix(r.name, "redis-") || strings.HasPrefix(r.name, "replica") {
		attempt = longAttemptTime
	}
	s := startStack(t, max(r.replicas, 1), attempt, redisTimeout)
	l := &load{url: s.url, deadline: r.deadline}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var before map[string]float64
	r.warmUp(s, l, &before)
	ended := make(chan struct{})
	go func() { defer close(ended); l.run(ctx) }()
	wait(ctx, calm)
	lifted := r.breakFor(ctx, s, l, *rowLength)
	back, ok := l.wellAgain(lifted)
	stop()
	<-ended
	var o observed
	var found []violation
	deadline := time.Now().Add(stillAfter)
	for {
		var err error
		if o, err = s.observe(l, before); err != nil {
			found = []violation{{"a part does not answer", err.Error(), ""}}
		} else {
			found = judge(&r, &o)
		}
		if len(found) == 0 || time.Now().After(deadline) {
			break
		}
		wait(t.Context(), 500*time.Millisecond)
	}
	t.Logf("%s\n%s", r.name, summary(&o))
	if ok {
		t.Logf("all is well %s after the fault", back.Round(10*time.Millisecond))
	} else {
		found = append(found, violation{"the service does not come back by itself", fmt.Sprintf("not within %s", comesBack), ""})
	}
	if len(found) > 0 {
		t.Errorf("%s\nagain: make chaos ROW=%s DURATION=%s", report(found, &o), r.name, *rowLength)
	}
}

// warmUp makes one request of each kind, so that what stays open is open, and reads the
// metrics when they are over.
func (r *row) warmUp(s *stack, l *load, before *map[string]float64) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
	defer cancel()
	l.run(ctx)
	asynctest.Await(s.t, "the service is idle", func() bool {
		m, err := s.metrics()
		*before = m
		return err == nil && m["isthmus_requests_in_flight"] == 0 && m["isthmus_sink_queued"] == 0
	})
}

// breakFor has the fault come and go, and returns when it last began to be lifted: a
// process needs a while to start.
func (r *row) breakFor(ctx context.Context, s *stack, l *load, length time.Duration) time.Time {
	for end := time.Now().Add(length); ; {
		l.broken.Store(true)
		s.began = append(s.began, time.Now())
		lift := r.begin(s)
		on := time.Until(end)
		if r.on > 0 {
			on = r.on
		}
		wait(ctx, on)
		lifted := time.Now()
		lift()
		if time.Until(end) < r.on+r.off {
			return lifted
		}
		wait(ctx, r.off)
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// wellAgain waits until so many requests that began after a moment have been answered
// in a row, and returns how long after it the first of them began.
func (l *load) wellAgain(since time.Time) (back time.Duration, ok bool) {
	for end := time.Now().Add(comesBack + usualDeadline); time.Now().Before(end); wait(context.Background(), 50*time.Millisecond) {
		well := 0
		for _, r := range l.requests() {
			switch {
			case r.began.Before(since):
			case r.how != answered && r.how != left:
				well, back = 0, r.ended.Sub(since)
			default:
				well++
			}
		}
		if well >= wellAfter {
			return back, back <= comesBack
		}
	}
	return 0, false
}

// summary is what clients saw, by kind, while the fault was there.
func summary(o *observed) string {
	type seen struct {
		how    how
		status int
		code   string
	}
	counts, kindsOf := map[seen]int{}, map[seen]map[string]bool{}
	slowest := map[seen]time.Duration{}
	for _, r := range o.requests {
		k := seen{r.how, r.status, r.code}
		counts[k]++
		if kindsOf[k] == nil {
			kindsOf[k] = map[string]bool{}
		}
		kindsOf[k][r.kind.name] = true
		slowest[k] = max(slowest[k], r.ended.Sub(r.began))
	}
	var out []string
	for k, n := range counts {
		names := make([]string, 0, len(kindsOf[k]))
		for name := range kindsOf[k] {
			names = append(names, name)
		}
		slices.Sort(names)
		of := strings.Join(names, " ")
		if len(names) == len(kinds()) {
			of = "all kinds"
		}
		out = append(out, fmt.Sprintf("%6d %s %d %s, at most %s: %s", n, k.how, k.status, k.code, slowest[k].Round(10*time.Millisecond), of))
	}
	slices.Sort(out)
	slices.Reverse(out)
	return fmt.Sprintf("%d requests, %d records\n%s", len(o.requests), len(o.records), strings.Join(out, "\n"))
}

// report says of each rule that is broken how often, and shows the first few with the
// service's log lines of them.
func report(found []violation, o *observed) string {
	const shown = 4
	byRule := map[string][]violation{}
	for _, v := range found {
		byRule[v.rule] = append(byRule[v.rule], v)
	}
	id := map[string]string{}
	for _, rec := range o.records {
		id[rec.TraceID] = rec.CallID
	}
	for _, r := range o.requests {
		if r.id != "" {
			id[r.tag] = r.id
		}
	}
	var b strings.Builder
	for rule, all := range byRule {
		fmt.Fprintf(&b, "%s: %d times\n", rule, len(all))
		for _, v := range all[:min(shown, len(all))] {
			fmt.Fprintf(&b, "  %s %s: %s\n", v.tag, id[v.tag], v.what)
			if id[v.tag] != "" {
				fmt.Fprintf(&b, "    %s", lines(o.log, id[v.tag], 3))
			}
		}
	}
	fmt.Fprintf(&b, "the service said at last:\n%s", lines(o.log, `"level":"WARN"`, 8))
	return b.String()
}
