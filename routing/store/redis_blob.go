package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrMiss says that there is no blob under the key.
var ErrMiss = errors.New("no such blob")

// defaultMaxBlob is the longest blob in bytes.
const defaultMaxBlob = 32 << 20

// Get returns a blob, or ErrMiss, also for what no Set has written: a value of another
// type, or one that is longer than maxBlob. The key is used as it is.
func (r *Redis) Get(ctx context.Context, key string) ([]byte, error) {
	value, err := r.client.GetRange(ctx, key, 0, int64(r.maxBlob)).Bytes()
	switch {
	case redis.HasErrorPrefix(err, "WRONGTYPE"), len(value) > r.maxBlob:
		r.skipped.add(blobKind, 1)
		return nil, ErrMiss
	case err != nil:
		return nil, fmt.Errorf("read a blob: %w", err)
	case len(value) == 0:
		return nil, ErrMiss
	}
	return value, nil
}

// Set keeps a blob for ttl. It has a byte at least and maxBlob at most, and ttl is above
// zero.
func (r *Redis) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if ttl <= 0 {
		return errors.New("write a blob: it needs a time to live")
	}
	if len(value) == 0 || len(value) > r.maxBlob {
		return fmt.Errorf("write a blob: it has %d bytes, and must have 1 to %d", len(value), r.maxBlob)
	}
	if err := r.client.Set(ctx, key, value, max(ttl, time.Millisecond)).Err(); err != nil {
		return fmt.Errorf("write a blob: %w", err)
	}
	return nil
}

// scanStep is how many keys one step of Flush looks at.
const scanStep = 500

// Flush deletes all blobs whose keys begin with "namespace:" and tells how many.
// It goes through all keys of all nodes in small steps, so that no other call
// waits for it, and ends early when ctx does.
func (r *Redis) Flush(ctx context.Context, namespace string) (int64, error) {
	if namespace == "" {
		return 0, errors.New("flush blobs: without a namespace everything would go")
	}
	var gone atomic.Int64
	flush := func(ctx context.Context, node redis.UniversalClient) error {
		n, err := flushNode(ctx, node, escapeGlob(namespace)+":*")
		gone.Add(n)
		return err
	}
	var err error
	if cluster, ok := r.client.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return flush(ctx, node) })
	} else {
		err = flush(ctx, r.client)
	}
	if err != nil {
		return gone.Load(), fmt.Errorf("flush blobs: %w", err)
	}
	return gone.Load(), nil
}

func flushNode(ctx context.Context, node redis.UniversalClient, match string) (int64, error) {
	var cursor uint64
	var gone int64
	for {
		keys, next, err := node.Scan(ctx, cursor, match, scanStep).Result()
		if err != nil {
			return gone, err
		}
		n, err := unlink(ctx, node, keys)
		gone += n
		if err != nil || next == 0 {
			return gone, err
		}
		cursor = next
	}
}

// unlink deletes keys one by one, in one round trip: those of a cluster's node
// are in many hash slots.
func unlink(ctx context.Context, node redis.UniversalClient, keys []string) (int64, error) {
	if len(keys) == 0 {
		return 0, nil
	}
	pipe := node.Pipeline()
	results := make([]*redis.IntCmd, len(keys))
	for i, key := range keys {
		results[i] = pipe.Unlink(ctx, key)
	}
	_, err := pipe.Exec(ctx)
	var gone int64
	for _, n := range results {
		gone += n.Val()
	}
	return gone, err
}

func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}
