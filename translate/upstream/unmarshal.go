package upstream

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// Unmarshal reads JSON that a provider wrote: a member that comes twice and invalid
// UTF-8 are no errors, for the answer still says something. What clients write is
// read strictly (package jsonedit).
func Unmarshal(text []byte, v any) error { return json.Unmarshal(text, v, lenient) }
