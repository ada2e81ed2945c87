package ollama

import (
	"strconv"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// chat writes the body of /api/chat.
func (tr *Translator) chat(req *chat.Request) ([]byte, error) {
	c, err := req.Completion(tr.target.Defaults)
	if err != nil {
		return nil, err
	}
	c.Drop(tr.target.DropAlso)
	p, err := tr.sort(req.Endpoint, c)
	if err != nil {
		return nil, err
	}
	body := make([]byte, 0, len(req.Body.Source())+256)
	body = jsonedit.AppendMember(append(body, '{'), "model", tr.model)
	if body, err = appendMessages(body, c.Messages); err != nil {
		return nil, err
	}
	// The server streams unless told otherwise.
	body = strconv.AppendBool(jsonedit.AppendName(body, "stream"), req.Stream)
	if body, err = tr.appendTools(body, c); err != nil {
		return nil, err
	}
	return append(appendParams(body, p), '}'), nil
}

// appendTools appends the functions, which are OpenAI's unchanged. There is no
// tool_choice: "none" sends no tools, the others leave the choice to the model.
func (tr *Translator) appendTools(dst []byte, c *chat.Completion) ([]byte, error) {
	if c.ToolChoice.Mode == "none" {
		return dst, nil
	}
	begun := false
	for i := range c.Tools {
		t := &c.Tools[i]
		if t.Type != "function" {
			if tr.target.DropParams {
				continue
			}
			return dst, upstream.BadRequest("tools", "tools["+strconv.Itoa(i)+"]: ollama knows functions only; set drop_params: true to drop others")
		}
		if !begun {
			begun = true
			dst = append(jsonedit.AppendName(dst, "tools"), '[')
		}
		dst = appendTool(jsonedit.AppendComma(dst), t)
	}
	if begun {
		dst = append(dst, ']')
	}
	return dst, nil
}

// appendTool appends one function; the legacy functions lack the object around.
func appendTool(dst []byte, t *chat.Tool) []byte {
	if object, err := jsonedit.Parse(t.Raw); err == nil && object.Has("function") {
		if object.Has("type") {
			return append(dst, t.Raw...)
		}
		function, _ := object.Get("function")
		return append(append(append(dst, `{"type":"function","function":`...), function...), '}')
	}
	return append(append(append(dst, `{"type":"function","function":`...), t.Raw...), '}')
}

// appendParams appends options and what stands beside it.
func appendParams(dst []byte, p *params) []byte {
	dst = p.Top.AppendTo(dst, written)
	if len(p.options) == 0 {
		return dst
	}
	dst = append(jsonedit.AppendName(dst, "options"), '{')
	return append(p.options.AppendTo(dst, nil), '}')
}

// written reports whether a member of the body is this package's to write, so
// that allowed_openai_params cannot name it twice.
func written(name string) bool {
	switch name {
	case "model", "messages", "stream", "tools", "input", "dimensions", "options":
		return true
	}
	return false
}

// embed writes the body of /api/embed.
func (tr *Translator) embed(req *chat.Request) ([]byte, error) {
	e, err := req.Embedding(tr.target.Defaults)
	if err != nil {
		return nil, err
	}
	p := &params{}
	for _, m := range e.Params {
		if tr.target.Drops(m.Name) {
			continue
		}
		if err := tr.take(p, m); err != nil {
			return nil, err
		}
	}
	if err := tr.target.Refuse(p.Lacking); err != nil {
		return nil, err
	}
	body := make([]byte, 0, len(req.Body.Source())+128)
	body = jsonedit.AppendMember(append(body, '{'), "model", tr.model)
	body = jsonedit.AppendStrings(jsonedit.AppendName(body, "input"), e.Input)
	if e.Dimensions != 0 && !tr.target.Drops("dimensions") {
		body = strconv.AppendInt(jsonedit.AppendName(body, "dimensions"), int64(e.Dimensions), 10)
	}
	return append(appendParams(body, p), '}'), nil
}
