package load

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/envoy/process"
)

// rival is another gateway in front of the same provider.
type rival struct {
	url  string
	pids []int
}

func (g rival) cpu(b *testing.B) (t time.Duration) {
	for _, pid := range g.pids {
		t += processTime(b, pid)
	}
	return t
}

const rivalKilobyte = `{"model":"m","messages":[{"role":"user","content":"All the world is a stage. %s"}]}`

// BenchmarkAgainstRivals puts the same load on isthmus and on another gateway, in
// turns. It reports the processor time of a request there as a multiple of that
// here, all processes included, and by how much more requests a second are done
// here. `make compare` installs the others and names them in the environment.
func BenchmarkAgainstRivals(b *testing.B) {
	blocking := fmt.Sprintf(rivalKilobyte, strings.Repeat("All the world is a stage. ", 35))
	stream := `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`
	carried := `{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]}`
	for _, tc := range []struct {
		name, binary string
		start        func(b *testing.B, binary, provider string) rival
		body         string
		n, less      int // requests to isthmus and to the other
	}{
		{"LiteLLM/blocking", "ISTHMUS_LITELLM", startLiteLLM, blocking, 4000, 200},
		{"LiteLLM/blocking, in Anthropic's words", "ISTHMUS_LITELLM", startLiteLLM, strings.Replace(blocking, `"m"`, `"claude"`, 1), 4000, 200},
		{"LiteLLM/stream", "ISTHMUS_LITELLM", startLiteLLM, stream, 400, 40},
		{"Envoy AI Gateway/blocking", "ISTHMUS_AIGATEWAY", startAIGateway, blocking, 4000, 4000},
		{"Envoy AI Gateway/stream", "ISTHMUS_AIGATEWAY", startAIGateway, stream, 400, 400},
		{"Envoy AI Gateway/stream that Envoy carries here", "ISTHMUS_AIGATEWAY", startAIGateway, carried, 400, 400},
	} {
		b.Run(tc.name, func(b *testing.B) {
			binary := os.Getenv(tc.binary)
			if binary == "" {
				b.Skip("not installed: run make compare")
			}
			p := gatewaytest.NewProvider(b, benchProvider)
			ours, theirs := startBenchOn(b, rivalConfig(b, p.URL, tc.name)), tc.start(b, binary, p.URL)
			load{tc.body, tc.n / 10, 16}.on(b, ours.url) // warm connections and code
			load{tc.body, max(tc.less/10, 32), 16}.on(b, theirs.url)
			var cpu, rivalCPU, took, rivalTook time.Duration
			var rounds int
			for b.Loop() {
				before, began := ours.cpu(b).all(), time.Now()
				load{tc.body, tc.n, 16}.on(b, ours.url)
				cpu, took = cpu+ours.cpu(b).all()-before, took+time.Since(began)
				before, began = theirs.cpu(b), time.Now()
				load{tc.body, tc.less, 16}.on(b, theirs.url)
				rivalCPU, rivalTook = rivalCPU+theirs.cpu(b)-before, rivalTook+time.Since(began)
				rounds++
			}
			each := func(t time.Duration, n int) float64 { return float64(t.Microseconds()) / float64(rounds*n) }
			b.ReportMetric(each(cpu, tc.n), "µs/request")
			b.ReportMetric(each(rivalCPU, tc.less), "rival-µs/request")
			b.ReportMetric(each(rivalCPU, tc.less)/each(cpu, tc.n), "×processor-time")
			b.ReportMetric(each(rivalTook, tc.less)/each(took, tc.n), "×throughput")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// rivalConfig is the model config that isthmus and LiteLLM both read. OpenAI's own
// streams are carried by Envoy; those of a server here when it is said to be alike.
func rivalConfig(b *testing.B, provider, kind string) string {
	b.Helper()
	more := ""
	if strings.Contains(kind, "carries") {
		more = ", stream_passthrough: true"
	}
	claude := gatewaytest.NewProvider(b, func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{"type":"text",` +
			`"text":"hello"}],` + `"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":2}}`))
	})
	return "model_list:\n" + gatewaytest.Entry("m", provider+"/v1", more) +
		"- {model_name: claude, litellm_params: {model: anthropic/claude-sonnet-4-5, api_key: sk-claude, api_base: '" + claude.URL + "'}}\n"
}

// startLiteLLM runs LiteLLM's proxy with one worker.
func startLiteLLM(b *testing.B, binary, provider string) rival {
	b.Helper()
	path := filepath.Join(b.TempDir(), "litellm.yaml")
	if err := os.WriteFile(path, []byte(rivalConfig(b, provider, "")), 0o600); err != nil {
		b.Fatal(err)
	}
	port := asynctest.FreePort(b)
	cmd := exec.Command(binary, "--config", path, "--host", "127.0.0.1", "--port", port, "--num_workers", "1", "--telemetry", "False")
	cmd.Env = append(os.Environ(), "LITELLM_LOCAL_MODEL_COST_MAP=True", "LITELLM_LOG=ERROR",
		"LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY=true")
	gatewaytest.StartCommand(b, cmd, &asynctest.Text{})
	url := "http://127.0.0.1:" + port
	asynctest.AwaitWithin(b, 120*time.Second, "LiteLLM is ready", func() bool { return answers(url + "/health/liveliness") })
	return rival{url, []int{cmd.Process.Pid}}
}

// startAIGateway runs Envoy AI Gateway's external processor behind an Envoy with
// the two filters that its control plane would configure.
func startAIGateway(b *testing.B, binary, provider string) rival {
	b.Helper()
	dir := b.TempDir()
	path, socket := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "extproc")
	const config = "version: dev\nbackends:\n" +
		"- {name: provider, modelNameOverride: up, schema: {name: OpenAI}, auth: {apiKey: {key: sk-provider}}}\n"
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(binary, "-configPath", path, "-extProcAddr", "unix://"+socket, "-adminPort", asynctest.FreePort(b))
	gatewaytest.StartCommand(b, cmd, &asynctest.Text{})
	asynctest.Await(b, "the processor listens", func() bool { _, err := os.Stat(socket); return err == nil })

	found, err := process.Finder{}.Find(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	port, admin := asynctest.FreePort(b), filepath.Join(dir, "admin")
	host, providerPort, _ := strings.Cut(strings.TrimPrefix(provider, "http://"), ":")
	envoy, err := process.Start(found, []byte(strings.NewReplacer("$ADMIN", admin, "$PORT", port, "$SOCKET", socket, "$PROVIDER_HOST", host,
		"$PROVIDER_PORT", providerPort).Replace(aiGatewayEnvoy)), process.Options{AdminSocket: admin, Concurrency: 1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { envoy.Stop(b.Context()) })
	if err := envoy.Ready(b.Context()); err != nil {
		b.Fatal(err)
	}
	return rival{"http://127.0.0.1:" + port, []int{cmd.Process.Pid, envoy.Pid()}}
}

func answers(url string) bool {
	resp, err := http.Get(url)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// aiGatewayEnvoy are the modes and the metadata that Envoy AI Gateway v1.1 asks of
// an Envoy, over one provider.
const aiGatewayEnvoy = `
admin: {address: {pipe: {path: "$ADMIN"}}}
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: $PORT}}
    per_connection_buffer_limit_bytes: 52428800
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: "/", headers: [{name: x-ai-eg-model, string_match: {exact: m}}]}
                route: {cluster: provider, timeout: 60s}
          http_filters:
          - name: envoy.filters.http.ext_proc
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor
              allow_mode_override: true
              processing_mode:
                {request_header_mode: SEND, request_body_mode: BUFFERED, response_header_mode: SEND, response_body_mode: BUFFERED}
              grpc_service: {envoy_grpc: {cluster_name: processor}, timeout: 60s}
              message_timeout: 10s
              metadataOptions: {receivingNamespaces: {untyped: [io.envoy.ai_gateway]}}
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: processor
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment: {cluster_name: processor, endpoints: [{lb_endpoints: [{endpoint: {address: {pipe: {path: "$SOCKET"}}}}]}]}
  - name: provider
    type: STATIC
    per_connection_buffer_limit_bytes: 52428800
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http_protocol_options: {}}
        http_filters:
        - name: processor
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor
            allow_mode_override: true
            request_attributes: ["xds.upstream_host_metadata.filter_metadata['aigateway.envoy.io']['per_route_rule_backend_name']"]
            processing_mode: {request_header_mode: SEND, request_body_mode: NONE, response_header_mode: SKIP, response_body_mode: NONE}
            grpc_service: {envoy_grpc: {cluster_name: processor}, timeout: 30s}
            message_timeout: 10s
            metadataOptions: {receivingNamespaces: {untyped: [io.envoy.ai_gateway]}}
        - name: envoy.filters.http.header_mutation
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation
            mutations:
              request_mutations:
              - append:
                  append_action: ADD_IF_ABSENT
                  header: {key: content-length, value: "%DYNAMIC_METADATA(io.envoy.ai_gateway:content_length)%"}
        - name: envoy.filters.http.upstream_codec
          typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec}
    load_assignment:
      cluster_name: provider
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: $PROVIDER_HOST, port_value: $PROVIDER_PORT}}}
          metadata: {filter_metadata: {aigateway.envoy.io: {per_route_rule_backend_name: provider}}}
`
