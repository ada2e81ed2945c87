package anthropic

import "github.com/isthmus-proxy/isthmus/translate/chat"

// jsonTool is the tool by which a model that takes no schema for its answer is
// made to write one. The name is LiteLLM's.
const jsonTool = "json_tool_call"

// names maps the names of a request's functions to those Anthropic takes, and
// back: ^[a-zA-Z0-9_-]{1,128}$. Names that need no change are in neither map.
type names struct{ to, from map[string]string }

// namesOf names the functions in their order, so that the request and the
// decoder of its answer agree: first those that Anthropic takes as they are, then
// the others, which get out of their way. withJSON keeps the name of jsonTool
// free.
func namesOf(tools []chat.Tool, withJSON bool) names {
	var n names
	if !needNames(tools, withJSON) {
		return n
	}
	n = names{map[string]string{}, map[string]string{}}
	var free unique
	if withJSON {
		free.take(jsonTool)
	}
	known := map[string]bool{}
	for _, fit := range [...]bool{true, false} {
		for i := range tools {
			name := tools[i].Name
			if tools[i].Type != "function" || known[name] || fit != (sanitise(name) == name) {
				continue
			}
			known[name] = true
			if given := free.take(sanitise(name)); given != name {
				n.to[name], n.from[given] = given, name
			}
		}
	}
	return n
}

func needNames(tools []chat.Tool, withJSON bool) bool {
	for i := range tools {
		if t := &tools[i]; t.Type == "function" && (sanitise(t.Name) != t.Name || withJSON && t.Name == jsonTool) {
			return true
		}
	}
	return false
}

func sanitise(name string) string {
	name = plain(name)
	return name[:min(len(name), maxName)]
}

// of returns the name of a function for Anthropic. One that history speaks of
// but that is not offered any more is in no map.
func (n names) of(name string) string {
	if given, ok := n.to[name]; ok {
		return given
	}
	return sanitise(name)
}

// original returns the client's name of a function.
func (n names) original(given string) string {
	if name, ok := n.from[given]; ok {
		return name
	}
	return given
}
