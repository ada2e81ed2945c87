package all

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/extproc/callback/exec"
	"github.com/isthmus-proxy/isthmus/extproc/callback/langfuse"
	"github.com/isthmus-proxy/isthmus/extproc/callback/mlflow"
	"github.com/isthmus-proxy/isthmus/extproc/callback/webhook"
	"github.com/isthmus-proxy/isthmus/routing/config"
	"github.com/isthmus-proxy/isthmus/routing/guard"
)

// Deps is what the sinks need beside their configuration.
type Deps struct {
	Log     *slog.Logger
	Now     func() time.Time
	Rand    func() float64    // in [0, 1)
	Version string            // of this program
	Hooks   []*callback.Hooks // of the program that embeds the gateway
	Guard   *guard.Guard
}

// Open makes the sinks that the configuration names and starts their queues.
// Names that are no sinks of records (prometheus, otel) are passed over. An
// error means that nothing was started.
func Open(c config.Callbacks, d Deps) (*Set, error) {
	b := builder{config: c, deps: d, set: &Set{guard: d.Guard, policy: callback.Policy{Redact: c.RedactMessages}}}
	commands := map[string]exec.Command{}
	for _, name := range b.names() {
		if line, ok := strings.CutPrefix(name, "exec:"); ok {
			command, err := exec.Parse(line)
			if err != nil {
				return nil, fmt.Errorf("callback %q: %w", name, err)
			}
			commands[name] = command
		}
	}
	if c.SpillDir != "" {
		if err := os.MkdirAll(c.SpillDir, 0o700); err != nil {
			return nil, fmt.Errorf("callback_spill_dir: %w", err)
		}
	}
	b.poster = callback.NewPoster(callback.PosterConfig{UserAgent: "isthmus/" + d.Version})
	b.set.closers = append(b.set.closers, func(context.Context) error { b.poster.Close(); return nil })
	for _, name := range b.names() {
		if command, ok := commands[name]; ok {
			b.command(name, command)
			continue
		}
		b.sink(name)
	}
	for i, hooks := range d.Hooks {
		b.hooks(fmt.Sprintf("hooks-%d", i+1), hooks)
	}
	return b.set, nil
}

type builder struct {
	config config.Callbacks
	deps   Deps
	poster *callback.Poster
	set    *Set
}

// names lists every configured callback once.
func (b *builder) names() []string {
	names := slices.Clone(b.config.Success)
	for _, name := range b.config.Failure {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// queue is the configuration of every queue.
func (b *builder) queue(name string) callback.QueueConfig {
	return callback.QueueConfig{Name: name, Rand: b.deps.Rand, Now: b.deps.Now, Log: b.deps.Log, Guard: b.deps.Guard}
}

// sink makes one sink of records. This is the table of them.
func (b *builder) sink(name string) {
	c, q := b.config, b.queue(name)
	if c.SpillDir != "" {
		q.SpillPath = filepath.Join(c.SpillDir, name+".jsonl")
	}
	var to callback.Callback
	switch name {
	case "langfuse":
		to = langfuse.New(langfuse.Config{
			PublicKey: c.Langfuse.PublicKey, SecretKey: c.Langfuse.SecretKey, Host: c.Langfuse.Host, Version: b.deps.Version,
		}, b.poster)
	case "mlflow":
		m := c.MLflow
		to = mlflow.New(mlflow.Config{
			TrackingURI: m.TrackingURI, ExperimentName: m.ExperimentName, Version: b.deps.Version, Username: m.Username, Password: m.Password,
			Token: m.Token,
		}, b.poster, b.deps.Now)
	case "webhook":
		w := c.Webhook
		if w.Format == webhook.Single {
			q.BatchItems = 1
		}
		to = webhook.New(webhook.Config{URL: w.URL, Headers: w.Headers, Secret: w.Secret, Format: w.Format, EventTypes: w.EventTypes}, b.poster,
			b.deps.Now)
	default:
		return // prometheus and otel live elsewhere
	}
	sink := recordSink{success: slices.Contains(c.Success, name), failure: slices.Contains(c.Failure, name)}
	sink.queue = callback.NewQueue(to, q)
	b.set.records = append(b.set.records, sink)
	b.set.wants.Success = b.set.wants.Success || sink.success
	b.set.wants.Failure = b.set.wants.Failure || sink.failure
}

// command makes a program of the user's own a sink of events. Which of the two
// lists it stands in decides which requests it hears of at their end.
func (b *builder) command(name string, command exec.Command) {
	hooks := slices.DeleteFunc(slices.Clone(command.Hooks), func(h callback.Hook) bool {
		return h == callback.SuccessEvent && !slices.Contains(b.config.Success, name) ||
			h == callback.FailureEvent && !slices.Contains(b.config.Failure, name)
	})
	program := exec.New(exec.Config{Command: command, Log: b.deps.Log, Guard: b.deps.Guard})
	q := b.queue("exec:" + filepath.Base(command.Words[0]))
	q.BatchAge = 50 * time.Millisecond
	b.events(callback.NewQueue(program, q), hooks)
	b.set.closers = append(b.set.closers, program.Close)
}

// hooks makes functions of the embedding program a sink of events.
func (b *builder) hooks(name string, h *callback.Hooks) {
	var wanted []callback.Hook
	for _, hook := range []callback.Hook{callback.PreAPICall, callback.PostAPICall, callback.StreamEvent, callback.SuccessEvent,
		callback.FailureEvent} {
		if h.Wants(hook) {
			wanted = append(wanted, hook)
		}
	}
	q := b.queue(name)
	q.BatchItems, q.NoRepetition = 1, true
	b.events(callback.NewQueue(h, q), wanted)
}

func (b *builder) events(queue *callback.Queue[*callback.Event], hooks []callback.Hook) {
	b.set.events = append(b.set.events, eventSink{queue, hooks})
	w := &b.set.wants
	w.Success = w.Success || slices.Contains(hooks, callback.SuccessEvent)
	w.Failure = w.Failure || slices.Contains(hooks, callback.FailureEvent)
	w.PreAPICall = w.PreAPICall || slices.Contains(hooks, callback.PreAPICall)
	w.PostAPICall = w.PostAPICall || slices.Contains(hooks, callback.PostAPICall)
	w.StreamEvent = w.StreamEvent || slices.Contains(hooks, callback.StreamEvent)
}
