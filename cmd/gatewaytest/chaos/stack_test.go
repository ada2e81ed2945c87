package chaos

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/cli"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
	"github.com/isthmus-proxy/isthmus/envoy/process"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

// stack is a whole gateway whose parts can be stopped and killed one without the other,
// and what it leans on.
type stack struct {
	t        *testing.T
	dir      string // of the config and of sockets
	url      string // of the clients
	log      *asynctest.Text
	replicas []*replica  // of the service
	faults   int         // that a replica has had
	began    []time.Time // when a fault began
	envoy    *process.Process
	binary   process.Binary
	boot     []byte // Envoy's configuration
	good     *provider
	bad      *provider // the one that has the faults
	hook     *gatewaytest.Webhook
	redis    *storetest.Server
	client   *redis.Client
}

// replica is one `isthmus serve`.
type replica struct {
	command *exec.Cmd
	listen  string // HOST:PORT
	admin   string // URL of the admin port
}

func (r *replica) signal(sig syscall.Signal) { _ = r.command.Process.Signal(sig) }

// end sends a signal that ends the replica, and waits for its end.
func (r *replica) end(sig syscall.Signal) {
	r.signal(sig)
	_ = r.command.Wait()
}

// nextReplica is the one that has the next fault: they have them by turns.
func (s *stack) nextReplica() *replica {
	s.faults++
	return s.replicas[s.faults%len(s.replicas)]
}

// envoyWorkers are Envoy's worker threads.
const envoyWorkers = 2

// Times of every request. A request that does not stream is bounded by the second, one
// that does until its answer begins. Where no provider fails, an attempt has more time:
// what is late then is the machine.
const (
	attemptTime     = 1 * time.Second
	longAttemptTime = 3 * time.Second
	requestTime     = 4 * time.Second
)

// config has one deployment that fails in each group but steady: alone, beside a good
// one, before a good one of another format. attempt is how long an attempt may
// take, redisTimeout how long Redis may answer nobody.
func (s *stack) config(attempt, redisTimeout time.Duration) string {
	entry := func(group, id, model, base, more string) string {
		return fmt.Sprintf("- model_name: %s\n  litellm_params: {model: %s, api_key: sk-chaos, api_base: %q%s}\n  model_info: {id: %s}\n", group,
			model,
			base, more, id)
	}
	openai := func(p *provider, group, id, more string) string {
		return entry(group, id, "openai/up", p.base(id), more)
	}
	const limits = ", rpm: 1000000, tpm: 100000000, max_parallel_requests: 2"
	return "model_list:\n" +
		openai(s.good, "steady", "steady-good", "") +
		openai(s.bad, "limited", "limited-bad", limits) + openai(s.good, "limited", "limited-good", limits) +
		openai(s.bad, "shared", "shared-bad", "") + openai(s.good, "shared", "shared-good", "") +
		openai(s.bad, "alone", "alone-bad", "") +
		entry("claude", "claude-bad", "anthropic/up", strings.TrimSuffix(s.bad.base("claude-bad"), "/v1"), "") +
		entry("claude-good", "claude-good", "anthropic/up", strings.TrimSuffix(s.good.base("claude-good"), "/v1"), "") +
		fmt.Sprintf("router_settings: {num_retries: 2, cooldown_time: 1, timeout: %g, request_timeout: %g,\n"+
			"  model_group_alias: {cascade: [alone, claude-good]}}\n", attempt.Seconds(), requestTime.Seconds()) +
		fmt.Sprintf("general_settings: {retry_budget_percent: 100, retry_budget_min_per_second: 1000, max_request_size_mb: 4,\n"+
			"  redis_timeout: %g, tenant_header: x-caller, enable_request_queue: true, queue_timeout: 2,\n"+
			"  model_group_limits: {limited: {rpm: 1000000, tpm: 100000000, max_parallel_requests: 3}},\n"+
			"  cache: true, cache_params: {type: redis, url: \"redis://%s\", mode: default_off, ttl: 5},\n"+
			"  callbacks: [webhook], webhook_url: %q}\n", redisTimeout.Seconds(), s.redis.Addr, s.hook.URL)
}

