package load

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	modev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/envoy"
	"github.com/isthmus-proxy/isthmus/envoy/process"
)

// The benchmarks of this file compare processor time, of Envoy and the ext_proc
// service together, between isthmus and a floor in one run: the same Envoy, the
// same body modes, and a service that only says CONTINUE. What is reported is the
// ratio; see docs/performance.md for how to read it.

// bench is one gateway under load.
type bench struct {
	url            string
	service, envoy int // process ids
}

// cpu is the processor time that the gateway's two processes have used.
func (g bench) cpu(b *testing.B) (t cpuTime) {
	b.Helper()
	return cpuTime{processTime(b, g.service), processTime(b, g.envoy)}
}

// cpuTime is processor time by process.
type cpuTime struct{ service, envoy time.Duration }

// add counts the time between two readings.
func (t *cpuTime) add(before, after cpuTime) {
	t.service += after.service - before.service
	t.envoy += after.envoy - before.envoy
}

func (t cpuTime) all() time.Duration { return t.service + t.envoy }

func processTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	var ticks int64
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	for _, f := range fields[11:13] { // utime, stime in hundredths of a second
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// startBench runs isthmus with one deployment, as m and under the model's own name.
func startBench(b *testing.B, provider string) bench {
	b.Helper()
	return startBenchOn(b, "model_list:\n"+gatewaytest.Entry("m", provider, ", stream_passthrough: true")+
		gatewaytest.Entry("up", provider, ""))
}

// startBenchOn runs the test binary as isthmus, so that its time is its own.
func startBenchOn(b *testing.B, config string) bench {
	b.Helper()
	path := filepath.Join(b.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		b.Fatal(err)
	}
	out := &asynctest.Text{}
	port := asynctest.FreePort(b)
	cmd := gatewaytest.StartProcess(b, out, "run", "--config", path, "--port", port, "--concurrency", "1")
	asynctest.Await(b, "isthmus is ready", func() bool { return strings.Contains(out.String(), "is ready") })
	return bench{"http://127.0.0.1:" + port, cmd.Process.Pid, onlyChild(b, cmd.Process.Pid)}
}

// onlyChild is the one child of a process: the Envoy that it runs.
func onlyChild(b testing.TB, pid int) int {
	b.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		b.Fatal(err)
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // that thread has ended
		}
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			return n
		}
	}
	b.Fatalf("process %d has no child", pid)
	return 0
}

// startFloor runs an Envoy whose configuration is isthmus's own but for a fixed
// cluster, with a service that only says CONTINUE.
func startFloor(b *testing.B, provider string) bench {
	b.Helper()
	binary, err := process.Finder{}.Find(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	version, err := envoy.ParseVersion(binary.Version)
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	port, err := strconv.ParseUint(asynctest.FreePort(b), 10, 16)
	if err != nil {
		b.Fatal(err)
	}
	in := envoy.Input{
		Version: version, Listen: envoy.Address{Host: "127.0.0.1", Port: uint32(port)}, Admin: envoy.Address{Path: filepath.Join(dir, "admin")},
		Processors: []envoy.Address{{Path: filepath.Join(dir, "extproc")}},
		Upstreams:  []envoy.Upstream{{Cluster: "provider", Deployment: "d", URL: provider}},
	}
	boot, err := envoy.Bootstrap(in)
	if err != nil {
		b.Fatal(err)
	}
	fixCluster(b, boot.GetStaticResources().GetListeners()[0].GetFilterChains()[0].GetFilters()[0].GetTypedConfig())
	config, err := envoy.YAML(boot)
	if err != nil {
		b.Fatal(err)
	}
	floor := exec.Command(os.Args[0])
	floor.Env = append(os.Environ(), floorSocket+"="+in.Processors[0].Path)
	gatewaytest.StartCommand(b, floor, io.Discard)
	p, err := process.Start(binary, config, process.Options{AdminSocket: in.Admin.Path, Concurrency: 1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		p.Stop(ctx)
	})
	ctx, cancel := context.WithTimeout(b.Context(), 20*time.Second)
	defer cancel()
	if err := p.Ready(ctx); err != nil {
		b.Fatal(err)
	}
	return bench{"http://127.0.0.1:" + strconv.FormatUint(port, 10), floor.Process.Pid, p.Pid()}
}

// fixCluster lets every route lead to the one provider and takes the upstream
// filters out: the floor has no attempts to translate.
func fixCluster(b *testing.B, config *anypb.Any) {
	b.Helper()
	manager := &hcmv3.HttpConnectionManager{}
	if err := config.UnmarshalTo(manager); err != nil {
		b.Fatal(err)
	}
	for _, r := range manager.GetRouteConfig().GetVirtualHosts()[0].GetRoutes() {
		r.GetRoute().ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: "provider"}
		r.GetRoute().RetryPolicy = nil
	}
	router := manager.GetHttpFilters()[len(manager.GetHttpFilters())-1]
	if err := router.GetTypedConfig().MarshalFrom(&routerv3.Router{}); err != nil {
		b.Fatal(err)
	}
	if err := config.MarshalFrom(manager); err != nil {
		b.Fatal(err)
	}
}

