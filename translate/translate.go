package translate

import (
	"slices"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Translator translates for one deployment. It holds no state of a request and is
// safe for concurrent use.
type Translator interface {
	// Supports reports whether the deployment's provider has the endpoint.
	Supports(chat.Endpoint) bool
	// Request writes the call for one attempt. An error is an *upstream.Error
	// for the client: the request asks for what the provider cannot do.
	Request(*chat.Request) (*upstream.Call, error)
	// Decoder reads the answer to that call when its status is 2xx.
	Decoder(*chat.Request, upstream.Head) Decoder
	// Failure reads the answer when its status is not 2xx.
	Failure(upstream.Head, []byte) *upstream.Error
}

// Decoder reads one provider answer as it arrives: see [chat.Decoder].
type Decoder = chat.Decoder

// Bound is the Translator of one deployment with what the façade knows of it.
type Bound struct {
	Translator
	relays   func(*chat.Request) bool
	carries  func(*chat.Request) bool
	redactor *secret.Redactor
	// lenient drops the parameters that the provider lacks, where the deployment
	// does not: for requests that ask for it.
	lenient Translator
}

// Bind returns the Translator of a deployment. The error says what the
// deployment lacks.
func Bind(t *upstream.Target) (*Bound, error) {
	if slices.ContainsFunc(t.Defaults, isSteering) {
		clean := *t
		clean.Defaults = slices.DeleteFunc(slices.Clone(t.Defaults), isSteering)
		t = &clean
	}
	b, err := bind(t)
	if err != nil {
		return nil, err
	}
	if b.redactor = t.Redactor; b.redactor == nil {
		b.redactor = secret.NewRedactor(secret.All(*t)...)
	}
	if !t.DropParams {
		dropping := *t
		dropping.DropParams = true
		lenient, err := bind(&dropping)
		if err != nil {
			return nil, err
		}
		b.lenient = lenient.Translator
	}
	return b, nil
}

// isSteering reports whether a default is no parameter of any provider. The config
// keeps none; what it says of a secret is said here again.
func isSteering(p upstream.Param) bool { return chat.IsSteering(p.Name) }

// Request writes the call for one attempt, see [Translator].
func (b *Bound) Request(req *chat.Request) (*upstream.Call, error) {
	if req.DropParams && b.lenient != nil {
		return b.lenient.Request(req)
	}
	return b.Translator.Request(req)
}

// Relays reports whether the provider answers a request in OpenAI's format, so
// that its answer keeps its headers and goes to the client as it comes. Otherwise
// a blocking answer is rewritten whole, and its status may still change at the
// end.
func (b *Bound) Relays(req *chat.Request) bool { return b.relays(req) }

// Carries reports whether the answer to a request may go to the client without
// being read here.
func (b *Bound) Carries(req *chat.Request) bool { return b.carries(req) }