// startStack runs a stack until the test ends, and returns when it serves.
func startStack(t *testing.T, replicas int, attempt, redisTimeout time.Duration) *stack {
	t.Helper()
	dir, err := os.MkdirTemp("", "isthmus-chaos-") // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &stack{t: t, dir: dir, log: &asynctest.Text{}, good: newProvider(t), bad: newProvider(t), hook: gatewaytest.NewWebhook(t),
		redis: storetest.Start(t)}
	s.client = gatewaytest.NewRedisClient(t, s.redis.Addr)
	if err := os.WriteFile(s.file(), []byte(s.config(attempt, redisTimeout)), 0o600); err != nil {
		t.Fatal(err)
	}
	for range replicas {
		r := &replica{listen: "127.0.0.1:" + asynctest.FreePort(t), admin: "http://127.0.0.1:" + asynctest.FreePort(t)}
		s.replicas = append(s.replicas, r)
		s.startReplica(r)
	}
	s.configureEnvoy()
	s.startEnvoy()
	asynctest.Await(t, "the gateway answers", func() bool {
		resp, err := http.Get(s.url + "/health/readiness")
		return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
	return s
}

func (s *stack) file() string { return filepath.Join(s.dir, "config.yaml") }

// startReplica starts isthmus and waits until it listens.
func (s *stack) startReplica(r *replica) {
	s.t.Helper()
	words := "serves Envoy at " + r.listen
	before := strings.Count(s.log.String(), words)
	r.command = gatewaytest.StartProcess(s.t, s.log, "serve", "--config", s.file(), "--listen", r.listen, "--advertise", r.listen,
		"--admin", strings.TrimPrefix(r.admin, "http://"))
	s.t.Cleanup(func() { r.signal(syscall.SIGCONT) })
	asynctest.Await(s.t, "the service listens", func() bool { return strings.Count(s.log.String(), words) > before })
}

// configureEnvoy has isthmus write Envoy's configuration.
func (s *stack) configureEnvoy() {
	s.t.Helper()
	s.binary = envoytest.Envoy(s.t, *envoyRelease)
	port := asynctest.FreePort(s.t)
	s.url = "http://127.0.0.1:" + port
	var stdout, stderr bytes.Buffer
	var processors []string
	for _, r := range s.replicas {
		processors = append(processors, r.listen)
	}
	args := []string{
		"envoy", "--config", s.file(), "--envoy-version", s.binary.Version, "--processor", strings.Join(processors, ","),
		"--listen", "127.0.0.1:" + port,
		"--admin", "unix://" + s.socket(), "--access-log", "",
	}
	if code := cli.Run(s.t.Context(), args, &stdout, &stderr); code != 0 {
		s.t.Fatalf("isthmus envoy ended with %d: %s", code, &stderr)
	}
	s.boot = stdout.Bytes()
}

// socket is Envoy's admin interface.
func (s *stack) socket() string { return filepath.Join(s.dir, "envoy.sock") }

// startEnvoy starts the Envoy and waits until it is ready.
func (s *stack) startEnvoy() {
	s.t.Helper()
	_ = os.Remove(s.socket())
	p, err := process.Start(s.binary, s.boot, process.Options{AdminSocket: s.socket(), Concurrency: envoyWorkers})
	if err != nil {
		s.t.Fatal(err)
	}
	s.envoy = p
	s.t.Cleanup(func() {
		_ = syscall.Kill(p.Pid(), syscall.SIGCONT)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		p.Stop(ctx)
	})
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	if err := p.Ready(ctx); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stack) signalEnvoy(sig syscall.Signal) { _ = syscall.Kill(s.envoy.Pid(), sig) }

// endEnvoy sends a signal that ends the Envoy, and waits for its end.
func (s *stack) endEnvoy(sig syscall.Signal) {
	s.signalEnvoy(sig)
	select {
	case <-s.envoy.Done():
	case <-time.After(30 * time.Second):
		s.t.Fatal("Envoy does not end")
	}
}

// command sends Redis a command.
func (s *stack) command(command ...any) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	if err := s.client.Do(ctx, command...).Err(); err != nil {
		s.t.Errorf("redis: %v: %v", command, err)
	}
}

// get reads a page, whatever its status.
func get(client *http.Client, url string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

// sample is a line of the metrics: name, labels, value.
var sample = regexp.MustCompile(`(?m)^([a-z_]+)(?:\{([^}]*)\})? (\S+)$`)

// metrics are the sums over all labels, and all replicas, of the service's metrics.
func (s *stack) metrics() (map[string]float64, error) {
	sums := map[string]float64{}
	for _, r := range s.replicas {
		text, err := get(http.DefaultClient, r.admin+"/metrics")
		if err != nil {
			return nil, err
		}
		for _, m := range sample.FindAllStringSubmatch(text, -1) {
			if f, err := strconv.ParseFloat(m[3], 64); err == nil {
				sums[m[1]] += f
			}
		}
	}
	return sums, nil
}

// envoyRequests are the requests that Envoy has open, by what it counts them under.
func (s *stack) envoyRequests() (map[string]int, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", s.socket())
		}}}
	text, err := get(client, "http://envoy/stats?filter=_rq_active$")
	if err != nil {
		return nil, err
	}
	open := map[string]int{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		// The admin interface counts the request that asks.
		if n, err := strconv.Atoi(value); err == nil && n > 0 && name != "http.admin.downstream_rq_active" {
			open[name] = n
		}
	}
	return open, nil
}
