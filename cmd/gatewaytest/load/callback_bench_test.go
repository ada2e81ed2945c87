package load

import (
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// BenchmarkSinkInTrouble reports how long requests take, and how much processor
// time, beside a sink that is well or in trouble, as a multiple of the same gateway
// without a sink. The two take turns.
func BenchmarkSinkInTrouble(b *testing.B) {
	const n, clients = 1000, 4
	for _, fault := range []gatewaytest.Fault{gatewaytest.Well, gatewaytest.Hangs, gatewaytest.Answers500, gatewaytest.Floods} {
		b.Run(string(fault), func(b *testing.B) {
			m, p := gatewaytest.NewFaultyWebhook(b, fault), gatewaytest.NewProvider(b, benchProvider)
			with, without := startBenchOn(b, m.Config(p.Base())), startBench(b, p.Base())
			for _, g := range []bench{with, without} {
				load{gatewaytest.Ask, n / 10, clients}.on(b, g.url)
			}
			var times [2]time.Duration
			var used [2]cpuTime
			for b.Loop() {
				for i, g := range []bench{with, without} {
					began, before := time.Now(), g.cpu(b)
					load{gatewaytest.Ask, n, clients}.on(b, g.url)
					times[i] += time.Since(began)
					used[i].add(before, g.cpu(b))
				}
			}
			m.Recover() // or its end would wait
			m.Server.CloseClientConnections()
			b.ReportMetric(float64(times[0])/float64(times[1]), "×time")
			b.ReportMetric(float64(used[0].all())/float64(used[1].all()), "×cpu")
			b.ReportMetric(float64(times[1].Microseconds())*clients/float64(n*b.N), "µs/request-without")
			b.ReportMetric(0, "ns/op")
		})
	}
}
