package openai

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// BodyEditor rewrites a client's body for one OpenAI-format deployment.
type BodyEditor struct {
	target    *upstream.Target
	model     jsontext.Value
	reasoning bool // the model takes max_completion_tokens only
	genuine   bool // OpenAI's own servers or Azure's, not a compatible one
	quirks    *Quirks
	own       reasoner         // the model, where it is OpenAI's own and reasons
	lacks     []string         // parameters the model lacks
	caches    bool             // the model takes cache_control in content parts
	defaults  []upstream.Param // of the target, without those that are never sent
}

// NewBodyEditor returns the editor of a deployment. genuine says that the
// server is OpenAI's own or Azure's: those refuse Anthropic's cache_control and
// know the developer role; compatible servers are the other way round.
func NewBodyEditor(t *upstream.Target, genuine bool) *BodyEditor {
	model := t.Model
	if t.BaseModel != "" {
		model = t.BaseModel
	}
	quirks := quirksOf(t.Provider)
	if quirks.NoStreamOptions {
		silent := *t
		silent.HideStreamUsage = true
		t = &silent
	}
	b := &BodyEditor{
		target:    t,
		model:     jsonedit.AppendString(nil, t.Model),
		reasoning: reasoningModel(model) && quirks.rename("max_completion_tokens") == "max_completion_tokens",
		genuine:   genuine,
		quirks:    quirks,
		defaults:  defaults(t),
	}
	if prefix := b.quirks.ModelPrefix; prefix != "" && !strings.HasPrefix(t.Model, "accounts/") {
		b.model = jsonedit.AppendString(nil, prefix+t.Model)
	}
	b.caches = b.quirks.cacheControl(model)
	b.lacks = b.quirks.lacks(model)
	if genuine {
		b.own = reasonerOf(model)
		b.lacks = b.own.lacks
		if t.DropParams {
			b.lacks = slices.Concat(b.lacks, paramsOfOtherModels(model))
		}
	}
	return b
}

// Edit gives the call its body for the deployment. The client's text is kept
// except for what must change; the error is an *upstream.Error.
func (b *BodyEditor) Edit(req *chat.Request, call *upstream.Call) error {
	var edits jsonedit.Edits
	edits.Set("model", b.model)
	for _, m := range req.Body.Members() {
		if chat.IsSteering(m.Name) || slices.Contains(b.target.DropAlso, m.Name) {
			edits.Delete(m.Name)
		}
	}
	b.addDefaults(req, &edits)
	if err := b.mergeExtraBody(req, &edits); err != nil {
		return err
	}
	if b.asksForUsage(req) {
		if err := askForUsage(req, &edits); err != nil {
			return err
		}
	}
	if req.Endpoint == chat.Completions {
		if err := b.editParams(req, &edits); err != nil {
			return err
		}
		b.editChat(req, &edits)
	}
	pieces := req.Body.ApplyLarge(&edits)
	call.Body, call.Tail = pieces[0], pieces[1:]
	return nil
}

func (b *BodyEditor) addDefaults(req *chat.Request, edits *jsonedit.Edits) {
	for _, d := range b.defaults {
		if given(req, d.Name) || given(req, b.quirks.rename(d.Name)) {
			continue
		}
		name := d.Name
		if b.reasoning && name == "max_tokens" && req.Endpoint == chat.Completions {
			name = "max_completion_tokens"
		}
		edits.Set(name, d.Value)
	}
}

// given reports whether the client gave the parameter a value, under either of
// its names. null is no value.
func given(req *chat.Request, name string) bool {
	if v, ok := req.Body.Get(name); ok && v.Kind() != 'n' {
		return true
	}
	twin := chat.OtherName(name)
	if twin == "" {
		return false
	}
	v, ok := req.Body.Get(twin)
	return ok && v.Kind() != 'n'
}

// asksForUsage reports whether the gateway wants the usage of a stream that the
// client did not ask it for. OpenAI's own legacy models are counted here as well
// as there: their encodings are known and they do not reason.
func (b *BodyEditor) asksForUsage(req *chat.Request) bool {
	if !req.Stream || req.WantsUsage || b.target.HideStreamUsage {
		return false
	}
	return req.Endpoint == chat.Completions || req.Endpoint == chat.TextCompletions && !b.genuine
}

// askForUsage sets stream_options.include_usage and keeps the other options.
func askForUsage(req *chat.Request, edits *jsonedit.Edits) error {
	options, ok := req.Body.Get("stream_options")
	if !ok || options.Kind() != '{' {
		edits.Set("stream_options", jsontext.Value(`{"include_usage":true}`))
		return nil
	}
	object, err := jsonedit.Parse(options)
	if err != nil {
		return upstream.BadRequest("stream_options", "'stream_options' must be an object")
	}
	var inner jsonedit.Edits
	inner.Set("include_usage", jsontext.Value("true"))
	edits.Set("stream_options", object.Apply(&inner))
	return nil
}

