package cli

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"

	"github.com/isthmus-proxy/isthmus/envoy"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

// replicas are two services behind one Envoy, which gives each of its gRPC
// streams to either.
func replicas(t *testing.T, config string) [2]*attached {
	t.Helper()
	ports := [2]string{"127.0.0.1:" + freePort(t), "127.0.0.1:" + freePort(t)}
	both := [2]*attached{serveAt(t, ports[0], config, "--peers", ports[1]), serveAt(t, ports[1], config, "--peers", ports[0])}
	return behindOne(t, both, envoy.Security{})
}

// behindOne puts two services behind one Envoy.
func behindOne(t *testing.T, both [2]*attached, security envoy.Security) [2]*attached {
	t.Helper()
	a := both[0]
	g, err := configFlags{path: a.config}.load()
	if err != nil {
		t.Fatal(err)
	}
	in := g.input(envoy.Default)
	in.Security = security
	in.Admin = envoy.Address{Path: a.adminSocket()}
	for text, into := range map[string]*envoy.Address{"127.0.0.1:" + a.port: &in.Listen, a.grpc: &in.Processor} {
		if *into, err = envoy.ParseAddress(text); err != nil {
			t.Fatal(err)
		}
	}
	boot, err := envoy.Bootstrap(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range boot.GetStaticResources().GetClusters() {
		if c.GetName() != envoy.ProcessorCluster {
			continue
		}
		endpoints := c.GetLoadAssignment().GetEndpoints()[0]
		second := proto.Clone(endpoints.GetLbEndpoints()[0]).(*endpointv3.LbEndpoint)
		second.GetEndpoint().Address = tcp(t, both[1].grpc)
		endpoints.LbEndpoints = append(endpoints.LbEndpoints, second)
	}
	text, err := envoy.YAML(boot)
	if err != nil {
		t.Fatal(err)
	}
	a.start("1.40.0", text)
	both[1].url = a.url
	return both
}

func TestStreamsOfOneRequestMayReachDifferentReplicas(t *testing.T) {
	good := newProvider(t, openAI)
	both := replicas(t, "model_list:\n"+
		entry("m", newProvider(t, failWith(500)).base(), ", order: 1")+entry("m", refused(t), ", order: 2")+entry("m", good.base(), ", order: 3")+
		entry("carried", good.base(), ", stream_passthrough: true")+
		"router_settings: {num_retries: 2, cooldown_time: 0, retry_budget_percent: 1000}\n")
	const rounds = 12
	for range rounds {
		if got := both[0].post("/v1/chat/completions", strings.Replace(usageStream, `"m"`, `"carried"`, 1)); got.status != 200 {
			t.Fatalf("%d: %s", got.status, got.body)
		}
		for _, body := range []string{ask, askStream, usageStream} {
			if got := both[0].post("/v1/chat/completions", body); got.status != 200 || got.header.Get("X-Isthmus-Attempts") != "3" {
				t.Fatalf("%d after %s attempts: %s", got.status, got.header.Get("X-Isthmus-Attempts"), got.body)
			}
		}
	}
	var requests, failures int
	for _, a := range both {
		requests += a.streams("request")
		failures += a.streams("failure")
		if a.streams("request") == 0 || a.streams("failure") == 0 {
			t.Errorf("a replica got no streams: the test shows nothing")
		}
	}
	if requests != 4*rounds || failures < 3*rounds {
		t.Errorf("%d request and %d failure streams", requests, failures)
	}
	for _, a := range both {
		a.idle()
		await(t, time.Minute, "every stream's end is told to the replica that has it", func() bool {
			return !strings.Contains(a.stderr.String(), `"estimated":true`) && strings.Count(a.stderr.String(), `"msg":"request"`) == a.streams("request")
		})
		if log := a.stderr.String(); strings.Contains(log, "aborted") {
			t.Errorf("log:\n%s", log)
		}
	}
}

// met waits until each replica has told Redis its address after all had: with the
// answer it has those of the others.
func met(t *testing.T, c *redis.Client, addresses ...string) {
	t.Helper()
	said := func() map[string]string {
		all, err := c.HGetAll(t.Context(), "isthmus:{limits}:addresses").Result()
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	// What a replica hears is noted a moment later than Redis has its word: the
	// second time is after the first is noted.
	for range 2 {
		var before map[string]string
		await(t, time.Minute, "all replicas are in Redis", func() bool {
			before = said()
			return !slices.ContainsFunc(addresses, func(a string) bool { return before[a] == "" })
		})
		await(t, time.Minute, "all replicas have asked again", func() bool {
			now := said()
			return !slices.ContainsFunc(addresses, func(a string) bool { return now[a] == "" || now[a] == before[a] })
		})
	}
}

// TestReplicasMeetInRedis lets them hand on each other's streams with certificates
// and a secret, when they have met.
func TestReplicasMeetInRedis(t *testing.T) {
	server := storetest.Start(t)
	_, redisPort, _ := strings.Cut(server.Addr, ":")
	good := newProvider(t, openAI)
	config := "model_list:\n" + entry("m", newProvider(t, failWith(500)).base(), ", order: 1") + entry("m", good.base(), ", order: 2") +
		"router_settings: {num_retries: 1, cooldown_time: 0, retry_budget_percent: 1000, redis_host: 127.0.0.1, redis_port: " + redisPort + "}\n" +
		"general_settings: {redis_timeout: 4}\n"
	ca := storetest.NewAuthority(t)
	cert, key := ca.Issue(t, "isthmus", "isthmus.test")
	flags := []string{"--tls-cert", cert, "--tls-key", key, "--tls-client-ca", ca.CAFile, "--shared-secret-file", secretFile(t, portSecret)}
	both := [2]*attached{serveAt(t, "127.0.0.1:"+freePort(t), config, flags...), serveAt(t, "127.0.0.1:"+freePort(t), config, flags...)}
	both = behindOne(t, both, envoy.Security{Secret: portSecret, CA: ca.CAFile, Cert: cert, Key: key, Name: "isthmus.test"})
	met(t, newRedisClient(t, server.Addr), both[0].grpc, both[1].grpc)
	const rounds = 16
	for range rounds {
		if got := both[0].post("/v1/chat/completions", ask); got.status != 200 || got.header.Get("X-Isthmus-Attempts") != "2" {
			t.Fatalf("%d after %s attempts: %s", got.status, got.header.Get("X-Isthmus-Attempts"), got.body)
		}
	}
	relayed := 0.0
	for _, a := range both {
		a.idle()
		for _, filter := range []string{"retry", "failure"} {
			relayed += a.metric(`isthmus_extproc_relayed_streams_total{filter="` + filter + `"}`)
		}
	}
	if relayed == 0 {
		t.Error("no stream was handed on: the test shows nothing")
	}
}

func TestAReplicaThatEndsFailsItsRequestsOnly(t *testing.T) {
	release := make(chan struct{})
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		if strings.Contains(body, `"slow"`) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		openAI(w, r, body)
	})
	both := replicas(t, "model_list:\n"+entry("m", p.base(), ""))
	answers := make(chan int, 8)
	for range cap(answers) {
		go func() {
			resp, err := http.Post(both[0].url+"/v1/chat/completions", "application/json", strings.NewReader(strings.Replace(ask, `"hi"`, `"slow"`, 1)))
			if err != nil {
				answers <- 0
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			answers <- resp.StatusCode
		}()
	}
	await(t, 20*time.Second, "all requests are at the provider", func() bool { return len(p.calls()) == cap(answers) })
	stopped := make(chan struct{})
	go func() {
		both[1].stop() // drains: its requests finish
		close(stopped)
	}()
	await(t, 20*time.Second, "one replica drains", func() bool { return strings.Contains(both[1].stderr.String(), "draining") })
	close(release)
	for range cap(answers) {
		if status := <-answers; status != 200 {
			t.Errorf("a request that ran while a replica drained: %d", status)
		}
	}
	<-stopped
	// Envoy has no health checks here: it finds out by being refused.
	await(t, 20*time.Second, "the replica that is left serves", func() bool { return both[0].post("/v1/chat/completions", ask).status == 200 })
}
