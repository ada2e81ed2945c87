package chat

import (
	"net/http"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Endpoint is one of OpenAI's JSON endpoints, named by its path after /v1/.
type Endpoint string

// The endpoints this project knows.
const (
	Completions     Endpoint = "chat/completions"
	TextCompletions Endpoint = "completions"
	Embeddings      Endpoint = "embeddings"
	Responses       Endpoint = "responses"
	Moderations     Endpoint = "moderations"
	Images          Endpoint = "images/generations"
	Speech          Endpoint = "audio/speech"
	Rerank          Endpoint = "rerank"
)

// Request is a client's request, parsed once and shared by all its attempts. It
// must not be changed after Parse and is safe for concurrent use.
type Request struct {
	Endpoint Endpoint
	Body     *jsonedit.Object
	Model    string // the name the client asked for: a model group, an alias
	Stream   bool
	// WantsUsage: the client asked for usage in its stream
	// (stream_options.include_usage).
	WantsUsage bool
	// DropParams: the client wants parameters that a provider lacks dropped
	// (drop_params of the request), whatever the deployment says.
	DropParams bool

	decoded *decoded
}

// decoded are the members that most providers need no look into. They are decoded
// once, on the first call that needs them.
type decoded struct {
	messages lazy[[]Message]
	tools    lazy[[]Tool]
}

// lazy is a value that is made when it is first asked for.
type lazy[T any] struct {
	once  sync.Once
	value T
	err   error
}

func (l *lazy[T]) get(decode func() (T, error)) (T, error) {
	l.once.Do(func() { l.value, l.err = decode() })
	return l.value, l.err
}

func (r *Request) messages() ([]Message, error) { return r.decoded.messages.get(r.decodeMessages) }

func (r *Request) tools() ([]Tool, error) { return r.decoded.tools.get(r.decodeTools) }

// Parse reads a client's body. The Request refers to body, which must not be
// changed afterwards. model is the name taken from the path (Azure-style URLs);
// when empty the body must have one. The error is always an *upstream.Error
// with status 400 that says where the body is wrong.
func Parse(endpoint Endpoint, body []byte, model string) (*Request, error) {
	object, err := jsonedit.Parse(body)
	if err != nil {
		return nil, upstream.BadRequest("", "We could not parse the JSON body of your request: "+err.Error())
	}
	r := &Request{Endpoint: endpoint, Body: object, Model: model, decoded: &decoded{}}
	if err := r.readHead(); err != nil {
		return nil, err
	}
	return r, nil
}

// readHead reads the members that decide what happens to the request.
func (r *Request) readHead() error {
	for _, m := range r.Body.Members() {
		value := r.Body.Value(m)
		switch m.Name {
		case "model":
			if r.Model != "" {
				continue // the path names it
			}
			if err := r.member("model", value, &r.Model, "a string"); err != nil {
				return err
			}
		case "stream":
			if err := r.member("stream", value, &r.Stream, "a boolean"); err != nil {
				return err
			}
		case "drop_params":
			if err := r.member("drop_params", value, &r.DropParams, "a boolean"); err != nil {
				return err
			}
		case "stream_options":
			var o struct {
				IncludeUsage bool `json:"include_usage"`
			}
			if err := r.member("stream_options", value, &o, "an object"); err != nil {
				return err
			}
			r.WantsUsage = o.IncludeUsage
		default:
			if err := restricts(m.Name, value); err != nil {
				return err
			}
		}
	}
	if r.Model == "" {
		return upstream.BadRequest("model", "you must provide a model parameter")
	}
	if err := upstream.CheckName("model", r.Model); err != nil {
		return err
	}
	r.WantsUsage = r.WantsUsage && r.Stream
	return r.checkShape()
}

// checkShape refuses what no provider accepts, so that the error is the same
// whichever deployment would have been chosen.
func (r *Request) checkShape() error {
	switch r.Endpoint {
	case Completions:
		v, ok := r.Body.Get("messages")
		if !ok {
			return upstream.BadRequest("messages", "missing required parameter: 'messages'")
		}
		if v.Kind() != '[' {
			return upstream.BadRequest("messages", "'messages' must be an array of messages")
		}
	case Embeddings:
		if !r.Body.Has("input") {
			return upstream.BadRequest("input", "missing required parameter: 'input'")
		}
	}
	return nil
}

func (r *Request) member(name string, value jsontext.Value, into any, want string) error {
	if value.Kind() == 'n' {
		return nil
	}
	if err := json.Unmarshal(value, into); err != nil {
		return upstream.BadRequest(name, "'"+name+"' must be "+want)
	}
	return nil
}

// OtherName returns the other name of a parameter that OpenAI renamed, or "".
func OtherName(name string) string {
	switch name {
	case "max_tokens":
		return "max_completion_tokens"
	case "max_completion_tokens":
		return "max_tokens"
	}
	return ""
}

// ModelNotFound is the 404 OpenAI answers for a model it does not have.
func ModelNotFound(model string) *upstream.Error {
	return &upstream.Error{
		Status: http.StatusNotFound, Type: "invalid_request_error", Param: "model", Code: "model_not_found",
		Message: "The model `" + model + "` does not exist or you do not have access to it.",
	}
}
