package openai

import (
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// mergeExtraBody puts the members of extra_body beside the others: OpenAI's
// libraries do that themselves, other clients and the model config send it as it
// is. What the client says outside of it wins, then the client's extra_body, then
// the deployment's.
func (b *BodyEditor) mergeExtraBody(req *chat.Request, edits *jsonedit.Edits) error {
	var own bool
	if value, ok := req.Body.Get("extra_body"); ok {
		edits.Delete("extra_body")
		if own = value.Kind() != 'n'; own {
			if err := b.mergeMembers(req, edits, upstream.Param{Name: "extra_body", Value: value}); err != nil {
				return err
			}
		}
	}
	for _, d := range b.target.Defaults {
		if d.Name != "extra_body" {
			continue
		}
		edits.Delete("extra_body")
		if err := b.mergeMembers(req, edits, d); err != nil {
			return err
		}
	}
	return nil
}

// mergeMembers sets the members of an object that nothing has set yet.
func (b *BodyEditor) mergeMembers(req *chat.Request, edits *jsonedit.Edits, p upstream.Param) error {
	object, err := jsonedit.Parse(p.Value)
	if err != nil {
		return upstream.BadRequest(p.Name, "'"+p.Name+"' must be an object")
	}
	for _, m := range object.Members() {
		if chat.MayBeExtra(m.Name) && !given(req, m.Name) && !set(edits, m.Name) && !b.target.Drops(m.Name) {
			edits.Set(m.Name, object.Value(m))
		}
	}
	return nil
}

// set reports whether the edits give the member a value.
func set(edits *jsonedit.Edits, name string) bool {
	_, ok := edits.Value(name)
	return ok
}

// renameLimit gives max_tokens the name that reasoning models take. The client's
// max_completion_tokens wins, then its max_tokens, then the deployment's.
func renameLimit(req *chat.Request, edits *jsonedit.Edits) {
	value, ok := req.Body.Get("max_tokens")
	switch {
	case !ok:
	case value.Kind() == 'n', set(edits, "max_completion_tokens"),
		req.Body.Has("max_completion_tokens") && !isNull(req, "max_completion_tokens"):
		edits.Delete("max_tokens")
	case req.Body.Has("max_completion_tokens"):
		edits.Delete("max_tokens")
		edits.Set("max_completion_tokens", value)
	default:
		edits.Rename("max_tokens", "max_completion_tokens")
	}
}

func isNull(req *chat.Request, name string) bool {
	value, _ := req.Body.Get(name)
	return value.Kind() == 'n'
}
