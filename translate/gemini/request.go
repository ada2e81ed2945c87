package gemini

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// generate writes the body of generateContent.
func (tr *Translator) generate(req *chat.Request) ([]byte, error) {
	c, err := req.Completion(tr.target.Defaults)
	if err != nil {
		return nil, err
	}
	c.Drop(tr.target.DropAlso)
	p, err := tr.sort(req.Endpoint, c)
	if err != nil {
		return nil, err
	}
	w := contents{model: tr.model, out: make([]byte, 0, len(req.Body.Source())+512)}
	w.out = append(w.out, `{"contents":[`...)
	if err := w.write(c.Messages); err != nil {
		return nil, err
	}
	body := append(w.out, ']')
	if body, err = appendSystem(body, c.Messages); err != nil {
		return nil, err
	}
	if body, err = tr.appendTools(body, c, p); err != nil {
		return nil, err
	}
	if w.highest > 0 && !tr.model.third() {
		p.config.Add("mediaResolution", jsontext.Value(`"`+resolutions[w.highest].level+`"`))
	}
	return append(appendParams(body, p), '}'), nil
}

// appendParams appends generationConfig and what stands beside it.
func appendParams(dst []byte, p *params) []byte {
	if len(p.config) > 0 {
		dst = append(jsonedit.AppendName(dst, "generationConfig"), '{')
		dst = append(p.config.AppendTo(dst, nil), '}')
	}
	return p.Top.AppendTo(dst, written)
}

// written reports whether a member of the body is this package's to write, so
// that allowed_openai_params cannot name it twice.
func written(name string) bool {
	switch name {
	case "contents", "systemInstruction", "tools", "toolConfig", "generationConfig":
		return true
	}
	return false
}

// embed writes the body of batchEmbedContents, one request for each input.
// https://ai.google.dev/api/embeddings#method:-models.batchembedcontents
func (tr *Translator) embed(req *chat.Request) ([]byte, error) {
	e, err := req.Embedding(tr.target.Defaults)
	if err != nil {
		return nil, err
	}
	tail, err := tr.embedParams(e)
	if err != nil {
		return nil, err
	}
	body := make([]byte, 0, len(req.Body.Source())+len(e.Input)*(len(tr.resource)+len(tail)+64)+16)
	body = append(body, `{"requests":[`...)
	for _, input := range e.Input {
		body = append(jsonedit.AppendComma(body), `{"model":`...)
		body = jsonedit.AppendString(body, tr.resource)
		body = append(body, `,"content":{"parts":[{"text":`...)
		body = append(jsonedit.AppendString(body, input), "}]}"...)
		body = append(append(body, tail...), '}')
	}
	return append(body, "]}"...), nil
}

// embedParams returns the members that follow the content of each request.
func (tr *Translator) embedParams(e *chat.Embedding) ([]byte, error) {
	var list chat.Members
	var lacking []string
	if e.Dimensions != 0 && !tr.target.Drops("dimensions") {
		list.AddInt("outputDimensionality", e.Dimensions)
	}
	for _, p := range e.Params {
		switch {
		case tr.target.Drops(p.Name), slices.Contains(chat.Bookkeeping, p.Name):
		case p.Name == "task_type", p.Name == "taskType", p.Name == "title",
			p.Name == "outputDimensionality", p.Name == "output_dimensionality":
			list.Add(camel(p.Name), p.Value)
		case tr.target.Allows(p.Name) && p.Name != "content":
			list.Add(p.Name, p.Value)
		default:
			lacking = append(lacking, p.Name)
		}
	}
	if err := tr.target.Refuse(lacking); err != nil {
		return nil, err
	}
	tail := list.AppendTo([]byte("}"), nil) // of the member before, so that each gets its comma
	return tail[1:], nil
}
