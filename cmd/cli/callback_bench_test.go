package cli

import (
	"testing"
	"time"
)

// BenchmarkSinkInTrouble reports how long requests take, and how much processor
// time, beside a sink that is well or in trouble, as a multiple of the same gateway
// without a sink. The two take turns.
func BenchmarkSinkInTrouble(b *testing.B) {
	const n, clients = 1000, 4
	for _, mood := range []string{"well", "hangs", "500", "floods"} {
		b.Run(mood, func(b *testing.B) {
			m, p := newMoody(b, mood), newProvider(b, benchProvider)
			with, without := startBenchOn(b, m.config(p.base())), startBench(b, p.base())
			for _, g := range []bench{with, without} {
				load{ask, n / 10, clients}.on(b, g.url)
			}
			var times [2]time.Duration
			var used [2]cpuTime
			for b.Loop() {
				for i, g := range []bench{with, without} {
					began, before := time.Now(), g.cpu(b)
					load{ask, n, clients}.on(b, g.url)
					times[i] += time.Since(began)
					used[i].add(before, g.cpu(b))
				}
			}
			m.mood.Store("well") // or its end would wait
			m.server.CloseClientConnections()
			b.ReportMetric(float64(times[0])/float64(times[1]), "×time")
			b.ReportMetric(float64(used[0].all())/float64(used[1].all()), "×cpu")
			b.ReportMetric(float64(times[1].Microseconds())*clients/float64(n*b.N), "µs/request-without")
			b.ReportMetric(0, "ns/op")
		})
	}
}