// editChat makes the edits that only chat completions need.
func (b *BodyEditor) editChat(req *chat.Request, edits *jsonedit.Edits) {
	if b.reasoning {
		renameLimit(req, edits)
	}
	if !hasValue(req, edits, "tools") && !hasValue(req, edits, "functions") {
		edits.Delete("tool_choice")
	}
	if messages, ok := req.Body.Get("messages"); ok {
		if changed := b.messages(messages); !chat.Untouched(messages, changed) {
			edits.Set("messages", changed)
		}
	}
	if tools, ok := current(req, edits, "tools"); ok && tools.Kind() == '[' {
		if changed := b.tools(tools); !chat.Untouched(tools, changed) {
			edits.Set("tools", changed)
		}
	}
	if b.quirks.Thinking && thinks(req, edits) {
		if messages, ok := current(req, edits, "messages"); ok {
			edits.Set("messages", mapObjects(messages, fillReasoning))
		}
	}
}

// messages makes the edits inside messages. It looks at their names first: almost
// always there is nothing to do and nothing is parsed again.
func (b *BodyEditor) messages(messages jsontext.Value) jsontext.Value {
	found := featuresOf(messages, b.quirks.Drop)
	if b.quirks.NoEmptyTurns && found.assistant {
		messages = withoutEmptyTurns(messages)
	}
	if rewrite := b.messageEdits(&found); len(rewrite) > 0 {
		messages = mapObjects(messages, func(o *jsonedit.Object, edits *jsonedit.Edits) {
			for _, f := range rewrite {
				f(o, edits)
			}
		})
	}
	if found.file {
		messages = cleanFiles(messages)
	}
	if found.image && found.tool {
		messages = withoutToolImages(messages)
	}
	return messages
}

// mapObjects edits each object of an array; other elements stay.
func mapObjects(array jsontext.Value, f func(*jsonedit.Object, *jsonedit.Edits)) jsontext.Value {
	out, err := jsonedit.MapArray(array, func(element jsontext.Value) (jsontext.Value, error) {
		object, err := jsonedit.Parse(element)
		if err != nil {
			return element, nil //nolint:nilerr // no object: nothing of ours to edit
		}
		var edits jsonedit.Edits
		f(object, &edits)
		return object.Apply(&edits), nil
	})
	if err != nil {
		return array // the body was validated; kept for safety
	}
	return out
}

func developerToSystem(o *jsonedit.Object, edits *jsonedit.Edits) {
	if role, _ := o.Get("role"); string(role) == `"developer"` {
		edits.SetString("role", "system")
	}
}

// dropCacheControl removes Anthropic's cache_control from a message, its content
// parts and its calls: OpenAI refuses members it does not know.
func dropCacheControl(o *jsonedit.Object, edits *jsonedit.Edits) {
	edits.Delete("cache_control")
	editContent(o, edits, withoutCacheControl)
	editCalls(o, edits, withoutCacheControl)
}

func withoutCacheControl(o *jsonedit.Object, edits *jsonedit.Edits) {
	edits.Delete("cache_control")
	if f, ok := o.Get("function"); ok && jsonedit.Find(f, "cache_control") >= 0 {
		if object, err := jsonedit.Parse(f); err == nil {
			var inner jsonedit.Edits
			inner.Delete("cache_control")
			edits.Set("function", object.Apply(&inner))
		}
	}
}

// editContent edits the parts of a message's content, on top of edits already
// made to it.
func editContent(o *jsonedit.Object, edits *jsonedit.Edits, f func(*jsonedit.Object, *jsonedit.Edits)) {
	content, ok := edits.Value("content")
	if !ok {
		content, ok = o.Get("content")
	}
	if !ok || content.Kind() != '[' {
		return
	}
	if changed := mapObjects(content, f); !chat.Untouched(content, changed) {
		edits.Set("content", changed)
	}
}

// imageParts gives image_url its object form and drops LiteLLM's format hint.
func imageParts(o *jsonedit.Object, edits *jsonedit.Edits) {
	editContent(o, edits, func(part *jsonedit.Object, edits *jsonedit.Edits) {
		image, ok := part.Get("image_url")
		switch {
		case !ok:
		case image.Kind() == '"':
			edits.Set("image_url", slices.Concat(jsontext.Value(`{"url":`), image, jsontext.Value("}")))
		case jsonedit.Find(image, "format") >= 0:
			if object, err := jsonedit.Parse(image); err == nil {
				var inner jsonedit.Edits
				inner.Delete("format")
				edits.Set("image_url", object.Apply(&inner))
			}
		}
	})
}
