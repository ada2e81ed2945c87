package extproc

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheWalkNamesEveryFile of the package, and none that is not there.
func TestTheWalkNamesEveryFile(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if !strings.HasSuffix(name, "_test.go") && name != "doc.go" && !strings.Contains(string(text), name) {
			t.Errorf("%s is not in the package comment", name)
		}
	}
	for _, name := range regexp.MustCompile(`[a-z/]+\.go`).FindAllString(string(text), -1) {
		if _, err := os.Stat(name); err != nil {
			if _, err := os.Stat(filepath.Join("..", name)); err != nil {
				t.Errorf("the package comment names %s, which is not there", name)
			}
		}
	}
}
