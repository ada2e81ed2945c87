package litellm

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// sections is testdata/names.txt: what LiteLLM reads, by its sections.
func sections(t testing.TB) (version string, names map[string][]string) {
	t.Helper()
	return sectionsOf(t, "testdata/names.txt")
}

// sectionsOf reads what .ci/litellm-names has written.
func sectionsOf(t testing.TB, path string) (version string, names map[string][]string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	names = map[string][]string{}
	section := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "version "):
			version = strings.TrimPrefix(line, "version ")
		case strings.HasPrefix(line, "["):
			section = strings.Trim(line, "[]")
		default:
			names[section] = append(names[section], line)
		}
	}
	return version, names
}

// read is what LiteLLM reads in a section of the table.
func read(names map[string][]string, s Section) []string {
	if s == Settings {
		return slices.Concat(names["general_settings"], names["litellm_settings"], names["router_settings"])
	}
	return names[string(s)]
}

func TestEveryNameThatLiteLLMReadsHasAnAnswer(t *testing.T) {
	version, names := sections(t)
	if version != Version {
		t.Errorf("the names are those of %s, the table is for %s", version, Version)
	}
	for _, s := range Sections() {
		if len(read(names, s)) < 20 {
			t.Errorf("%s: only %d names", s, len(read(names, s)))
		}
		for _, name := range read(names, s) {
			if e, ok := Lookup(s, name); !ok {
				t.Errorf("%s: %s has no answer", s, name)
			} else if e.Ours {
				t.Errorf("%s: %s is said to be isthmus's own, and LiteLLM reads it", s, name)
			}
		}
	}
}

func TestEveryAnswerIsToANameThatLiteLLMReads(t *testing.T) {
	_, names := sections(t)
	for _, s := range Sections() {
		said := map[string]bool{}
		for _, rule := range Rules(s) {
			for name := range strings.FieldsSeq(rule.Names) {
				if said[name] {
					t.Errorf("%s: %s has two answers", s, name)
				}
				said[name] = true
				p := newPattern(name, rule.Entry)
				wild := len(p.parts) > 1
				found := slices.ContainsFunc(read(names, s), func(n string) bool { return n == name || wild && p.match(n) })
				if !found && !rule.Ours {
					t.Errorf("%s: LiteLLM reads no %s", s, name)
				}
			}
			if (rule.Answer == WorksAs || rule.Answer == Refused) && rule.Note == "" {
				t.Errorf("%s: %s: no remedy: %.40s", s, rule.Answer, rule.Names)
			}
		}
	}
}

func TestWhatIsACredentialOrAPriceIsNeverAProvidersParameter(t *testing.T) {
	_, names := sections(t)
	if len(names["credentials"]) < 100 || len(names["prices"]) < 100 {
		t.Fatalf("%d credentials, %d prices", len(names["credentials"]), len(names["prices"]))
	}
	for _, name := range slices.Concat(names["credentials"], names["prices"]) {
		if !Own(name) {
			t.Errorf("%s may go to a provider", name)
		}
	}
}

func TestParametersOfProvidersAreNobodysOwn(t *testing.T) {
	for _, name := range []string{"model", "messages", "temperature", "top_p", "top_k", "max_tokens", "thinking", "metadata", "user", "store",
		"service_tier", "safety_settings", "tools", "extra_body", "response_format", "prompt", "prompt_cache_key", "prompt_logprobs",
		"prompt_mode", "guided_json", "chat_template_kwargs", "num_ctx", "keep_alive", "provider", "transforms", "input", "documents",
		"query", "top_n", "voice", "size", "seed", "reasoning_effort", "data_sources", "cachedContent"} {
		if Own(name) {
			t.Errorf("%s is said to be LiteLLM's own", name)
		}
	}
}

func TestATypoOfTheMasterKeyIsNoNameOfLiteLLMs(t *testing.T) {
	for _, name := range []string{"mater_key", "masterkey", "master_keys", "master-key", "MASTER_KEY", "proxy_master_key"} {
		if e, ok := Lookup(Settings, name); ok {
			t.Errorf("%s is %s", name, e.Answer)
		}
	}
}

func TestOwnIsWhatTheAnswersToABodySay(t *testing.T) {
	_, names := sections(t)
	for _, name := range slices.Concat(names["body"], names["litellm_params"], []string{"prompt_logprobs", "litellm_other", "cost"}) {
		e, ok := Lookup(Body, name)
		if want := ok && !e.Sent; Own(name) != want {
			t.Errorf("%s: Own says %t, its answer %t", name, Own(name), want)
		}
	}
}

func BenchmarkOwn(b *testing.B) {
	names := []string{"model", "messages", "temperature", "stream", "chat_template_kwargs", "api_key"}
	for b.Loop() {
		for _, name := range names {
			Own(name)
		}
	}
}
