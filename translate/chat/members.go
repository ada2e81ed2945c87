package chat

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/litellm"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// IsSteering reports whether a request member speaks to the gateway, or would to
// LiteLLM's proxy, and never reaches a provider. metadata, user and store do: they
// are OpenAI's own.
func IsSteering(name string) bool { return litellm.Own(name) }

// given reports whether the client gave the parameter, under either of its
// names if it has two.
func given(params []upstream.Param, name string) bool {
	for i := range params {
		if params[i].Name == name || OtherName(params[i].Name) == name {
			return true
		}
	}
	return false
}

// Params returns every member of the request that a provider may get, the
// deployment's defaults for those the client did not give included, and then the
// members of extra_body that neither gave. null counts as absent. The error is an
// *upstream.Error.
func (r *Request) Params(defaults []upstream.Param) ([]upstream.Param, error) {
	members := r.Body.Members()
	params := make([]upstream.Param, 0, len(members)+len(defaults))
	for _, m := range members {
		value := r.Body.Value(m)
		if IsSteering(m.Name) || value.Kind() == 'n' {
			continue
		}
		params = append(params, upstream.Param{Name: m.Name, Value: value})
	}
	client := len(params)
	for _, d := range defaults {
		if !given(params[:client], d.Name) {
			params = append(params, d)
		}
	}
	return withExtraBody(params)
}

// withExtraBody puts the members of extra_body beside the others; those that are
// there win.
func withExtraBody(params []upstream.Param) ([]upstream.Param, error) {
	at := slices.IndexFunc(params, func(p upstream.Param) bool { return p.Name == "extra_body" })
	if at < 0 {
		return params, nil
	}
	object, err := jsonedit.Parse(params[at].Value)
	if err != nil {
		return nil, upstream.BadRequest("extra_body", "'extra_body' must be an object")
	}
	params = slices.Delete(params, at, at+1)
	outside := params
	for _, m := range object.Members() {
		if value := object.Value(m); value.Kind() != 'n' && MayBeExtra(m.Name) && m.Name != "prompt" && m.Name != "input" &&
			!given(outside, m.Name) {
			params = append(params, upstream.Param{Name: m.Name, Value: value})
		}
	}
	return params, nil
}

// MayBeExtra reports whether a member of extra_body may go to a provider. The model
// and the form of the answer are not for it to say: they were decided by what
// stands beside it.
func MayBeExtra(name string) bool {
	switch name {
	case "model", "messages", "stream", "stream_options", "extra_body":
		return false
	}
	return !IsSteering(name)
}

// restricts refuses a member that asks LiteLLM's proxy to hold something back, which
// this gateway does not do. What is null, false or empty asks for nothing.
func restricts(name string, value jsontext.Value) *upstream.Error {
	switch name {
	case "metadata", "litellm_metadata", "extra_body":
		return restrictsInside(name, value)
	}
	why, ok := litellm.Restricts(name)
	if !ok || asksForNothing(value) {
		return nil
	}
	return upstream.BadRequest(name, "'"+name+"' is not supported: "+why)
}

// restrictsInside looks at the members of an object that LiteLLM's proxy reads as if
// they stood outside.
func restrictsInside(name string, value jsontext.Value) *upstream.Error {
	if value.Kind() != '{' {
		return nil
	}
	object, err := jsonedit.Parse(value)
	if err != nil {
		return nil // what it holds is judged by who takes it
	}
	for _, m := range object.Members() {
		if m.Name == "metadata" || m.Name == "litellm_metadata" || m.Name == "extra_body" {
			continue // no deeper
		}
		if err := restricts(m.Name, object.Value(m)); err != nil {
			return upstream.BadRequest(name, "'"+name+"': "+err.Message)
		}
	}
	return nil
}

func asksForNothing(value jsontext.Value) bool {
	switch value.Kind() {
	case 'n', 'f':
		return true
	case '[', '{', '"':
		return strings.TrimSpace(string(value[1:len(value)-1])) == ""
	}
	return false
}
