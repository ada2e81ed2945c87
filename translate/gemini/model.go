package gemini

import (
	"strconv"
	"strings"
)

// traits are what a model's name says about the forms it takes.
type traits struct {
	major, minor int // 0, 0: the name has no version ("gemini-flash-latest")
	flash, lite  bool
	pro          bool
}

// traitsOf reads a model name such as "gemini-2.5-flash-lite" or
// "gemini-3-pro-preview".
func traitsOf(model string) traits {
	name := strings.ToLower(model[strings.LastIndexByte(model, '/')+1:])
	t := traits{
		flash: strings.Contains(name, "flash"),
		lite:  strings.Contains(name, "lite"),
		pro:   strings.Contains(name, "-pro"),
	}
	version, ok := strings.CutPrefix(name, "gemini-")
	if !ok {
		return t
	}
	version, _, _ = strings.Cut(version, "-")
	major, minor, _ := strings.Cut(version, ".")
	t.major, _ = strconv.Atoi(major) // not a number: 0, unknown
	t.minor, _ = strconv.Atoi(minor)
	return t
}

// atLeast reports whether the model is of that version or later. A name without
// a version is an alias of a current model.
func (t traits) atLeast(major, minor int) bool {
	return t.major == 0 || t.major > major || t.major == major && t.minor >= minor
}

// third reports whether the model is of the third generation or later, which
// has thinkingLevel, function call ids and checked thought signatures, and no
// penalties. https://ai.google.dev/gemini-api/docs/gemini-3
func (t traits) third() bool { return t.major >= 3 }

// thinks reports whether the model takes a thinkingConfig.
func (t traits) thinks() bool { return t.atLeast(2, 5) }

// jsonSchema reports whether the model takes responseJsonSchema; older ones
// take responseSchema only.
func (t traits) jsonSchema() bool { return t.atLeast(2, 0) }
