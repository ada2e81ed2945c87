package extproc

import (
	"net/url"
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/chat"
)

// action is what a path stands for.
type action int

const (
	unknownPath action = iota
	callModel          // POST: an OpenAI endpoint that a deployment answers
	listModels
	showModel
	liveness
	readiness
)

// route is a parsed request path.
type route struct {
	action   action
	endpoint chat.Endpoint // callModel
	model    string        // from the path: Azure-style URLs and models/{id}
}

// method is the only method the route takes; GET includes HEAD.
func (r route) method() string {
	if r.action == callModel {
		return "POST"
	}
	return "GET"
}

// parsePath reads a request path. OpenAI's paths are known with and without
// /v1, Azure's as /openai/deployments/{model}/… and /openai/v1/…
func parsePath(path string) route {
	path, _, _ = strings.Cut(path, "?")
	path = strings.TrimSuffix(path, "/")
	switch path {
	case "/health/liveliness", "/health/liveness":
		return route{action: liveness}
	case "/health/readiness":
		return route{action: readiness}
	}
	rest := path
	if after, ok := strings.CutPrefix(path, "/openai/"); ok {
		rest = "/" + after
	}
	if named, ok := cutPrefixes(rest, "/deployments/", "/engines/", "/v1/engines/"); ok {
		model, endpoint, _ := strings.Cut(named, "/")
		// Azure clients escape a "/" inside the deployment's name.
		if name, err := url.PathUnescape(model); err == nil && name != "" {
			return modelRoute(endpoint, name)
		}
		return route{}
	}
	if after, ok := strings.CutPrefix(rest, "/v1/"); ok {
		rest = "/" + after
	}
	rest, ok := strings.CutPrefix(rest, "/")
	if !ok {
		return route{}
	}
	if rest == "models" {
		return route{action: listModels}
	}
	if id, ok := strings.CutPrefix(rest, "models/"); ok {
		if name, err := url.PathUnescape(id); err == nil {
			return route{action: showModel, model: name}
		}
	}
	return modelRoute(rest, "")
}

func modelRoute(name, model string) route {
	endpoint := chat.Endpoint(name)
	switch endpoint {
	case chat.Completions, chat.TextCompletions, chat.Embeddings, chat.Responses, chat.Moderations, chat.Images, chat.Speech, chat.Rerank:
		return route{action: callModel, endpoint: endpoint, model: model}
	}
	return route{}
}

func cutPrefixes(s string, prefixes ...string) (string, bool) {
	for _, p := range prefixes {
		if rest, ok := strings.CutPrefix(s, p); ok {
			return rest, true
		}
	}
	return s, false
}
