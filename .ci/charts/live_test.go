package charts

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// TestThePodAnswers runs the command of the rendered pod with the rendered config, as the image's user and with a root that cannot be
// written to, as the container has it. It asks the probes, and standalone, with the Envoy that isthmus fetches, for an answer; then
// the config map changes.
func TestThePodAnswers(t *testing.T) {
	for name, values := range map[string]string{"standalone": "", "serve": "gateway: istio"} {
		t.Run(name, func(t *testing.T) {
			rendered, err := render(values, nil)
			if err != nil {
				t.Fatal(err)
			}
			all := objectsOf(t, rendered)
			c := container(t, find[*appsv1.Deployment](t, all, "isthmus"), "isthmus")
			config := find[*corev1.ConfigMap](t, all, "isthmus").Data["config.yaml"]
			p := start(t, c, config)
			for _, probe := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
				if status, body := p.ask(t, probe.HTTPGet.Port.StrVal, http.MethodGet, probe.HTTPGet.Path, ""); status != http.StatusOK {
					t.Errorf("%s at %s: %d %s", probe.HTTPGet.Path, probe.HTTPGet.Port.StrVal, status, body)
				}
			}
			if name == "standalone" {
				p.answers(t, "Hello from isthmus.")
			}
			p.mount(t, strings.ReplaceAll(config, "Hello from isthmus.", "Hello again."))
			p.waitFor(t, "a changed configuration is in force")
			if name == "standalone" {
				p.answers(t, "Hello again.")
			}
		})
	}
}

// pod is a running container.
type pod struct {
	ports   map[string]int // on loopback, by their names
	volume  string         // where its config map is mounted
	written <-chan string  // the lines that it writes; closed when it has ended
}

// answers asks the chart's default model.
func (p pod) answers(t *testing.T, want string) {
	t.Helper()
	question := `{"model": "hello", "messages": [{"role": "user", "content": "Hello!"}]}`
	if status, body := p.ask(t, "http", http.MethodPost, "/v1/chat/completions", question); !strings.Contains(body, want) {
		t.Errorf("the answer is %d %s, want %q", status, body, want)
	}
}

func (p pod) ask(t *testing.T, port, method, path, body string) (status int, answer string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("http://127.0.0.1:%d%s", p.ports[port], path), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// mount puts a config map with this config into the pod, in place of the one before, as the kubelet does: the file is a link through a
// link to a folder, which another one replaces.
func (p pod) mount(t *testing.T, config string) {
	t.Helper()
	folder, err := os.MkdirTemp(p.volume, "..")
	if err == nil {
		err = os.Chmod(folder, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "config.yaml"), []byte(config), 0o444)
	}
	if err == nil {
		err = os.Symlink(filepath.Base(folder), filepath.Join(p.volume, "..data_tmp"))
	}
	if err == nil {
		err = os.Rename(filepath.Join(p.volume, "..data_tmp"), filepath.Join(p.volume, "..data"))
	}
	if err == nil {
		err = os.Symlink("..data/config.yaml", filepath.Join(p.volume, "config.yaml"))
	}
	if err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
}

// waitFor waits until the pod has written one of these.
func (p pod) waitFor(t *testing.T, texts ...string) {
	t.Helper()
	var before []string
	for line := range p.written {
		before = append(before, line)
		if slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(line, text) }) {
			return
		}
	}
	t.Fatalf("it has ended, and did not write %q:\n%s", texts, strings.Join(before, "\n"))
}

// start starts a container's command on free ports of loopback, and waits until it says that it is ready.
func start(t *testing.T, c corev1.Container, config string) pod {
	t.Helper()
	dir := t.TempDir()
	written := make(chan string, 1024)
	p := pod{map[string]int{}, filepath.Join(dir, "config"), written}
	if err := os.Mkdir(p.volume, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{dir, filepath.Dir(dir), binaries} {
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p.mount(t, config)
	changes := []string{
		"/etc/isthmus", p.volume, "$(POD_IP)", "127.0.0.1", "0.0.0.0", "127.0.0.1", "isthmus-replicas.llm.svc:9100", "127.0.0.1:9",
	}
	for _, port := range c.Ports {
		p.ports[port.Name] = freePort(t)
		changes = append(changes, strconv.Itoa(int(port.ContainerPort)), strconv.Itoa(p.ports[port.Name]))
	}
	args := strings.NewReplacer(changes...).Replace(strings.Join(c.Args, "\n"))
	command := confined(t, dir, append([]string{isthmus(t)}, strings.Split(args, "\n")...))
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = in, in
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	go func() {
		defer close(written)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			select {
			case written <- lines.Text():
			default: // nobody waits for more
			}
		}
	}()
	t.Cleanup(func() { _ = command.Cancel(); _ = command.Wait(); _ = out.Close() })
	p.waitFor(t, "isthmus is ready at", "isthmus serves Envoy at")
	return p
}

// confined is a command that may do what one in the image may: as its user, without capabilities, in a root that is read-only but for
// the folder for temporary files. Where the tests do not run as root it is an ordinary one.
func confined(t *testing.T, dir string, args []string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	temporary := filepath.Join(dir, "tmp")
	if err := os.Mkdir(temporary, 0o777); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		script := `mount -o remount,ro,bind / && mount -t tmpfs -o size=16m,mode=1777 none "$TMPDIR" || exit 8
			if touch /etc/written 2>/dev/null; then exit 9; fi
			exec setpriv --reuid 65532 --regid 65532 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"`
		args = append([]string{"unshare", "--mount", "sh", "-c", script, "sh"}, args...)
	} else {
		t.Log("not as root: neither another user nor a read-only root")
	}
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Dir = dir
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + temporary, "ENVOY_PATH=" + envoy(t, dir)}
	return c
}

// envoy links the Envoy that `make deps` has fetched into a folder, which another user may read.
func envoy(t *testing.T, dir string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	all, err := filepath.Glob(filepath.Join(cache, "isthmus", "envoy-1.40.*", "envoy"))
	if err != nil || len(all) == 0 {
		t.Fatalf("there is no Envoy in %s: make deps (%v)", cache, err)
	}
	path := filepath.Join(dir, "envoy")
	if err := os.Link(all[0], path); err != nil { // another file system
		text, err := os.ReadFile(all[0])
		if err == nil {
			err = os.WriteFile(path, text, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}
