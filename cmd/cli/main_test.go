package cli

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
)

// oneModel is a config of one model, at an address where nothing listens.
const oneModel = "model_list:\n- model_name: m\n" +
	"  litellm_params: {model: openai/up, api_key: sk-provider, api_base: 'http://127.0.0.1:1/v1'}\n"

func TestWhatCannotStartSaysWhyAtOnce(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	dir := t.TempDir()
	good, bad, hooks, quote := filepath.Join(dir, "good.yaml"), filepath.Join(dir, "bad.yaml"), filepath.Join(dir, "hooks.yaml"),
		filepath.Join(dir, "quote.yaml")
	model := oneModel
	for path, text := range map[string]string{
		hooks: model + "general_settings:\n  success_callback:\n  - prometheus\n  - exec:ISTHMUS_HOOKS=pre_call python3 x.py\n",
		quote: model + "litellm_settings:\n  callbacks: ['exec:python3 \"x.py']\n",
		good:  oneModel, bad: "model_list:\n- model_name: m\n  litellm_params: {model: nope/x}\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no command":              {nil, 2, "isthmus run"},
		"an unknown command":      {[]string{"start"}, 2, `no command "start"`},
		"help of the cache":       {[]string{"cache", "--help"}, 0, "isthmus cache flush"},
		"no config":               {[]string{"run"}, 1, "examples/quickstart/config.yaml"},
		"a config that is absent": {[]string{"run", "--config", filepath.Join(dir, "no.yaml")}, 1, "there is no file"},
		"a config that is wrong": {[]string{"run", "--config", bad}, 1,
			`bad.yaml:3: model_list[0].litellm_params.model: provider "nope" is not known`},
		"a hook that is none": {[]string{"check", "--config", hooks}, 1,
			`hooks.yaml:7: general_settings.success_callback[1]: the command behind exec: cannot be run: ` +
				`ISTHMUS_HOOKS: no hook is called "pre_call"`},
		"an open quote": {[]string{"check", "--config", quote}, 1,
			"quote.yaml:5: litellm_settings.callbacks[0]: the command behind exec: cannot be run: a quote is not closed"},
		"a taken port": {[]string{"run", "--config", good, "--port", port}, 1, "port " + port + " cannot be had"},
		"a taken admin port": {[]string{"serve", "--config", good, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:" + port}, 1,
			"listen for the admin port at 127.0.0.1:" + port},
		"an impossible port": {[]string{"run", "--config", good, "--port", "70000"}, 1, "1 to 65535"},
		"a wrong flag":       {[]string{"run", "--confg", good}, 2, "flag provided but not defined"},
		"an argument":        {[]string{"check", "--config", good, "extra"}, 2, `"extra" is not expected`},
		"no Envoy": {[]string{"run", "--config", good, "--port", asynctest.FreePort(t), "--envoy", "/bin/false"}, 1,
			"no Envoy that runs here"},
		"TLS without its roots": {[]string{"envoy", "--config", good, "--processor-name", "isthmus"}, 1, "--processor-ca"},
		"half a certificate": {[]string{"envoy", "--config", good, "--processor-cert", "x.pem"}, 1,
			"--processor-cert and --processor-key go together"},
		"an old Envoy asked for": {[]string{"envoy", "--config", good, "--envoy-version", "1.20"}, 1, "too old"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			var stdout, stderr bytes.Buffer
			if code := Run(ctx, tc.args, &stdout, &stderr); code != tc.code || !strings.Contains(stderr.String(), tc.want) {
				t.Errorf("exit %d, want %d; stderr:\n%s\nwant …%s…", code, tc.code, stderr.String(), tc.want)
			}
		})
	}
}

func TestCheckSaysThatAConfigIsFine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(oneModel), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if code := Run(t.Context(), []string{"check", "--config", path}, &stdout, &stderr); code != 0 ||
		!strings.Contains(stdout.String(), "1 deployments serve 1 models") {
		t.Errorf("exit %d: %s%s", code, stdout.String(), stderr.String())
	}
}

func TestAServiceWithoutAnAdminPortNamesNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(oneModel), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // it ends as soon as it has said where it is
	var stdout, stderr bytes.Buffer
	code := Run(ctx, []string{"serve", "--config", path, "--listen", "127.0.0.1:0", "--admin", ""}, &stdout, &stderr)
	if want := "isthmus serves Envoy at 127.0.0.1:0 with 1 models\n"; code != 0 || stdout.String() != want {
		t.Errorf("exit %d: %q%s, want %q", code, stdout.String(), stderr.String(), want)
	}
}
