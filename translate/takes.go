package translate

import (
	"errors"
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/openai"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Takes reports whether a default of a deployment is a parameter of its provider, so
// that requests may have it. OpenAI-compatible servers are given what they are said
// to take; the others refuse what they do not know, to every client.
func Takes(t *upstream.Target, p upstream.Param) bool {
	if chat.IsSteering(p.Name) {
		return false
	}
	if p.Name == "extra_body" || t.Allows(p.Name) {
		return true
	}
	for _, own := range own() {
		switch {
		case own.Name != t.Provider:
		case own.takes == nil:
			return accepts(t, p)
		default:
			return own.takes(t, p)
		}
	}
	return openai.Takes(t, p)
}

// probes are the requests that a default is tried with.
var probes = []struct {
	endpoint chat.Endpoint
	body     string
}{
	{chat.Completions, `{"model":"m","messages":[{"role":"user","content":"x"}]}`},
	{chat.Embeddings, `{"model":"m","input":"x"}`},
}

// accepts asks the deployment's own translator: what it refuses a plain request of
// every endpoint for, it lacks.
func accepts(t *upstream.Target, p upstream.Param) bool {
	probe := *t
	probe.Defaults, probe.DropParams, probe.DropAlso = []upstream.Param{p}, false, nil
	b, err := bind(&probe)
	if err != nil {
		return true // what is wrong with the deployment is said elsewhere
	}
	for _, try := range probes {
		if !b.Supports(try.endpoint) {
			continue
		}
		req, err := chat.Parse(try.endpoint, []byte(try.body), "")
		if err != nil {
			return true
		}
		_, err = b.Request(req)
		var refused *upstream.Error
		if !errors.As(err, &refused) || !strings.Contains(refused.Message, upstream.Lacks) {
			return true
		}
	}
	return false
}
