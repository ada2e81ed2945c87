package limit_test

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

// benchmark measures Admit and Close together.
func benchmark(b *testing.B, l *limit.Limiter, caller string) {
	var ids atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		id := fmt.Sprint("worker-", ids.Add(1))
		for pb.Next() {
			a, err := l.Admit(b.Context(), &limit.Ask{ID: id, Model: "m", Caller: caller, Candidates: []string{"a", "b"},
				Size: limit.Size{Text: 2000, MaxOutput: 300}})
			if err != nil {
				b.Error(err)
				return
			}
			a.Close(limit.Outcome{Reached: true, Known: true, Prompt: 500, Completion: 200})
		}
	})
}

const plenty = 1 << 40

func BenchmarkAdmit(b *testing.B) {
	limited := limit.Budget{RPM: plenty, TPM: plenty}
	memory := func(b *testing.B, o limit.Options) *limit.Limiter {
		o.Now, o.Store = time.Now, store.NewShared(store.SharedOptions{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		l := limit.New(o)
		b.Cleanup(l.Close)
		return l
	}
	b.Run("unlimited", func(b *testing.B) {
		benchmark(b, memory(b, limit.Options{Deployments: deployments(limit.Budget{}, limit.Budget{})}), "")
	})
	everything := limit.Options{Deployments: deployments(limited, limited), Caller: limited, MaxParallel: plenty}
	b.Run("memory, rpm and tpm", func(b *testing.B) {
		benchmark(b, memory(b, limit.Options{Deployments: deployments(limited, limited)}), "")
	})
	b.Run("memory, everything", func(b *testing.B) { benchmark(b, memory(b, everything), "tenant") })
	b.Run("redis, rpm and tpm", func(b *testing.B) {
		benchmark(b, newReplica(b, storetest.Start(b), limit.Options{Deployments: deployments(limited, limited)}, 0).Limiter, "")
	})
	b.Run("redis, everything", func(b *testing.B) {
		benchmark(b, newReplica(b, storetest.Start(b), everything, 0).Limiter, "tenant")
	})
}
