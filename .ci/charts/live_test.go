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
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// TestThePodAnswers runs the command of the rendered pod with the rendered config, as the image's user and with a root that cannot be
// written to, as the container has it, and asks its probes; standalone, with the Envoy that isthmus fetches, for an answer too.
func TestThePodAnswers(t *testing.T) {
	for name, values := range map[string]string{"standalone": "", "serve": "gateway: istio"} {
		t.Run(name, func(t *testing.T) {
			rendered, err := render(values, nil)
			if err != nil {
				t.Fatal(err)
			}
			all := objectsOf(t, rendered)
			c := container(t, find[*appsv1.Deployment](t, all, "isthmus"), "isthmus")
			p := start(t, c, find[*corev1.ConfigMap](t, all, "isthmus").Data["config.yaml"])
			for _, probe := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
				if status, body := p.ask(t, probe.HTTPGet.Port.StrVal, http.MethodGet, probe.HTTPGet.Path, ""); status != http.StatusOK {
					t.Errorf("%s at %s: %d %s", probe.HTTPGet.Path, probe.HTTPGet.Port.StrVal, status, body)
				}
			}
			if name != "standalone" {
				return
			}
			question := `{"model": "hello", "messages": [{"role": "user", "content": "Hello!"}]}`
			if status, body := p.ask(t, "http", http.MethodPost, "/v1/chat/completions", question); !strings.Contains(body, "Hello from isthmus.") {
				t.Errorf("the first answer is %d %s", status, body)
			}
		})
	}
}

// pod is a running container, with its ports by their names on loopback.
type pod struct{ ports map[string]int }

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

// start starts a container's command on free ports of loopback, and waits until it says that it is ready.
func start(t *testing.T, c corev1.Container, config string) pod {
	t.Helper()
	dir := t.TempDir()
	for _, folder := range []string{dir, filepath.Dir(dir), binaries} {
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, []byte(config), 0o444); err != nil {
		t.Fatal(err)
	}
	p := pod{map[string]int{}}
	changes := []string{"/etc/isthmus/config.yaml", file, "$(POD_IP)", "127.0.0.1", "isthmus-replicas.llm.svc:9100", "127.0.0.1:9"}
	for _, port := range c.Ports {
		p.ports[port.Name] = freePort(t)
		changes = append(changes, strconv.Itoa(int(port.ContainerPort)), strconv.Itoa(p.ports[port.Name]))
	}
	args := strings.NewReplacer(append(changes, "0.0.0.0", "127.0.0.1")...).Replace(strings.Join(c.Args, "\n"))
	command := confined(t, dir, append([]string{isthmus(t)}, strings.Split(args, "\n")...))
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	command.Stderr = &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Cancel(); _ = command.Wait() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "isthmus is ready at") || strings.HasPrefix(lines.Text(), "isthmus serves Envoy at") {
			return p
		}
	}
	_ = command.Wait()
	t.Fatalf("%s ended: %s", strings.ReplaceAll(args, "\n", " "), &log)
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
