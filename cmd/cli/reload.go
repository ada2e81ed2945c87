package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/routing/config"
)

// clusters are told of the upstream clusters that requests are about to be sent to.
type clusters interface {
	// add returns when requests may be sent to those of the configuration.
	add(context.Context, *gateway) error
	// remove says that no request is sent under the configuration any more.
	remove(context.Context, *gateway)
}

// reloader takes up changes of the model config while the service runs. What
// cannot be used is logged, and the old configuration stays in force. It works in
// one goroutine of its own.
type reloader struct {
	flags    configFlags
	hooks    []*callback.Hooks
	service  *service
	clusters clusters
	front    string        // where the clients come in
	watch    bool          // look for changes of the files, not only for signals
	poll     time.Duration // how often
	log      *slog.Logger
}

// pollTime is how often the files are looked at. A change is taken up when it was
// there twice, so that a file is not read while it is written.
const pollTime = time.Second

// addTime is how long Envoy may take to make its clusters.
const addTime = 10 * time.Second

// hangups returns the channel of the signals that ask for a reload. On a terminal
// there are none: there the signal says that the terminal is gone.
func hangups(stderr io.Writer) (<-chan os.Signal, func()) {
	if terminal(stderr) {
		return nil, func() {}
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}

// start begins to take up changes, until the function it returns is called, which
// waits for one that is being taken up.
func (r *reloader) start(ctx context.Context, asked <-chan os.Signal) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	r.service.runtime.Guard().Go("the reloads", func() {
		defer close(done)
		r.run(ctx, asked)
	})
	return func() { cancel(); <-done }
}

func (r *reloader) run(ctx context.Context, asked <-chan os.Signal) {
	var tick <-chan time.Time
	if r.watch {
		ticker := time.NewTicker(r.poll)
		defer ticker.Stop()
		tick = ticker.C
	}
	known := r.service.current.gateway.source // as it was read last
	seen := known.sums                        // as it stood when it was looked at last
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
			now := known.now()
			still := maps.Equal(now, seen)
			if seen = now; !still || maps.Equal(now, known.sums) {
				continue
			}
		case <-asked:
		}
		known = newSource()
		err := r.service.runtime.Guard().Call("a reload", func() error { return r.reload(ctx, known) })
		if ctx.Err() != nil {
			return // it did not come to that
		}
		r.service.runtime.Reloaded(err)
		if err != nil {
			r.log.Error("the changed configuration cannot be used: the one before stays in force", "error", err)
		}
		seen = known.sums
	}
}

// reload reads the config and puts it in force.
func (r *reloader) reload(ctx context.Context, from *source) error {
	old := r.service.current
	g, err := r.flags.loadFrom(from)
	if err != nil {
		return err
	}
	g.hooks = r.hooks
	g.tell(r.log)
	if open := everybody(g.config, r.front); open != "" {
		r.log.Warn(open)
	}
	for _, name := range keepFixed(g.config, old.gateway.config) {
		r.log.Warn(name + " has changed: that takes effect at the next start")
	}
	with, err := newResources(g.config, r.hooks, r.service.runtime.Guard(), r.log, old.with)
	if err != nil {
		return err
	}
	limit, cancel := context.WithTimeoutCause(ctx, addTime, fmt.Errorf("not within %s", addTime))
	defer cancel()
	if err := r.clusters.add(limit, g); err != nil {
		with.close(limit)
		return err
	}
	r.service.use(g, with)
	r.service.retire(old, func(ctx context.Context) { r.clusters.remove(ctx, old.gateway) })
	fresh, gone := difference(g, old.gateway)
	r.log.Info("a changed configuration is in force", "deployments", len(g.config.Deployments), "models", len(g.router.Models()),
		"new", fresh, "gone", gone)
	return nil
}

// keepFixed leaves in a config what cannot change while the service runs as it
// was, and returns the names of what would have changed.
func keepFixed(c, old *config.Config) []string {
	var names []string
	fix := func(name string, changes bool) {
		if changes {
			names = append(names, name)
		}
	}
	fix("max_request_body_bytes", c.MaxRequestBody != old.MaxRequestBody)
	fix("queue_timeout", c.Limits.QueueTimeout != old.Limits.QueueTimeout)
	fix("the log's level or format", c.LogLevel != old.LogLevel || c.JSONLogs != old.JSONLogs || c.Verbose != old.Verbose)
	c.MaxRequestBody, c.Limits.QueueTimeout = old.MaxRequestBody, old.Limits.QueueTimeout
	c.LogLevel, c.JSONLogs, c.Verbose = old.LogLevel, old.JSONLogs, old.Verbose
	fix("the callback otel", wantsTraces(c.Callbacks) != wantsTraces(old.Callbacks))
	return names
}

// difference lists the deployments that only one of two configurations has.
func difference(g, old *gateway) (fresh, gone []string) {
	fresh, gone = []string{}, []string{}
	for _, d := range g.router.Deployments() {
		if old.router.Deployment(d.ID) == nil {
			fresh = append(fresh, d.ID)
		}
	}
	for _, d := range old.router.Deployments() {
		if g.router.Deployment(d.ID) == nil {
			gone = append(gone, d.ID)
		}
	}
	return fresh, gone
}
