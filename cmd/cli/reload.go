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

// clusters makes Envoy's upstream clusters follow the configurations.
type clusters interface {
	// add returns when requests may be sent to the clusters of the configuration.
	add(context.Context, *loaded) error
	// remove is called when no request runs under the configuration any more.
	remove(context.Context, *loaded)
}

// reloader reloads the model config while the service runs. A config that cannot be
// used is logged, and the old one stays in force. One goroutine does all of it.
type reloader struct {
	flags    configFlags
	hooks    []*callback.Hooks
	service  *service
	clusters clusters
	client   string        // where clients come in, for a warning
	watch    bool          // poll the files, besides waiting for SIGHUP
	poll     time.Duration // how often
	log      *slog.Logger
}

// pollTime is how often the files are read. A change is taken up when two reads in
// a row have seen it, so that a half-written file is not used.
const pollTime = time.Second

// addTime bounds how long a change of Envoy's clusters may take.
const addTime = 10 * time.Second

// notifySIGHUP returns a channel of the SIGHUPs that ask for a reload, and the
// function that stops them. On a terminal the channel is nil, and SIGHUP ends the
// process as usual: there it means that the terminal is gone.
func notifySIGHUP(stderr io.Writer) (reload <-chan os.Signal, stop func()) {
	if terminal(stderr) {
		return nil, func() {}
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}

// start reloads on changes of the files and on signals, until stop is called, which
// waits for a reload that is under way. A nil channel never signals.
func (r *reloader) start(ctx context.Context, signals <-chan os.Signal) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	r.service.runtime.Guard().Go("the reloads", func() {
		defer close(done)
		r.run(ctx, signals)
	})
	return func() { cancel(); <-done }
}

func (r *reloader) run(ctx context.Context, signals <-chan os.Signal) {
	var tick <-chan time.Time
	if r.watch {
		ticker := time.NewTicker(r.poll)
		defer ticker.Stop()
		tick = ticker.C
	}
	used := r.service.current.loaded.source // the files as the last reload read them
	seen := used.sums                       // as the last poll saw them
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
			now := used.now()
			stable := maps.Equal(now, seen)
			if seen = now; !stable || maps.Equal(now, used.sums) {
				continue
			}
		case <-signals:
		}
		used = newSource()
		err := r.service.runtime.Guard().Call("a reload", func() error { return r.reload(ctx, used) })
		if ctx.Err() != nil {
			return // the service ends: no failure of the config
		}
		r.service.runtime.Reloaded(err)
		if err != nil {
			r.log.Error("the changed configuration cannot be used: the one before stays in force", "error", err)
		}
		seen = used.sums
	}
}

// reload reads the config, noting in into what it reads, and puts it in force.
func (r *reloader) reload(ctx context.Context, into *source) error {
	old := r.service.current
	cfg, err := r.flags.loadFrom(into)
	if err != nil {
		return err
	}
	cfg.hooks = r.hooks
	cfg.logNotes(r.log)
	if open := openAccess(cfg.config, r.client); open != "" {
		r.log.Warn(open)
	}
	for _, name := range keepFixed(cfg.config, old.loaded.config) {
		r.log.Warn(name + " has changed: that takes effect at the next start")
	}
	built, err := newResources(cfg.config, r.hooks, r.service.runtime.Guard(), r.log, old.resources)
	if err != nil {
		return err
	}
	limit, cancel := context.WithTimeoutCause(ctx, addTime, fmt.Errorf("not within %s", addTime))
	defer cancel()
	if err := r.clusters.add(limit, cfg); err != nil {
		built.close(limit)
		return err
	}
	r.service.activate(cfg, built)
	r.service.retire(old, func(ctx context.Context) { r.clusters.remove(ctx, old.loaded) })
	fresh, gone := difference(cfg, old.loaded)
	r.log.Info("a changed configuration is in force", "deployments", len(cfg.config.Deployments), "models", len(cfg.router.Models()),
		"new", fresh, "gone", gone)
	return nil
}

// keepFixed sets what cannot change while the service runs back to its old value,
// and returns the names of the settings that would have changed.
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
func difference(cfg, old *loaded) (fresh, gone []string) {
	fresh, gone = []string{}, []string{}
	for _, d := range cfg.router.Deployments() {
		if old.router.Deployment(d.ID) == nil {
			fresh = append(fresh, d.ID)
		}
	}
	for _, d := range old.router.Deployments() {
		if cfg.router.Deployment(d.ID) == nil {
			gone = append(gone, d.ID)
		}
	}
	return fresh, gone
}