// floor is the least an ext_proc service can do in isthmus's body modes.
type floor struct {
	extprocv3.UnimplementedExternalProcessorServer
}

func (floor) Process(stream extprocv3.ExternalProcessor_ProcessServer) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return nil //nolint:nilerr // Envoy is done
		}
		if err := stream.Send(carryOn(m)); err != nil {
			return err
		}
	}
}

func carryOn(m *extprocv3.ProcessingRequest) *extprocv3.ProcessingResponse {
	switch m.GetRequest().(type) {
	case *extprocv3.ProcessingRequest_RequestHeaders:
		return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: &extprocv3.HeadersResponse{}}}
	case *extprocv3.ProcessingRequest_RequestBody:
		return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestBody{RequestBody: &extprocv3.BodyResponse{}}}
	case *extprocv3.ProcessingRequest_ResponseHeaders:
		return &extprocv3.ProcessingResponse{
			Response: &extprocv3.ProcessingResponse_ResponseHeaders{ResponseHeaders: &extprocv3.HeadersResponse{}},
			ModeOverride: &modev3.ProcessingMode{
				RequestHeaderMode: modev3.ProcessingMode_SEND, RequestBodyMode: modev3.ProcessingMode_BUFFERED,
				ResponseHeaderMode: modev3.ProcessingMode_SEND, ResponseBodyMode: modev3.ProcessingMode_STREAMED,
				ResponseTrailerMode: modev3.ProcessingMode_SEND,
			},
		}
	case *extprocv3.ProcessingRequest_ResponseTrailers:
		trailers := &extprocv3.ProcessingResponse_ResponseTrailers{ResponseTrailers: &extprocv3.TrailersResponse{}}
		return &extprocv3.ProcessingResponse{Response: trailers}
	}
	return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ResponseBody{ResponseBody: &extprocv3.BodyResponse{}}}
}

// serveFloor is the floor's main program.
func serveFloor(socket string) error {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	g := grpc.NewServer(grpc.MaxRecvMsgSize(100<<20), grpc.MaxConcurrentStreams(1<<31-1))
	extprocv3.RegisterExternalProcessorServer(g, floor{})
	return g.Serve(l)
}

// streamChunks is how many chunks a benchmarked stream has.
const streamChunks = 100

