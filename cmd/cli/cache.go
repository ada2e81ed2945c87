package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/routing/config"
	"github.com/isthmus-proxy/isthmus/routing/store"
)

// Time limits of the cache commands.
const (
	cachePingTime  = 5 * time.Second
	cacheFlushTime = 10 * time.Minute // all keys of a Redis are looked at
)

// cacheCommand checks that the cache's Redis answers, or deletes the cache's entries
// in it.
func cacheCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 || args[0] != "ping" && args[0] != "flush" {
		fmt.Fprint(stderr, "isthmus cache: want isthmus cache ping --config FILE, or isthmus cache flush --config FILE\n")
		if len(args) > 0 && slices.Contains([]string{"help", "--help", "-help", "-h"}, args[0]) {
			return flag.ErrHelp
		}
		return errUsage
	}
	f := configFlags{keysElsewhere: true}
	flags := flag.NewFlagSet("cache "+args[0], flag.ContinueOnError)
	f.add(flags)
	if err := parse(flags, args[1:], stderr); err != nil {
		return err
	}
	cfg, err := f.load()
	if err != nil {
		return err
	}
	c, done, err := openOperatorCache(cfg.config)
	if err != nil {
		return err
	}
	defer done()
	if args[0] == "ping" {
		ctx, cancel := context.WithTimeout(ctx, cachePingTime)
		defer cancel()
		if err := c.Ping(ctx); err != nil {
			return err
		}
		fmt.Fprintln(stdout, "the cache's Redis answers")
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, cacheFlushTime)
	defer cancel()
	n, err := c.Flush(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%d entries are gone\n", n)
	return nil
}

// openOperatorCache opens the configured cache for one command; done must be called.
func openOperatorCache(c *config.Config) (_ *cache.Cache, done func(), err error) {
	switch {
	case !c.Cache.Enabled:
		return nil, nil, errors.New("the model config has no cache: it does not say cache: true")
	case c.Cache.Type == "local":
		return nil, nil, errors.New("the cache is in the memory of the running isthmus: ask its admin port, GET /cache/ping or POST " +
			"/cache/flushall")
	}
	redis, err := store.NewRedis(store.RedisOptions{Server: store.Server(c.Redis), Replica: fmt.Sprint("operator-", os.Getpid()),
		Now: time.Now})
	if err != nil {
		return nil, nil, fmt.Errorf("open Redis: %w", err)
	}
	it := cache.New(cache.Config{Blobs: redis, Miss: store.ErrMiss, Namespace: c.Cache.Namespace})
	return it, func() { _, _ = it.Close(context.Background()), redis.Close() }, nil
}
