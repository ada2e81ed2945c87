package extproc

import (
	"net/url"
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/chat"
)

// action is what a path asks for.
type action int

const (
	unknownPath action = iota
	callModel          // POST: an OpenAI endpoint that a deployment answers
	listModels
	showModel
	liveness
	readiness
)

// apiPath is a parsed request path of a client.
type apiPath struct {
	action   action
	endpoint chat.Endpoint // callModel
	model    string        // from the path: Azure-style URLs and models/{id}
}

// method is the only method that the path takes; GET includes HEAD.
func (p apiPath) method() string {
	if p.action == callModel {
		return "POST"
	}
	return "GET"
}

// parsePath reads a request path. OpenAI's paths are known with and without
// /v1, Azure's as /openai/deployments/{model}/… and /openai/v1/…
func parsePath(path string) apiPath {
	path, _, _ = strings.Cut(path, "?")
	path = strings.TrimSuffix(path, "/")
	switch path {
	case "/health/liveliness", "/health/liveness":
		return apiPath{action: liveness}
	case "/health/readiness":
		return apiPath{action: readiness}
	}
	rest := path
	if after, ok := strings.CutPrefix(path, "/openai/"); ok {
		rest = "/" + after
	}
	if named, ok := cutPrefixes(rest, "/deployments/", "/engines/", "/v1/engines/"); ok {
		model, endpoint, _ := strings.Cut(named, "/")
		// Azure clients escape a "/" inside the deployment's name.
		if name, err := url.PathUnescape(model); err == nil && name != "" {
			return modelPath(endpoint, name)
		}
		return apiPath{}
	}
	if after, ok := strings.CutPrefix(rest, "/v1/"); ok {
		rest = "/" + after
	}
	rest, ok := strings.CutPrefix(rest, "/")
	if !ok {
		return apiPath{}
	}
	if rest == "models" {
		return apiPath{action: listModels}
	}
	if id, ok := strings.CutPrefix(rest, "models/"); ok {
		if name, err := url.PathUnescape(id); err == nil {
			return apiPath{action: showModel, model: name}
		}
	}
	return modelPath(rest, "")
}

func modelPath(name, model string) apiPath {
	endpoint := chat.Endpoint(name)
	switch endpoint {
	case chat.Completions, chat.TextCompletions, chat.Embeddings, chat.Responses, chat.Moderations, chat.Images, chat.Speech, chat.Rerank:
		return apiPath{action: callModel, endpoint: endpoint, model: model}
	}
	return apiPath{}
}

func cutPrefixes(s string, prefixes ...string) (string, bool) {
	for _, p := range prefixes {
		if rest, ok := strings.CutPrefix(s, p); ok {
			return rest, true
		}
	}
	return s, false
}
