package translate_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

var update = flag.Bool("update", false, "write the tables of docs/providers.md anew")

const providersFile = "../docs/providers.md"

// TestTheProvidersDocumentSaysWhatTheCodeDoes makes the tables of
// docs/providers.md by asking each provider's translator, and compares. Run it
// with -update to write them.
func TestTheProvidersDocumentSaysWhatTheCodeDoes(t *testing.T) {
	document, err := os.ReadFile(providersFile)
	if err != nil {
		t.Fatal(err)
	}
	made := string(document)
	for name, table := range map[string]string{
		"providers": addressTable(), "features": featureTable(t), "parameters": parameterTable(t),
	} {
		head, tail := "<!-- table "+name+": made from the code by translate/docs_test.go -->\n", "<!-- end -->"
		before, rest, ok := strings.Cut(made, head)
		_, after, end := strings.Cut(rest, tail)
		if !ok || !end {
			t.Fatalf("%s has no place for the table %s", providersFile, name)
		}
		made = before + head + "\n" + table + "\n" + tail + after
	}
	if *update {
		if err := os.WriteFile(providersFile, []byte(made), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.Split(string(document), "\n"), strings.Split(made, "\n")); diff != "" {
		t.Errorf("the tables are not what the code does: go test ./translate -run Document -update (-document +code):\n%s", diff)
	}
}

// table writes a Markdown table.
func table(header []string, rows [][]string) string {
	var b strings.Builder
	for _, row := range append([][]string{header, slices.Repeat([]string{"---"}, len(header))}, rows...) {
		for _, cell := range row {
			b.WriteString("|" + strings.TrimRight(" "+cell, " ") + " ")
		}
		b.WriteString("|\n")
	}
	return b.String()
}

func code(names ...string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = "`" + n + "`"
	}
	return strings.Join(quoted, ", ")
}

func addressTable() string {
	var rows [][]string
	for _, p := range translate.Providers() {
		base, key := "needed", code(p.KeyVars...)
		if p.Base != "" {
			base = code(p.Base)
		}
		if p.Keyless {
			key = strings.TrimPrefix(key+", none needed", ", ")
		}
		rows = append(rows, []string{code(p.Name + "/"), base, code(p.BaseVars...), key})
	}
	return table([]string{"Prefix", "`api_base`", "or from", "`api_key` from"}, rows)
}

// subject is a provider with a model that stands for its others.
type subject struct {
	label, model string
	upstream.Provider
}

// subjects are what the tables have rows for.
func subjects() (all []subject) {
	for _, p := range translate.Providers() {
		model := map[string]string{
			"openai": "gpt-4o", "azure": "gpt-4o", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash", "ollama": "llama3.2",
		}[p.Name]
		if model == "" {
			model = "some-model"
		}
		all = append(all, subject{"`" + p.Name + "`", model, p})
		for _, special := range map[string][]string{
			"openai": {"o3", "gpt-5"}, "azure": {"o3", "gpt-5"}, "xai": {"grok-4"}, "anthropic": {"claude-3-5-haiku-latest"},
			"gemini": {"gemini-3-pro-preview"}, "ollama": {"gpt-oss"},
		}[p.Name] {
			all = append(all, subject{"`" + p.Name + "`: " + special, special, p})
		}
	}
	return all
}

// ask returns the body that a subject gets for a chat request with these
// members, or an error.
func (s *subject) ask(t *testing.T, members ...string) ([]byte, error) {
	t.Helper()
	body := `{"model":"alias"`
	if !strings.Contains(strings.Join(members, ""), `"messages"`) {
		body += `,"messages":[{"role":"user","content":"hi"}]`
	}
	for _, m := range members {
		body += "," + m
	}
	req, err := chat.Parse(chat.Completions, []byte(body+"}"), "")
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	call, err := bind(t, &s.Provider, s.model, false).Request(req)
	if err != nil {
		return nil, err
	}
	return call.Body, nil
}

const (
	yes    = "yes"
	no     = "–"
	passed = "passed on"
)

// can says what becomes of a request's member: the part is looked for in what
// the provider gets.
func (s *subject) can(t *testing.T, part, member string) string {
	t.Helper()
	body, err := s.ask(t, member)
	switch {
	case err != nil:
		return no
	case bytes.Contains(body, []byte(part)):
		return passed
	}
	return yes
}

func (s *subject) takes(t *testing.T, part string) string {
	t.Helper()
	return s.can(t, part, `"messages":[{"role":"user","content":[{"type":"text","text":"hi"},`+part+`]}]`)
}

func featureTable(t *testing.T) string {
	header := []string{
		"Provider", "embeddings", "legacy completions", "other endpoints", "tools", "images", "documents", "audio in", "JSON schema",
		"reasoning effort", "reasoning in answers", "cached tokens",
	}
	var rows [][]string
	for _, s := range subjects() {
		if s.label != "`"+s.Name+"`" {
			continue
		}
		b := bind(t, &s.Provider, s.model, false)
		endpoint := func(e chat.Endpoint) string {
			switch {
			case !b.Supports(e):
				return no
			case b.Relays(&chat.Request{Endpoint: e}):
				return passed
			}
			return yes
		}
		thought, cached := s.answers(t)
		tool := `{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}`
		schema := `{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object"}}}`
		rows = append(rows, []string{
			s.label, endpoint(chat.Embeddings), endpoint(chat.TextCompletions), endpoint(chat.Responses),
			s.can(t, tool, `"tools":[`+tool+`]`),
			s.takes(t, `{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}`),
			s.takes(t, `{"type":"file","file":{"file_data":"data:application/pdf;base64,AAAA","filename":"a.pdf"}}`),
			s.takes(t, `{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}`),
			s.can(t, schema, `"response_format":`+schema),
			s.can(t, `"reasoning_effort":"low"`, `"reasoning_effort":"low"`),
			thought, cached,
		})
	}
	return table(header, joinEqual(rows))
}

