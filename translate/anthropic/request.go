package anthropic

import (
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// body writes the JSON of one request.
// https://platform.claude.com/docs/en/api/messages/create
type body struct {
	tr    *Translator
	c     *chat.Completion
	out   []byte
	names names
	json  bool     // the answer comes through jsonTool
	betas []string // beta features that the request needs
	cache breakpoints
	talk  conversation
}

func (b *body) write(req *chat.Request) error {
	c, err := b.tr.completion(req)
	if err != nil {
		return err
	}
	p, err := b.tr.sort(c)
	if err != nil {
		return err
	}
	r, err := b.tr.reason(c, p)
	if err != nil {
		return err
	}
	b.c, b.json = c, b.tr.writesByTool(c)
	b.names = namesOf(c.Tools, b.json)
	b.cache = countBreakpoints(c)
	b.out = append(b.out, `{"model":`...)
	b.out = jsonedit.AppendString(b.out, b.tr.target.Model)
	b.out = strconv.AppendInt(jsonedit.AppendName(b.out, "max_tokens"), int64(r.limit), 10)
	if err := b.tools(p, r.thinking != nil); err != nil {
		return err
	}
	if err := b.system(); err != nil {
		return err
	}
	if err := b.messages(); err != nil {
		return err
	}
	if c.Stream {
		b.out = append(b.out, `,"stream":true`...)
	}
	b.params(p, r)
	b.out = append(b.out, '}')
	return nil
}

// completion decodes the request as this deployment sees it.
func (tr *Translator) completion(req *chat.Request) (*chat.Completion, error) {
	c, err := req.Completion(tr.target.Defaults)
	if err != nil {
		return nil, err
	}
	c.Drop(tr.target.DropAlso)
	return c, nil
}

// writesByTool reports whether the answer must come through jsonTool: the client
// gave a schema for it and the model takes none.
func (tr *Translator) writesByTool(c *chat.Completion) bool {
	return c.ResponseFormat.Type == "json_schema" && !tr.model.structured()
}

// params appends the parameters that stand beside the conversation.
func (b *body) params(p *params, r reasoning) {
	if r.thinking != nil {
		b.out = jsonedit.AppendMember(b.out, "thinking", r.thinking)
		if b.tr.target.DropParams {
			p.members = slices.DeleteFunc(p.members, conflictsWithThinking)
		}
	}
	b.outputConfig(p, r.effort)
	if p.userID != "" {
		b.out = append(jsonedit.AppendName(b.out, "metadata"), `{"user_id":`...)
		b.out = append(jsonedit.AppendString(b.out, p.userID), '}')
	}
	if len(b.c.Stop) > 0 {
		b.out = appendStop(b.out, b.c.Stop)
		p.members = slices.DeleteFunc(p.members, func(m upstream.Param) bool { return m.Name == "stop_sequences" })
	}
	for _, m := range p.members {
		b.out = jsonedit.AppendMember(b.out, m.Name, m.Value)
		b.betas = append(b.betas, betasOf(m)...)
	}
}

// conflictsWithThinking reports whether a parameter must not be given to a thinking model.
func conflictsWithThinking(p upstream.Param) bool {
	return p.Name == "top_k" || p.Name == "temperature" && !chat.IsOne(p.Value)
}

// outputConfig appends the effort and the schema of the answer to what the client
// gave itself.
func (b *body) outputConfig(p *params, effort string) {
	var format []byte
	if b.c.ResponseFormat.Type == "json_schema" && !b.json {
		format = append(format, `{"type":"json_schema","schema":`...)
		format = append(append(format, answerSchema(b.c.ResponseFormat.Schema)...), '}')
	}
	if p.output == nil && effort == "" && format == nil {
		return
	}
	b.out = append(jsonedit.AppendName(b.out, "output_config"), '{')
	if effort != "" {
		b.out = append(b.out, `"effort":"`+effort+`"`...)
	}
	if format != nil {
		b.out = jsonedit.AppendMember(b.out, "format", format)
	}
	if object, err := jsonedit.Parse(p.output); err == nil {
		for _, m := range object.Members() {
			if m.Name == "effort" && effort != "" || m.Name == "format" && format != nil {
				continue
			}
			b.out = jsonedit.AppendMember(b.out, m.Name, object.Value(m))
		}
	}
	b.out = append(b.out, '}')
}

// betasOf returns the beta features that a parameter needs.
func betasOf(p upstream.Param) []string {
	switch p.Name {
	case "mcp_servers":
		return []string{"mcp-client-2025-04-04"}
	case "context_management":
		if strings.Contains(string(p.Value), `"compact_`) {
			return []string{"context-management-2025-06-27", "compact-2026-01-12"}
		}
		return []string{"context-management-2025-06-27"}
	case "speed":
		return []string{"fast-mode-2026-02-01"}
	case "container":
		if p.Value.Kind() == '{' {
			return []string{"skills-2025-10-02"}
		}
	}
	return nil
}

// maxBreakpoints is how many places of one request may ask for caching.
// https://platform.claude.com/docs/en/build-with-claude/prompt-caching
const maxBreakpoints = 4

// breakpoints says how many of the first cache_control marks to leave out, so
// that the last four, which cover the longest prefixes, are within the limit.
type breakpoints struct{ skip int }

func countBreakpoints(c *chat.Completion) breakpoints {
	n := 0
	count := func(v jsontext.Value) {
		if v.Kind() == '{' {
			n++
		}
	}
	for i := range c.Tools {
		count(c.Tools[i].CacheControl)
	}
	for i := range c.Messages {
		m := &c.Messages[i]
		count(m.CacheControl)
		for j := range m.Content {
			count(m.Content[j].CacheControl)
		}
		for j := range m.Calls {
			count(m.Calls[j].CacheControl)
		}
	}
	for i := range c.Params {
		if c.Params[i].Name == "cache_control" {
			count(c.Params[i].Value)
		}
	}
	return breakpoints{n - maxBreakpoints}
}

// append appends a mark to the object that is being written and reports whether
// it did.
func (k *breakpoints) append(dst []byte, mark jsontext.Value) ([]byte, bool) {
	if mark.Kind() != '{' {
		return dst, false
	}
	if k.skip > 0 {
		k.skip--
		return dst, false
	}
	return jsonedit.AppendMember(dst, "cache_control", mark), true
}
