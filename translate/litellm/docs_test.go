package litellm

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/litellm.md")

const document = "../../docs/litellm.md"

const head = `# LiteLLM's names

isthmus reads LiteLLM's config and answers LiteLLM's clients. This is every name that LiteLLM %s reads, and what
becomes of it here. It is made from the table in ` + "`translate/litellm`" + ` (` + "`make golden`" + `), whose names
` + "`.ci/litellm-names`" + ` takes from LiteLLM itself.

* **works**: as in LiteLLM; [configuration.md](configuration.md) says how.
* **works as**: another setting, which is named.
* **ignored**: with a warning that names file and line. Nothing is lost that restricts anybody.
* **refused**: the setting restricts what isthmus would let through. It stops the start, ` + "`check`" + ` and a reload,
  unless it is off (false, null, empty), or ` + "`--allow-unenforced NAME,…`" + ` says that you go on without it: then
  each start says so in the log, and the status page and ` + "`/health`" + ` show it.

None of these names reaches a provider, but for those that are said to, not even inside ` + "`extra_body`" + `. In a name
` + "`*`" + ` stands for any text.
**isthmus has no database**: no virtual keys, teams, users, budgets or spend; there is one key for all clients,
` + "`master_key`" + `.

` + "`isthmus check --config FILE --report`" + ` gives the answer to each key of a config, ` + "`--report=json`" + ` for programs.
It needs no keys, says everything at once, and ends with status 1 when something is refused.

A member of ` + "`litellm_params`" + ` that is not named here goes to an OpenAI-compatible server as it is, unless it
reads like a credential. Anthropic, Gemini, Ollama, Mistral, Azure and OpenAI's own servers are sent only
parameters that they have: for any other ` + "`check`" + ` warns, and ` + "`extra_body`" + ` or
` + "`allowed_openai_params`" + ` sends it all the same.
`

// titles are the sections as the document calls them.
func titles() map[Section]string {
	return map[Section]string{
		Params: "litellm_params", ModelInfo: "model_info", CacheParams: "cache_params", Top: "At the top of the file",
		Settings:  "general_settings, litellm_settings, router_settings",
		Callbacks: "success_callback, failure_callback, callbacks", Environment: "Environment variables", Body: "A client's body",
	}
}

// TestGoldenDocument holds docs/litellm.md to the table; -update rewrites it.
func TestGoldenDocument(t *testing.T) {
	var b strings.Builder
	fmt.Fprintf(&b, head, Version)
	for _, s := range Sections() {
		b.WriteString("\n## " + titles()[s] + "\n\n")
		switch s {
		case Body:
			b.WriteString("What `litellm_params` may hold and no provider is sent is ignored here too.\n\n")
		case Environment:
			b.WriteString("The environment is other programs' too: nothing here is warned of.\n\n")
		}
		b.WriteString("| Names | Answer |\n|---|---|\n")
		for _, rule := range Rules(s) {
			var names []string
			for name := range strings.FieldsSeq(rule.Names) {
				names = append(names, "`"+name+"`")
			}
			fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(names, ", "), answerOf(rule.Entry))
		}
	}
	if *update {
		if err := os.WriteFile(document, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Error("docs/litellm.md is not what the table says: make golden rewrites it")
	}
}

// answerOf is an answer in words.
func answerOf(e Entry) string {
	switch {
	case e.Answer == WorksAs:
		return "**works as** `" + e.Note + "`"
	case e.Ours && e.Answer == Works:
		return "**works**: isthmus's own"
	case e.Note == "":
		return "**" + e.Answer.String() + "**"
	}
	return "**" + e.Answer.String() + "**: " + e.Note
}
