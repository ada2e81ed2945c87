package load

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

// soakLength is how many requests the load has; ISTHMUS_SOAK=1000000 makes it longer.
func soakLength(t *testing.T) int64 {
	text := os.Getenv("ISTHMUS_SOAK")
	if text == "" {
		return 25_000
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// soakWarm is how many requests it takes until the collector has found its pace.
const soakWarm = 15_000

// TestSoakMemoryIsFlat loads the program itself with everything that keeps
// something for a while: answers that are cached, records for a webhook, streams,
// clients that leave, attempts that fail, callers with limits of their own. After the
// first third nothing may grow any more, in the service and in its Envoy.
func TestSoakMemoryIsFlat(t *testing.T) {
	testring.Soak(t, "judges memory over a long load")
	good, bad, sink := soakServer(t, gatewaytest.OpenAI), soakServer(t, gatewaytest.FailWith(500)), soakServer(t, gatewaytest.FailWith(200))
	config := "model_list:\n" + gatewaytest.Entry("m", bad+"/v1", ", weight: 1") +
		gatewaytest.Entry("m", good+"/v1", ", weight: 9, rpm: 100000000") +
		"router_settings: {cooldown_time: 0}\n" +
		"litellm_settings: {cache: true, cache_params: {type: local, max_size: 4194304}, callbacks: [webhook], webhook_url: '" + sink + "'}\n" +
		"general_settings: {tenant_header: x-team, tenant_limits: {rpm: 1000000}}\n"
	url, pid := gatewaytest.StartProgram(t, config, "--concurrency", "1")
	envoy := onlyChild(t, pid)

	var made atomic.Int64
	send := func(until int64) {
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				for n := made.Add(1); n <= until; n = made.Add(1) {
					soakRequest(t.Context(), url, n)
				}
			})
		}
		clients.Wait()
	}
	send(soakWarm)
	service, proxy := gatewaytest.ResidentMemory(t, pid), gatewaytest.ResidentMemory(t, envoy)
	send(soakLength(t))
	t.Logf("after %d requests: service %d MiB, Envoy %d MiB; after %d: %d and %d", soakWarm, service>>20, proxy>>20, soakLength(t),
		gatewaytest.ResidentMemory(t, pid)>>20, gatewaytest.ResidentMemory(t, envoy)>>20)
	const slack = 24 << 20 // bytes: what a collector may leave for the next
	// What is garbage by now goes; what is kept stays.
	asynctest.Await(t, "the service has not grown",
		func() bool { return gatewaytest.ResidentMemory(t, pid)-service <= slack })
	asynctest.Await(t, "Envoy has not grown", func() bool { return gatewaytest.ResidentMemory(t, envoy)-proxy <= slack })
}

// soakServer is a provider or a sink that remembers nothing.
func soakServer(t *testing.T, f func(http.ResponseWriter, *http.Request, string)) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f(w, r, string(body))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// soakRequest makes the nth request, of a kind that its number tells.
func soakRequest(ctx context.Context, url string, n int64) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	body := strings.Replace(gatewaytest.Ask, "hi", fmt.Sprintf("question %d", n/2), 1) // each twice: a miss and a hit
	switch n % 8 {
	case 0, 1:
		body = strings.Replace(body, `"model"`, `"stream":true,"model"`, 1)
	case 2:
		body = strings.Replace(body, `"m"`, fmt.Sprintf(`"no-such-model-%d"`, n), 1)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("X-Team", fmt.Sprintf("team-%d", n%300))
	if n%16 == 5 {
		time.AfterFunc(2*time.Millisecond, cancel)
	}
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		_ = gatewaytest.Drain(resp)
	}
}
