package callback

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// Input is what a client's body says that records show. Its values refer to
// the body; [Policy.Apply] copies what it keeps.
type Input struct {
	Messages   jsontext.Value // messages, input or prompt
	Parameters jsontext.Value // every other member that a provider may get
	Metadata   jsontext.Value // the metadata object
	User       string
	TraceID    string // litellm_trace_id, else metadata.trace_id
	SessionID  string // litellm_session_id, else metadata.session_id
	Wish       Wish   // turn_off_message_logging or no-log, of the body; the first of its metadata too
}

// ReadInput splits a client's body. What is LiteLLM's own, or holds a credential by
// its name, is in nothing of it. It costs one pass over the top-level members,
// and a copy of the parameters: not for the path of a request that is running.
func ReadInput(req *chat.Request) Input {
	var in Input
	parameters := []byte{'{'}
	for _, m := range req.Body.Members() {
		value := req.Body.Value(m)
		if in.take(m.Name, value) || value.Kind() == 'n' || chat.IsSteering(m.Name) || confidential(m.Name) {
			continue
		}
		parameters = jsonedit.AppendMember(parameters, m.Name, withoutCredentials(value, hasSchemas(m.Name)))
	}
	in.Parameters = append(parameters, '}')
	in.readMetadata()
	return in
}

// take reads one member that is no parameter. user is one, too.
func (in *Input) take(name string, value jsontext.Value) bool {
	switch name {
	case "messages", "input", "prompt", "query", "documents":
		if in.Messages == nil {
			in.Messages = value
		}
	case "metadata":
		in.Metadata = value
	case "litellm_trace_id":
		in.TraceID = text(value)
	case "litellm_session_id":
		in.SessionID = text(value)
	case "turn_off_message_logging", "no-log", "no_log":
		if value.Kind() == 't' {
			in.Wish = Hide
		}
	case "user":
		in.User = text(value)
		return false
	case "model":
	default:
		return false
	}
	return true
}

func (in *Input) readMetadata() {
	if in.Metadata.Kind() != '{' {
		in.Metadata = nil
		return
	}
	in.Metadata = withoutCredentials(in.Metadata, false)
	var known struct {
		TraceID   jsontext.Value `json:"trace_id"`
		SessionID jsontext.Value `json:"session_id"`
		Hide      jsontext.Value `json:"turn_off_message_logging"`
	}
	if json.Unmarshal(in.Metadata, &known) != nil {
		return
	}
	if known.Hide.Kind() == 't' {
		in.Wish = Hide
	}
	if in.TraceID == "" {
		in.TraceID = text(known.TraceID)
	}
	if in.SessionID == "" {
		in.SessionID = text(known.SessionID)
	}
}

// text is the text of a JSON string or number, else "".
func text(v jsontext.Value) string {
	switch v.Kind() {
	case '"':
		var s string
		_ = json.Unmarshal(v, &s)
		return s
	case '0':
		return string(v)
	}
	return ""
}
