package all

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/isthmus-proxy/isthmus/cmd/testring"
	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/extproc/callback/webhook"
	"github.com/isthmus-proxy/isthmus/routing/config"
	"github.com/isthmus-proxy/isthmus/translate/secret"
)

// blocks returns the code blocks of a language in docs/callbacks.md.
func blocks(t *testing.T, language string) (out []string) {
	t.Helper()
	text, err := os.ReadFile("../../../docs/callbacks.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(text), "```"+language+"\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		out = append(out, block)
	}
	if len(out) == 0 {
		t.Fatalf("no %s in the document", language)
	}
	return out
}

func TestTheDocumentsConfigsLoad(t *testing.T) {
	models := "model_list:\n  - model_name: m\n    litellm_params:\n      model: openai/m\n      api_base: http://127.0.0.1:1/v1\n"
	set := func(name string) (string, bool) {
		if strings.HasSuffix(name, "_URI") {
			return "http://127.0.0.1:5000", true
		}
		known := strings.HasPrefix(name, "LANGFUSE_") && !strings.HasSuffix(name, "URL") && !strings.HasSuffix(name, "HOST") ||
			strings.HasPrefix(name, "WEBHOOK_")
		return "x", known
	}
	for _, block := range blocks(t, "yaml") {
		if strings.Contains(block, `"webhook"`) && !strings.Contains(block, "webhook_url") {
			block += "  webhook_url: https://seu-webhook.com\n"
		}
		_, diagnostics, err := config.Parse("docs.yaml", []byte(models+block), config.Options{Strict: true, Lookup: set})
		if err != nil || len(diagnostics) > 0 {
			t.Errorf("%v, %v\n%s", err, diagnostics, block)
		}
	}
}

func TestTheDocumentsRecordIsOne(t *testing.T) {
	var r callback.Record
	if err := json.Unmarshal([]byte(blocks(t, "json")[0]), &r, json.RejectUnknownMembers(true)); err != nil {
		t.Error(err)
	}
	if r.TotalTokens != 120 || len(r.Attempts) != 2 {
		t.Errorf("%+v", r)
	}
}

func TestTheDocumentsPythonVerifiesSignatures(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var verify string
	for _, block := range blocks(t, "python") {
		if strings.Contains(block, "def verify") {
			verify = block
		}
	}
	signature := webhook.Sign(secret.New("whsec"), time.Now(), []byte("[]"))
	script := verify + "\nimport sys\nprint(verify(b'whsec', sys.argv[1], b'[]'), verify(b'whsec', sys.argv[1], b'[1]'), verify(b'other'," +
		" sys.argv[1], b'[]'))\n"
	out, err := exec.CommandContext(ctx, testring.Program(t, "python3"), "-c", script, signature).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "True False False" {
		t.Errorf("%v: %s", err, out)
	}
}
