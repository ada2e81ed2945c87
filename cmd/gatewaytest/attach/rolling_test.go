package attach

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
	"github.com/isthmus-proxy/isthmus/envoy"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

// paced is a provider whose streams take a while: those for "long" as long as the drain
// of a replica, the others a second.
func paced(t *testing.T) *gatewaytest.Provider {
	return gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		if strings.Contains(body, `"stream":true`) {
			pieces := 10
			if strings.Contains(body, `"long"`) {
				pieces = 100
			}
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range pieces {
				_, _ = fmt.Fprintf(w, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%d \"}}]}\n\n", i)
				gatewaytest.Flush(w)
				select {
				case <-time.After(100 * time.Millisecond):
				case <-r.Context().Done():
					return
				}
			}
			_, _ = io.WriteString(w, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
			return
		}
		gatewaytest.OpenAI(w, r, body)
	})
}

// TestSoakRollingRestart restarts three replicas behind one Envoy, one after another,
// under load: no request fails, no stream is cut.
func TestSoakRollingRestart(t *testing.T) {
	testring.Soak(t, "loads a gateway for a minute and a half")
	server := storetest.Start(t)
	host, port, _ := strings.Cut(server.Addr, ":")
	config := mixedModels(t, paced(t)) + "general_settings: {redis_timeout: 4}\n"
	config = strings.Replace(config, "router_settings: {", fmt.Sprintf("router_settings: {redis_host: %s, redis_port: %s, ", host, port), 1)
	for _, release := range []string{"1.37.0", "1.40.0"} {
		t.Run(release, func(t *testing.T) {
			all := fleet(t, release, config, 3, nil, "--drain-grace", "5s")
			front := *all[0] // keeps the URL and the Envoy when its replica is another
			f := send(t, front.Gateway, 12, func(i int) string {
				if i%3 == 0 {
					return strings.Replace(gatewaytest.AskStream, `"hi"`, `"long"`, 1)
				}
				return mixed(i)
			})
			f.more(t, 100)
			for i, old := range all {
				if code := old.Stop(); code != 0 {
					t.Errorf("replica %d ended with %d", i, code)
				}
				fresh := gatewaytest.ServeAt(t, old.Processor, config, "--peers", all[(i+1)%3].Processor+","+all[(i+2)%3].Processor,
					"--drain-grace", "5s")
				asynctest.Await(t, "Envoy uses the new replica", func() bool {
					h := health(t, &front, fresh.Processor)
					return h[envoy.ProcessorCluster] == "healthy" && h[envoy.AttemptsCluster] == "healthy" && fresh.Streams("request") > 0
				})
				all[i] = fresh
				f.more(t, 100)
				t.Logf("replica %d is restarted: %d answers, %d failures", i, f.good.Load(), f.failures())
			}
			f.stop()
			f.noneFailed(t)
		})
	}
}
