package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/soak/ending"
)

// options are the flags.
type options struct {
	duration, every              time.Duration
	isthmus, envoy, envoyVersion string
	attach                       string
	clients, concurrency         int
	only                         string // kinds
	dir                          string // for files and sockets
}

func main() {
	var o options
	flag.DurationVar(&o.duration, "duration", 10*time.Minute, "how long")
	flag.DurationVar(&o.every, "every", time.Minute, "time between two lines of figures")
	flag.StringVar(&o.isthmus, "isthmus", "bin/isthmus", "the `BINARY` of isthmus")
	flag.StringVar(&o.envoy, "envoy", "", "the `BINARY` of Envoy (default: as isthmus run finds it)")
	flag.StringVar(&o.envoyVersion, "envoy-version", "", "fetch this `VERSION` of Envoy instead")
	flag.StringVar(&o.attach, "attach", "run",
		"run: isthmus runs Envoy; bootstrap, filters: isthmus serve behind an Envoy with what isthmus envoy writes")
	flag.IntVar(&o.clients, "clients", 64, "how many `CLIENTS` make requests at once")
	flag.IntVar(&o.concurrency, "concurrency", 2, "worker `THREADS` of an Envoy that is attached")
	flag.StringVar(&o.only, "only", "", "kinds of requests whose name matches this `REGEXP`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := o.soak(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// soak starts everything, loads it for a while and says what was wrong.
func (o options) soak(ctx context.Context) error {
	only, err := regexp.Compile(o.only)
	if err != nil {
		return err
	}
	mix := slices.DeleteFunc(kinds(), func(k kind) bool { return !only.MatchString(k.name) })
	if len(mix) == 0 {
		return fmt.Errorf("no kind of requests matches %q", o.only)
	}
	dir, err := os.MkdirTemp("", "isthmus-soak-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	o.dir = dir
	providers := httptest.NewServer(http.HandlerFunc(provider))
	defer func() {
		providers.CloseClientConnections()
		providers.Close()
	}()
	config := modelConfig(providers.URL)
	g, err := start(ctx, o, config)
	if g != nil {
		defer g.stop()
	}
	if err != nil {
		return err
	}
	count := newTally(mix)
	watch := &watcher{gateway: g, tally: count, every: o.every, envoy: g.envoyPid()}
	limit, cancel := context.WithTimeout(ctx, o.duration)
	defer cancel()
	var clients sync.WaitGroup
	for i := range o.clients {
		clients.Go(func() { load(limit, newClient(g.url, i), mix, count) })
	}
	if o.attach == "run" {
		clients.Go(func() { reloads(limit, g, config) })
	}
	died := watch.run(limit)
	cancel()
	clients.Wait()
	fmt.Println(watch.line())
	count.print(os.Stdout)
	return errors.Join(died, watch.verdict(), ended(count))
}

// load makes requests until ctx ends. The last one ends by itself: what is cut
// off here would say nothing of the gateway.
func load(ctx context.Context, c *client, mix []kind, count *tally) {
	all := 0
	for _, k := range mix {
		all += k.share
	}
	for ctx.Err() == nil {
		k := pick(mix, c.dice.IntN(all))
		e, err := c.send(context.WithoutCancel(ctx), k)
		count.add(k, e, err)
		if e == ending.Unanswered { // a gateway that is away is no reason to spin
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
}

// pick is the kind at n of the shares laid end to end.
func pick(mix []kind, n int) kind {
	for _, k := range mix {
		if n -= k.share; n < 0 {
			return k
		}
	}
	return mix[len(mix)-1]
}

// reloads changes the model config now and then: one deployment comes and goes.
func reloads(ctx context.Context, g *gateway, config string) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	dice := rand.New(rand.NewPCG(1, 12))
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			other := "model_list:\n" + deployment("other", "openai/up", fmt.Sprintf("http://127.0.0.1:%d/v1", 1+dice.IntN(8)), "")
			_ = g.reload(other + config[len("model_list:\n"):]) // an isthmus that is gone is the watcher's to tell
		}
	}
}

// ended says when requests were not answered.
func ended(count *tally) error {
	if n := count.total()[ending.Unanswered]; n > 0 {
		return fmt.Errorf("%d requests were neither answered nor failed cleanly", n)
	}
	return nil
}