// answers says whether reasoning reaches the client as reasoning_content and
// whether tokens read from a cache are counted.
func (s *subject) answers(t *testing.T) (thought, cached string) {
	t.Helper()
	answer := map[string]string{
		"anthropic": `{"id":"1","type":"message","role":"assistant","model":"m","content":[{"type":"thinking","thinking":"hm",` +
			`"signature":"s"},{"type":"text","text":"ho"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"cache_read_input_tokens":8,` +
			`"output_tokens":2}}`,
		"gemini": `{"candidates":[{"index":0,"content":{"role":"model","parts":[{"text":"hm","thought":true},{"text":"ho"}]},` +
			`"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":9,"cachedContentTokenCount":8,"candidatesTokenCount":2,` +
			`"totalTokenCount":11}}`,
		"ollama": `{"model":"m","message":{"role":"assistant","thinking":"hm","content":"ho"},"done":true,"done_reason":"stop",` +
			`"prompt_eval_count":9,"eval_count":2}`,
	}[s.Name]
	if answer == "" {
		answer = `{"id":"1","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ho","reasoning":"hm"},` +
			`"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11,` +
			`"prompt_tokens_details":{"cached_tokens":8}}}`
	}
	req, err := chat.Parse(chat.Completions, []byte(`{"model":"alias","messages":[]}`), "")
	if err != nil {
		t.Fatal(err)
	}
	d := bind(t, &s.Provider, s.model, false).Decoder(req,
		upstream.Head{Status: 200, Header: upstream.Header{{Name: "content-type", Value: "application/json"}}})
	out := d.Feed([]byte(answer), true)
	if e := d.Result().Failure; e != nil {
		t.Fatalf("%s: %s", s.Name, e.Message)
	}
	thought, cached = passed, no
	if bytes.Contains(out, []byte(`"reasoning_content":"hm"`)) {
		thought = yes
	}
	if d.Result().Usage.Cached == 8 {
		cached = yes
	}
	return thought, cached
}

// joinEqual joins rows that differ in their first cell only.
func joinEqual(rows [][]string) (joined [][]string) {
	for _, row := range rows {
		i := slices.IndexFunc(joined, func(other []string) bool { return slices.Equal(other[1:], row[1:]) })
		if i < 0 {
			joined = append(joined, row)
			continue
		}
		joined[i][0] += ", " + row[0]
	}
	return joined
}

// parameters are OpenAI's, each with a value that asks for something, and those
// of other providers that clients send to any.
func parameters() [][2]string {
	return [][2]string{
		{"temperature", "0.5"}, {"top_p", "0.5"}, {"n", "2"}, {"stop", `["x"]`}, {"max_tokens", "2000"}, {"max_completion_tokens", "2000"},
		{"presence_penalty", "0.5"}, {"frequency_penalty", "0.5"}, {"logit_bias", `{"1":1}`}, {"logprobs", "true"}, {"top_logprobs", "2"},
		{"seed", "7"}, {"user", `"u-1"`}, {"tools", `[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]`},
		{"tool_choice", `"required"`}, {"parallel_tool_calls", "false"}, {"functions", `[{"name":"f","parameters":{"type":"object"}}]`},
		{"response_format", `{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object"}}}`}, {"reasoning_effort", `"low"`},
		{"service_tier", `"flex"`}, {"store", "true"},
		{"metadata", `{"a":"b"}`}, {"modalities", `["text","audio"]`}, {"audio", `{"voice":"alloy","format":"wav"}`},
		{"prediction", `{"type":"content","content":"x"}`}, {"verbosity", `"low"`}, {"web_search_options", "{}"}, {"safety_identifier", `"s"`},
		{"prompt_cache_key", `"k"`}, {"top_k", "5"}, {"thinking", `{"type":"enabled","budget_tokens":1024}`},
	}
}

func parameterTable(t *testing.T) string {
	var rows [][]string
	for _, s := range subjects() {
		fates := map[string][]string{}
		for _, p := range parameters() {
			fate := s.fate(t, p[0], p[1])
			fates[fate] = append(fates[fate], p[0])
		}
		asIs := code(fates[passed]...)
		if len(fates[passed]) > len(parameters())/2 {
			asIs = "all others"
		}
		rows = append(rows, []string{s.label, asIs, code(fates[yes]...), code(fates["dropped"]...), code(fates[no]...)})
	}
	return table([]string{
		"Provider: model", "as it is", "in the provider's words", "left out without a word", "refused, or dropped with `drop_params`",
	}, joinEqual(rows))
}

// fate says what becomes of one parameter.
func (s *subject) fate(t *testing.T, name, value string) string {
	t.Helper()
	var base []string
	if name == "tool_choice" || name == "parallel_tool_calls" {
		base = []string{`"tools":[{"type":"function","function":{"name":"f"}}]`}
	}
	without, err := s.ask(t, base...)
	if err != nil { // it has no tools at all
		base = nil
		without, _ = s.ask(t)
	}
	member := fmt.Sprintf("%q:%s", name, value)
	with, err := s.ask(t, append(base, member)...)
	switch {
	case err != nil:
		return no
	case bytes.Equal(with, without):
		return "dropped"
	case bytes.Equal(bytes.Replace(with, []byte(","+member), nil, 1), without):
		return passed
	}
	return yes
}
