package translatetest

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// CompareCall lists what differs between a call to the provider and the golden
// one. base is the URL whose scheme and host the call goes to; a nil call is no
// call.
func (x *Exchange) CompareCall(base *url.URL, call *upstream.Call) []string {
	switch {
	case x.call == nil && call == nil:
		return nil
	case x.call == nil:
		return []string{": the provider must not be asked"}
	case call == nil:
		return []string{": the provider was not asked"}
	}
	d := &difference{rules: x.rules.below("/upstream-request")}
	got, err := url.Parse(call.Path)
	if err != nil {
		d.add("/path", "%v", err)
		return d.found
	}
	want := x.call.url
	d.compare("/method", x.call.method, call.Method)
	d.compare("/scheme", want.Scheme, base.Scheme)
	d.compare("/host", want.Hostname(), base.Hostname())
	d.compare("/path", want.EscapedPath(), got.EscapedPath())
	d.compare("/query", values(want.Query()), values(got.Query()))
	d.header(x.call.header, call.Header)
	for _, name := range x.call.absent {
		if slices.ContainsFunc(call.Header, func(f upstream.Field) bool { return f.Name == name }) {
			d.add("/headers/"+name, "must not be sent")
		}
	}
	x.compareCallBody(d, call.Text())
	return d.found
}

func (x *Exchange) compareCallBody(d *difference, body []byte) {
	var got any
	if err := json.Unmarshal(body, &got); err != nil {
		d.add("/body", "no JSON: %v", err)
		return
	}
	want := canonical(x.Provider, x.call.body)
	for pointer, alternatives := range d.alternatives {
		d.alternatives[pointer] = x.canonicalAlternatives(pointer, alternatives)
	}
	got = canonical(x.Provider, got)
	if g, ok := got.(object); ok && want.(object)["stream_options"] == nil && x.asksForUsage() {
		// The gateway may ask for the usage of a stream, to account for it.
		removeIf(g, "stream_options", object{"include_usage": true})
	}
	d.compare("/body", want, got)
}

// asksForUsage reports whether the provider's format is OpenAI's, so that a
// stream's usage has to be asked for.
func (x *Exchange) asksForUsage() bool {
	switch x.Provider {
	case "anthropic", "gemini", "ollama":
		return false
	}
	return x.Endpoint == chat.Completions
}

// canonicalAlternatives brings other values for a place of the body to the form
// that they have there once the body is canonical.
func (x *Exchange) canonicalAlternatives(pointer string, alternatives []any) []any {
	inBody, ok := strings.CutPrefix(pointer, "/body")
	if !ok {
		return alternatives
	}
	path := steps(inBody)
	out := make([]any, len(alternatives))
	for i, value := range alternatives {
		out[i] = at(canonical(x.Provider, with(x.call.body, path, value)), path)
	}
	return out
}

func values(query url.Values) object {
	out := object{}
	for name, list := range query {
		out[name] = strings.Join(list, ",")
	}
	return out
}

// header compares the fields that want names; others do not matter.
func (d *difference) header(want, got upstream.Header) {
	for _, f := range want {
		value := got.Get(f.Name)
		switch f.Name {
		case "content-type":
			value, _, _ = strings.Cut(value, ";")
		case "anthropic-beta": // a set
			d.compare("/headers/"+f.Name, sorted(f.Value), sorted(value))
			continue
		}
		d.compare("/headers/"+f.Name, f.Value, value)
	}
}

func sorted(list string) string {
	items := strings.Split(list, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	slices.Sort(items)
	return strings.Join(items, ",")
}

// CompareAnswer lists what differs between what the client gets and the golden
// answer.
func (x *Exchange) CompareAnswer(got Answer) []string {
	d := &difference{rules: x.rules.below("/answer")}
	if !slices.Contains(x.want.status, got.Status) {
		d.add("/status", "want one of %v, got %d", x.want.status, got.Status)
	}
	d.header(x.want.header, got.Header)
	if x.want.stream {
		x.compareStream(d, got.Body)
		return d.found
	}
	var body any
	if err := json.Unmarshal(got.Body, &body); err != nil {
		d.add("/body", "no JSON: %v", err)
		return d.found
	}
	answer, ok := body.(object)
	switch {
	case !ok:
		d.add("/body", "no JSON object: %s", show(body))
	case x.want.fault != nil:
		d.fault("/body/error", x.want.fault, answer["error"])
	case x.Endpoint == chat.Completions:
		x.compareCompletion(d, answer)
	default:
		x.compareKnown(d, answer)
	}
	return d.found
}

func (x *Exchange) compareCompletion(d *difference, answer object) {
	for _, name := range []string{"id", "object", "created", "model"} {
		if v := answer[name]; v == nil || equal("", v) || equal(0.0, v) {
			d.add("/body/"+name, "missing")
		}
	}
	d.uniqueIDs(answer)
	d.compare("/body", canonicalAnswer(x.want.body), canonicalAnswer(answer))
}

// compareKnown compares the members that the golden answer has: others are
// extensions.
func (x *Exchange) compareKnown(d *difference, answer object) {
	rules := map[string]string{"/body/model": "nonempty_string"}
	if x.Endpoint == chat.TextCompletions {
		rules = map[string]string{"/body/model": "ignore", "/body/id": "ignore", "/body/created": "ignore"}
	}
	maps.Copy(rules, d.lenient)
	d.lenient = rules
	d.compare("/body", x.want.body, known(x.want.body, answer))
}

// known returns of got only what want has.
func known(want, got any) any {
	switch want := want.(type) {
	case object:
		if got, ok := got.(object); ok {
			out := make(object, len(want))
			for name, value := range want {
				out[name] = known(value, got[name])
			}
			return out
		}
	case []any:
		if got, ok := got.([]any); ok && len(got) == len(want) {
			out := make([]any, len(want))
			for i := range want {
				out[i] = known(want[i], got[i])
			}
			return out
		}
	}
	return got
}

// fault checks an OpenAI error object.
func (d *difference) fault(path string, want *goldenError, got any) {
	e, ok := got.(object)
	if !ok {
		d.add(path, "no OpenAI error object: %s", show(got))
		return
	}
	message, _ := e["message"].(string)
	kind, _ := e["type"].(string)
	if message == "" || kind == "" {
		d.add(path, "message or type is missing: %s", show(e))
	}
	for _, part := range want.Contains {
		if !strings.Contains(message, part) {
			d.add(path+"/message", "want %q in %q", part, message)
		}
	}
	if len(want.Types) > 0 && !slices.Contains(want.Types, kind) {
		d.add(path+"/type", "want one of %q, got %q", want.Types, kind)
	}
	if len(want.Codes) == 0 {
		return
	}
	for _, code := range want.Codes {
		if strings.Trim(string(code), `"`) == codeText(e["code"]) {
			return
		}
	}
	d.add(path+"/code", "want one of %s, got %s", want.Codes, show(e["code"]))
}

func codeText(code any) string {
	if code == nil {
		return "null"
	}
	return fmt.Sprint(code)
}
