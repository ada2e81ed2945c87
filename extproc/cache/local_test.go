package cache_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
)

func TestTheLocalCacheKeepsEntriesForTheirTimeWithinItsSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := cache.NewLocal(100_000)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ctx := t.Context()
		_ = l.Set(ctx, "a:short", []byte("1"), time.Second)
		_ = l.Set(ctx, "a:long", []byte("2"), time.Hour)
		_ = l.Set(ctx, "b:long", []byte("3"), time.Hour)
		time.Sleep(3 * time.Second)
		if _, err := l.Get(ctx, "a:short"); !errors.Is(err, cache.ErrMiss) {
			t.Errorf("an entry past its time: %v", err)
		}
		if v, err := l.Get(ctx, "a:long"); err != nil || string(v) != "2" {
			t.Errorf("%s, %v", v, err)
		}
		if n, err := l.Flush(ctx, "a"); n != 1 || err != nil {
			t.Errorf("flushed %d, %v", n, err)
		}
		if _, err := l.Get(ctx, "a:long"); !errors.Is(err, cache.ErrMiss) {
			t.Errorf("a flushed entry: %v", err)
		}
		if _, err := l.Get(ctx, "b:long"); err != nil {
			t.Errorf("another prefix: %v", err)
		}
		for i := range 1000 {
			_ = l.Set(ctx, fmt.Sprint("c:", i), make([]byte, 1000), time.Hour)
		}
		if size := l.Size(); size == 0 || size > 100_000 {
			t.Errorf("size = %d", size)
		}
	})
}
