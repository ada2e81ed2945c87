package translatetest

import "strings"

// section is one part of a txtar file.
type section struct {
	name string
	data []byte
}

// parseSections reads the txtar format: a comment, then sections, each headed by a
// line "-- name --". https://pkg.go.dev/golang.org/x/tools/txtar describes it.
func parseSections(text []byte) (comment string, list []section) {
	for line := range strings.Lines(string(text)) {
		if name, ok := sectionName(line); ok {
			list = append(list, section{name: name})
			continue
		}
		if len(list) == 0 {
			comment += line
			continue
		}
		last := &list[len(list)-1]
		last.data = append(last.data, line...)
	}
	return comment, list
}

func sectionName(line string) (string, bool) {
	name, ok := strings.CutPrefix(line, "-- ")
	if !ok {
		return "", false
	}
	name, ok = strings.CutSuffix(strings.TrimRight(name, "\n"), " --")
	return strings.TrimSpace(name), ok && strings.TrimSpace(name) != ""
}
