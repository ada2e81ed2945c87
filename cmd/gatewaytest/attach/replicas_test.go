package attach

import (
	"slices"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/envoy"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

// replicas are two services behind one Envoy, which gives each of its gRPC
// streams to either.
func replicas(t *testing.T, config string) [2]*gatewaytest.Attached {
	t.Helper()
	ports := [2]string{"127.0.0.1:" + asynctest.FreePort(t), "127.0.0.1:" + asynctest.FreePort(t)}
	both := [2]*gatewaytest.Attached{
		gatewaytest.ServeAt(t, ports[0], config, "--peers", ports[1]),
		gatewaytest.ServeAt(t, ports[1], config, "--peers", ports[0]),
	}
	return behindOne(t, both)
}

// behindOne puts two services behind one Envoy, which has these flags of `isthmus
// envoy` to be let in.
func behindOne(t *testing.T, both [2]*gatewaytest.Attached, security ...string) [2]*gatewaytest.Attached {
	t.Helper()
	a := both[0]
	a.StartEnvoy("1.40.0", a.EnvoyConfig(append(security, "--listen", "127.0.0.1:"+a.Port, "--admin", "unix://"+a.AdminSocket(),
		"--processor", a.Processor+","+both[1].Processor, "--access-log", "")...))
	both[1].URL = a.URL
	return both
}

// addProcessor gives an Envoy's configuration a second service, at this address.
func addProcessor(t *testing.T, boot *bootstrapv3.Bootstrap, address string) {
	t.Helper()
	for _, c := range boot.GetStaticResources().GetClusters() {
		if c.GetName() != envoy.ProcessorCluster {
			continue
		}
		endpoints := c.GetLoadAssignment().GetEndpoints()[0]
		second := proto.Clone(endpoints.GetLbEndpoints()[0]).(*endpointv3.LbEndpoint)
		second.GetEndpoint().Address = gatewaytest.SocketAddress(t, address)
		endpoints.LbEndpoints = append(endpoints.LbEndpoints, second)
	}
}

func TestStreamsOfOneRequestMayReachDifferentReplicas(t *testing.T) {
	t.Parallel()
	good := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	both := replicas(t, "model_list:\n"+
		gatewaytest.Entry("m", gatewaytest.NewProvider(t, gatewaytest.FailWith(500)).Base(), ", order: 1")+
		gatewaytest.Entry("m", gatewaytest.RefusedAddress(t), ", order: 2")+gatewaytest.Entry("m", good.Base(), ", order: 3")+
		gatewaytest.Entry("carried", good.Base(), ", stream_passthrough: true")+
		"router_settings: {num_retries: 2, cooldown_time: 0, retry_budget_percent: 1000}\n")
	const rounds = 12
	for range rounds {
		if got := both[0].Post("/v1/chat/completions", strings.Replace(gatewaytest.UsageStream, `"m"`, `"carried"`, 1)); got.Status != 200 {
			t.Fatalf("%d: %s", got.Status, got.Body)
		}
		for _, body := range []string{gatewaytest.Ask, gatewaytest.AskStream, gatewaytest.UsageStream} {
			if got := both[0].Post("/v1/chat/completions", body); got.Status != 200 || got.Header.Get("X-Isthmus-Attempts") != "3" {
				t.Fatalf("%d after %s attempts: %s", got.Status, got.Header.Get("X-Isthmus-Attempts"), got.Body)
			}
		}
	}
	var requests, failures int
	for _, a := range both {
		requests += a.Streams("request")
		failures += a.Streams("failure")
		if a.Streams("request") == 0 || a.Streams("failure") == 0 {
			t.Errorf("a replica got no streams: the test shows nothing")
		}
	}
	if requests != 4*rounds || failures < 3*rounds {
		t.Errorf("%d request and %d failure streams", requests, failures)
	}
	for _, a := range both {
		a.Idle()
		asynctest.Await(t, "every stream's end is told to the replica that has it", func() bool {
			return !strings.Contains(a.Stderr.String(), `"estimated":true`) &&
				strings.Count(a.Stderr.String(), `"msg":"request"`) == a.Streams("request")
		})
		if log := a.Stderr.String(); strings.Contains(log, "aborted") {
			t.Errorf("log:\n%s", log)
		}
	}
}

// TestAStreamFailsOverWhereverItsOpeningIsServed: the replica that has the request
// decides, and each reads its part of the streams of both.
func TestAStreamFailsOverWhereverItsOpeningIsServed(t *testing.T) {
	t.Parallel()
	good := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	both := replicas(t, "model_list:\n"+
		gatewaytest.Entry("m", gatewaytest.NewProvider(t, failsInItsStream).Base(), ", order: 1")+
		gatewaytest.Entry("m", good.Base(), ", order: 2")+gatewaytest.Entry("plain", good.Base(), "")+
		"router_settings: {num_retries: 1, cooldown_time: 0, retry_budget_percent: 1000}\n")
	const rounds = 16
	for i := range rounds {
		// Envoy gives its streams to the replicas in turns. Half way one request that has
		// no opening changes whose turn it is.
		if i == rounds/2 {
			if got := both[0].Post("/v1/chat/completions", gatewaytest.ForModel("plain", gatewaytest.Ask)); got.Status != 200 {
				t.Fatalf("%d: %s", got.Status, got.Body)
			}
		}
		if got := both[0].Post("/v1/chat/completions", gatewaytest.AskStream); got.Status != 200 || got.Err != nil ||
			got.Header.Get("X-Isthmus-Attempts") != "2" || !strings.HasSuffix(got.Body, "data: [DONE]\n\n") {
			t.Fatalf("%d (%v) after %s attempts: %s", got.Status, got.Err, got.Header.Get("X-Isthmus-Attempts"), got.Body)
		}
	}
	openings, relayed := 0, 0.0
	for _, a := range both {
		a.Idle()
		openings += a.Streams("opening")
		relayed += a.Metric(`isthmus_extproc_relayed_streams_total{filter="opening"}`)
	}
	if openings < 2*rounds || relayed == 0 {
		t.Errorf("%d openings, %v of them handed on", openings, relayed)
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
		asynctest.Await(t, "all replicas are in Redis", func() bool {
			before = said()
			return !slices.ContainsFunc(addresses, func(a string) bool { return before[a] == "" })
		})
		asynctest.Await(t, "all replicas have asked again", func() bool {
			now := said()
			return !slices.ContainsFunc(addresses, func(a string) bool { return now[a] == "" || now[a] == before[a] })
		})
	}
}

// TestReplicasMeetInRedis lets them hand on each other's streams with certificates
// and a secret, when they have met.
func TestReplicasMeetInRedis(t *testing.T) {
	t.Parallel()
	server := storetest.Start(t)
	_, redisPort, _ := strings.Cut(server.Addr, ":")
	good := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	config := "model_list:\n" + gatewaytest.Entry("m", gatewaytest.NewProvider(t, gatewaytest.FailWith(500)).Base(), ", order: 1") +
		gatewaytest.Entry("m", good.Base(), ", order: 2") +
		"router_settings: {num_retries: 1, cooldown_time: 0, retry_budget_percent: 1000, redis_host: 127.0.0.1, redis_port: " + redisPort +
		"}\n" +
		"general_settings: {redis_timeout: 4}\n"
	ca := storetest.NewAuthority(t)
	cert, key := ca.Issue(t, "isthmus", "isthmus.test")
	flags := []string{
		"--tls-cert",
		cert,
		"--tls-key",
		key,
		"--tls-client-ca",
		ca.CAFile,
		"--shared-secret-file",
		gatewaytest.SecretFile(t, portSecret),
	}
	both := [2]*gatewaytest.Attached{
		gatewaytest.ServeAt(t, "127.0.0.1:"+asynctest.FreePort(t), config, flags...),
		gatewaytest.ServeAt(t, "127.0.0.1:"+asynctest.FreePort(t), config, flags...),
	}
	both = behindOne(t, both, "--shared-secret-file", gatewaytest.SecretFile(t, portSecret),
		"--processor-ca", ca.CAFile, "--processor-cert", cert, "--processor-key", key, "--processor-name", "isthmus.test")
	met(t, gatewaytest.NewRedisClient(t, server.Addr), both[0].Processor, both[1].Processor)
	const rounds = 16
	for range rounds {
		if got := both[0].Post("/v1/chat/completions", gatewaytest.Ask); got.Status != 200 || got.Header.Get("X-Isthmus-Attempts") != "2" {
			t.Fatalf("%d after %s attempts: %s", got.Status, got.Header.Get("X-Isthmus-Attempts"), got.Body)
		}
	}
	relayed := 0.0
	for _, a := range both {
		a.Idle()
		for _, filter := range []string{"retry", "failure"} {
			relayed += a.Metric(`isthmus_extproc_relayed_streams_total{filter="` + filter + `"}`)
		}
	}
	if relayed == 0 {
		t.Error("no stream was handed on: the test shows nothing")
	}
}
