package config

import (
	"strings"

	"gopkg.in/yaml.v3"
)

// Bounds of what is read: a file that was named by mistake, or whose aliases stand
// for one another many times over, must not take all time and memory.
const (
	maxFiles       = 1000     // with those that are included
	maxValues      = 4 << 20  // looked at, each time that an alias leads to one counted
	maxText        = 16 << 20 // bytes of one parameter
	maxDiagnostics = 1000     // of each severity
	maxPath        = 4 << 10  // bytes of a key's whole path in messages
)

// enter counts the children of a value as looked at, and reports whether they may
// be. That they may not is said once.
func (v value) enter() bool {
	if v.r.values > maxValues {
		return false
	}
	if v.r.values += 1 + len(v.node.Content); v.r.values > maxValues {
		v.fail("the file has too many values: its aliases (*NAME) stand for one another many times over")
		return false
	}
	return true
}

// opens counts a file, and reports whether it may be read.
func (v value) opens() bool {
	if v.r.files++; v.r.files > maxFiles {
		if v.r.files == maxFiles+1 {
			v.fail("more than %d files are included", maxFiles)
		}
		return false
	}
	return true
}

// mappingOnly reports whether a file's top is a mapping. What else stands there is
// not shown: it may be another file than was meant, full of secrets.
func (v value) mappingOnly() bool {
	switch v.node.Kind {
	case yaml.MappingNode:
		return true
	case yaml.SequenceNode:
		v.fail("want a mapping with model_list at the top, got a list")
	default:
		v.fail("want a mapping with model_list at the top, got text")
	}
	return false
}

// inPath adds a part to a key's path, as long as that is short enough to be shown.
func inPath(path, part string) string {
	if len(path)+len(part) > maxPath {
		return path
	}
	return path + part
}

// yamlText is yaml.v3's error without what it quotes of the file.
func yamlText(text string) string {
	before, _, ok := strings.Cut(text, "unknown anchor ")
	if !ok {
		return text
	}
	return before + "an alias (*NAME) of an anchor (&NAME) that is not there: put a text that begins with * in quotes"
}
