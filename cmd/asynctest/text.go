package asynctest

import (
	"strings"
	"sync"
)

// Text is what was written to it. It is safe for concurrent use; the zero Text is
// empty.
type Text struct {
	mu sync.Mutex
	b  strings.Builder
}

// Write appends.
func (t *Text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

// String is all of it.
func (t *Text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// Lines are its lines; none when it is empty.
func (t *Text) Lines() []string {
	text := strings.TrimSpace(t.String())
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// Reads reports whether it has as many lines as there are parts, and each line
// holds its part.
func (t *Text) Reads(parts ...string) bool {
	lines := t.Lines()
	if len(lines) != len(parts) {
		return false
	}
	for i, part := range parts {
		if !strings.Contains(lines[i], part) {
			return false
		}
	}
	return true
}
