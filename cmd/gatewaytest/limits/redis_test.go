package limits

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

func TestAKilledReplicaGivesItsSlotsBackAndItsRequestsStayCounted(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		if strings.Contains(body, "hold") {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		gatewaytest.OpenAI(w, r, body)
	})
	config := "model_list:\n" + gatewaytest.Entry("slots", p.Base(), ", max_parallel_requests: 4") +
		gatewaytest.Entry("minute", p.Base(), ", rpm: 6") +
		"general_settings: {" + gatewaytest.ExactByRedis + ", num_retries: 0}\n"
	f := gatewaytest.StartFleet(t, 1, config)
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(config, "$REDIS", f.Server.Addr)), 0o600); err != nil {
		t.Fatal(err)
	}
	port, out := asynctest.FreePort(t), &asynctest.Text{}
	doomed := gatewaytest.StartProcess(t, out, "run", "--config", path, "--port", port)
	asynctest.Await(t, "the other replica is ready", func() bool { return strings.Contains(out.String(), "is ready") })
	here, there := f.Replicas[0], &gatewaytest.Gateway{T: t, URL: "http://127.0.0.1:" + port}
	for range 3 {
		there.SendLeaving(gatewaytest.ForModel("slots", strings.Replace(gatewaytest.Ask, "hi", "hold", 1)))
	}
	asynctest.Await(t, "three requests run there", func() bool { return len(p.Calls()) == 3 })
	here.SendLeaving(gatewaytest.ForModel("slots", strings.Replace(gatewaytest.Ask, "hi", "hold", 1)))
	asynctest.Await(t, "one runs here", func() bool { return len(p.Calls()) == 4 })
	if got := here.Post("/v1/chat/completions", gatewaytest.ForModel("slots", gatewaytest.Ask)); got.Status != 429 {
		t.Errorf("a fifth request: %d", got.Status)
	}
	got := gatewaytest.Statuses(gatewaytest.Burst([]*gatewaytest.Gateway{there, here}, 4, gatewaytest.ForModel("minute", gatewaytest.Ask)))
	if got[200] != 4 {
		t.Errorf("below the limit: %v", got)
	}
	if err := doomed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	clock := asynctest.WatchStalls(t).Clock()
	asynctest.Await(t, "a slot of the killed replica is free", func() bool {
		return here.Post("/v1/chat/completions", gatewaytest.ForModel("slots", gatewaytest.Ask)).Status == 200
	})
	took, late := clock()
	t.Logf("slots were free %s after kill -9", took.Round(time.Millisecond))
	if testring.JudgesTimes() && took-late > 12*time.Second {
		t.Errorf("the slots were free after %s (the machine was late by %s), the lease is 10 s", took, late)
	}
	asynctest.Await(t, "only the request that runs here has a lease", func() bool {
		held := slices.Collect(maps.Values(f.Leases()))
		return len(held) == 1 && held[0] == 1
	})
	got = gatewaytest.Statuses(gatewaytest.Burst([]*gatewaytest.Gateway{here}, 4, gatewaytest.ForModel("minute", gatewaytest.Ask)))
	if got[200] != 2 || got[429] != 2 {
		t.Errorf("after the kill the minute has room for %v, want 2", got)
	}
	close(release)
	asynctest.Await(t, "all leases are gone", func() bool { return len(f.Leases()) == 0 })
}
