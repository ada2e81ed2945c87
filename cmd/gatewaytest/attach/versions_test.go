package attach

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

// firstPrevious is the version that stands for the previous one until there is a
// release.
const firstPrevious = "91e42e3865b6501695a1395a0ba88976cd3b4e16"

// previousVersion builds the last release, or else firstPrevious, from the history of
// the repository and returns the program. Without that history the test is skipped.
func previousVersion(t *testing.T) string {
	t.Helper()
	repository, dir := gatewaytest.Repository(t), t.TempDir()
	git := func(args ...string) (string, error) {
		out, err := exec.Command("git", append([]string{"-C", repository}, args...)...).Output()
		return strings.TrimSpace(string(out)), err
	}
	commit, err := git("describe", "--tags", "--abbrev=0", "--match", "v*", "HEAD^")
	if err != nil {
		commit = firstPrevious
	}
	if _, err := git("cat-file", "-e", commit+"^{commit}"); err != nil {
		t.Skipf("the history of this clone does not reach back to %s: the previous version cannot be built, and nothing shows here that "+
			"it and this one run together", commit)
	}
	archive := filepath.Join(dir, "source.tar")
	if _, err := git("archive", "--output", archive, commit); err != nil {
		t.Fatal(err)
	}
	source, program := filepath.Join(dir, "source"), filepath.Join(dir, "isthmus")
	if err := os.Mkdir(source, 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, "tar", "-x", "-f", archive, "-C", source)
	run(t, "go", "build", "-C", source, "-buildvcs=false", "-o", program, "./cmd/isthmus")
	t.Logf("the previous version is %s", commit)
	return program
}

func run(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, &problems)
	}
	return out
}

// servePrevious runs the previous version's `serve` at an address until the test ends.
func servePrevious(t *testing.T, program, file, address string) {
	t.Helper()
	out := &asynctest.Text{}
	gatewaytest.StartCommand(t,
		exec.Command(program, "serve", "--config", file, "--listen", address, "--advertise", address, "--admin", "127.0.0.1:0"), out)
	asynctest.Await(t, "the previous version listens", func() bool { return strings.Contains(out.String(), "serves Envoy at "+address) })
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the previous version's log:\n%s", out)
		}
	})
}

// TestSoakTwoVersionsServeTogether puts the previous version and this one behind one
// Envoy, which the previous one configured, and over one Redis, as they are while a new
// version is rolled out. Under load nothing fails, and limits hold: together, or, where
// the two count apart, each for its part.
func TestSoakTwoVersionsServeTogether(t *testing.T) {
	testring.Soak(t, "builds the previous version, and looks at what becomes of a load")
	previous := previousVersion(t)
	server := storetest.Start(t)
	_, redisPort, _ := strings.Cut(server.Addr, ":")
	good := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	const perMinute = 60
	config := "model_list:\n" + gatewaytest.Entry("m", gatewaytest.NewProvider(t, gatewaytest.FailWith(500)).Base(), ", order: 1") +
		gatewaytest.Entry("m", gatewaytest.RefusedAddress(t), ", order: 2") + gatewaytest.Entry("m", good.Base(), ", order: 3") +
		gatewaytest.Entry("limited", good.Base(), fmt.Sprintf(", rpm: %d", perMinute)) +
		"router_settings: {num_retries: 2, cooldown_time: 0, retry_budget_percent: 1000, redis_host: 127.0.0.1, redis_port: " +
		redisPort + "}\ngeneral_settings: {redis_timeout: 4}\n"
	old, c := "127.0.0.1:"+asynctest.FreePort(t), gatewaytest.NewRedisClient(t, server.Addr)
	a := gatewaytest.ServeAt(t, "127.0.0.1:"+asynctest.FreePort(t), config)
	servePrevious(t, previous, a.File, old)
	text := run(t, previous, "envoy", "--config", a.File,
		"--listen", "127.0.0.1:"+a.Port, "--admin", "unix://"+a.AdminSocket(), "--processor", a.Processor, "--access-log", "")
	boot := envoytest.Bootstrap(t, text)
	addProcessor(t, boot, old)
	a.StartEnvoy("1.40.0", envoytest.YAML(t, boot))
	met(t, c, a.Processor, old)

	statuses := loadMixed(a.Gateway, 400)
	if n := statuses["m"][200]; n != 400 {
		t.Errorf("requests without a limit, each of three attempts, were answered %v, want 400 times 200", statuses["m"])
	}
	granted, refused := statuses["limited"][200], statuses["limited"][429]
	if granted+refused != 400 {
		t.Errorf("requests with a limit were answered %v, want 200 and 429 alone", statuses["limited"])
	}
	most := perMinute
	if windowsOf(t, c, "limited") > 1 {
		most += perMinute / 2 // the previous version grants the whole limit, this one its part: docs/operations.md
	}
	if granted < perMinute || granted > most {
		t.Errorf("%d requests were granted of a limit of %d, want %d at most", granted, perMinute, most)
	}
	relayed := 0.0
	a.Idle()
	for _, filter := range []string{"retry", "failure"} {
		relayed += a.Metric(`isthmus_extproc_relayed_streams_total{filter="` + filter + `"}`)
	}
	if relayed == 0 || a.Streams("request") == 800 {
		t.Errorf("this version got %d requests and handed on %v streams: the test shows nothing", a.Streams("request"), relayed)
	}
	if log := a.Stderr.String(); strings.Contains(log, "aborted") || strings.Contains(log, "redis does not answer") {
		t.Errorf("this version's log:\n%s", log)
	}
	t.Logf("%d of %d granted of a limit of %d; this version served %d of 800 requests and handed on %v streams",
		granted, granted+refused, perMinute, a.Streams("request"), relayed)
}

// loadMixed sends n requests of each model, eight at a time, streams and documents by
// turns and the models in a random order, for Envoy takes the services by turns, and
// counts the answers by model and status. An answer that is not whole counts as 0.
func loadMixed(g *gatewaytest.Gateway, n int) map[string]map[int]int {
	counts := map[string]map[int]int{"m": {}, "limited": {}}
	var mu sync.Mutex
	var all sync.WaitGroup
	slots := make(chan struct{}, 8)
	for _, i := range rand.Perm(2 * n) {
		model, body := []string{"m", "limited"}[i%2], []string{gatewaytest.Ask, gatewaytest.UsageStream}[i/2%2]
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			got := g.Post("/v1/chat/completions", strings.Replace(body, `"m"`, `"`+model+`"`, 1))
			status := got.Status
			if status == 200 && body == gatewaytest.UsageStream && !strings.Contains(string(got.Body), "[DONE]") {
				status = 0
			}
			mu.Lock()
			defer mu.Unlock()
			counts[model][status]++
		})
	}
	all.Wait()
	return counts
}

// windowsOf is how many windows of a minute's requests Redis has of a group with one
// deployment.
func windowsOf(t *testing.T, c *redis.Client, group string) int {
	t.Helper()
	keys, err := c.Keys(t.Context(), "isthmus:{limits}:*d/"+group+"-*/rpm").Result()
	if err != nil || len(keys) == 0 {
		t.Fatalf("%v, %v", keys, err)
	}
	return len(keys)
}