// benchProvider answers at once, blocking or with a stream of 100 chunks.
func benchProvider(w http.ResponseWriter, _ *http.Request, body string) {
	if !strings.Contains(body, `"stream":true`) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, gatewaytest.GoodAnswer)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for i := range streamChunks {
		_, _ = fmt.Fprintf(w,
			"data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"up\",\"choices\":[{\"index\":0,"+
				"\"delta\":{\"content\":\"token%d\"},\"finish_reason\":null}]}\n\n", i)
		gatewaytest.Flush(w)
		time.Sleep(time.Millisecond) // the pace of a model: each chunk is a write of its own
	}
	_, _ = io.WriteString(w, "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
}

// load makes n requests with a body over so many connections.
type load struct {
	body       string
	n, clients int
}

// on puts the load on a gateway.
func (l load) on(b *testing.B, url string) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: l.clients}, Timeout: 60 * time.Second}
	defer client.CloseIdleConnections()
	jobs := make(chan struct{}, l.n)
	for range l.n {
		jobs <- struct{}{}
	}
	close(jobs)
	var wg sync.WaitGroup
	for range l.clients {
		wg.Go(func() {
			for range jobs {
				resp, err := client.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(l.body))
				if err != nil {
					b.Error(err)
					return
				}
				if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
					b.Errorf("status %d, %v", resp.StatusCode, err)
				}
				_ = resp.Body.Close()
			}
		})
	}
	wg.Wait()
}

// BenchmarkProcessorTimeOverTheFloor reports isthmus's processor time per request
// as a multiple of the floor's. The two take turns, so that whatever else the
// machine does falls on both.
func BenchmarkProcessorTimeOverTheFloor(b *testing.B) {
	kilobyte := strings.Repeat("All the world is a stage. ", 35)
	for name, tc := range map[string]struct {
		body       string
		n, clients int
	}{
		"blocking 1 KB": {body: `{"model":"m","messages":[{"role":"user","content":"` + kilobyte + `"}]}`, n: 2000,
			clients: 16},
		"blocking 32 KB": {body: `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat(kilobyte, 35) +
			`"}]}`, n: 1000, clients: 16},
		"blocking 1 KB by the model's own name": {body: `{"model":"up","messages":[{"role":"user","content":"` + kilobyte + `"}]}`, n: 2000,
			clients: 16},
		"blocking 32 KB by the model's own name": {body: `{"model":"up","messages":[{"role":"user","content":"` + strings.Repeat(kilobyte, 35) +
			`"}]}`, n: 1000, clients: 16},
		"stream of 100 chunks that is read": {body: `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`, n: 200,
			clients: 32},
		"stream of 100 chunks that Envoy carries": {body: `{"model":"m","stream":true,"stream_options":{"include_usage":true},` +
			`"messages":[{"role":"user","content":"hi"}]}`, n: 200, clients: 32},
	} {
		b.Run(name, func(b *testing.B) {
			p := gatewaytest.NewProvider(b, benchProvider)
			ours, least := startBench(b, p.Base()), startFloor(b, p.Base())
			for _, g := range []bench{ours, least} {
				load{tc.body, tc.n / 10, tc.clients}.on(b, g.url) // warm connections and code
			}
			var used, floor cpuTime
			var rounds int
			for b.Loop() {
				for _, side := range []struct {
					gateway bench
					into    *cpuTime
				}{{ours, &used}, {least, &floor}} {
					before := side.gateway.cpu(b)
					load{tc.body, tc.n, tc.clients}.on(b, side.gateway.url)
					side.into.add(before, side.gateway.cpu(b))
				}
				rounds++
			}
			perRequest := func(t time.Duration) float64 { return float64(t.Microseconds()) / float64(rounds*tc.n) }
			b.ReportMetric(float64(used.all())/float64(floor.all()), "×floor")
			b.ReportMetric(perRequest(used.service), "service-µs/request")
			b.ReportMetric(perRequest(used.envoy), "envoy-µs/request")
			b.ReportMetric(perRequest(floor.service), "floor-service-µs/request")
			b.ReportMetric(perRequest(floor.envoy), "floor-envoy-µs/request")
			b.ReportMetric(0, "ns/op")
		})
	}
}
