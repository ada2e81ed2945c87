package cli

import (
	"bytes"
	"io/fs"
	"iter"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents are the README, docs/ and the examples' READMEs.
func documents(t *testing.T) []string {
	t.Helper()
	var paths []string
	for _, pattern := range []string{"README.md", "docs/*.md", "docs/decisions/*.md", "examples/*/README.md", "examples/helm/*/README.md"} {
		found, err := filepath.Glob(filepath.Join("../..", pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		paths = append(paths, found...)
	}
	return paths
}

// sources are the files of the code, without tests, that end so.
func sources(t *testing.T, end string) iter.Seq[string] {
	t.Helper()
	return func(yield func(string) bool) {
		err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != "../..":
				return fs.SkipDir
			case !d.IsDir() && strings.HasSuffix(path, end) && !strings.HasSuffix(path, "_test.go") && !yield(path):
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

var (
	shellBlock  = regexp.MustCompile("(?s)```sh\n(.*?)```")
	fenced      = regexp.MustCompile("(?ms)^```.*?^```")
	link        = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading     = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	command     = regexp.MustCompile(`(?:^|bin/)isthmus(?:-with-hooks)? ([a-z].*)`)
	inlineCode  = regexp.MustCompile("`([^`\n]+)`")
	flagName    = regexp.MustCompile(`(?m)^  -([a-z-]+)`)
	headerName  = regexp.MustCompile(`x-(?:isthmus|litellm)-[a-z-]*[a-z]`)
)

// anchors are the names of a document's headings, as GitHub makes them.
func anchors(text string) []string {
	var out []string
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		out = append(out, strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return out
}

func TestLinksOfTheDocumentsLeadSomewhere(t *testing.T) {
	for _, path := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(read(t, path), ""), -1) {
			file, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(file, "://") {
				continue
			}
			to := path
			if file != "" {
				to = filepath.Join(filepath.Dir(path), file)
			}
			if !exists(to) {
				t.Errorf("%s: there is no %s", path, m[1])
			} else if anchor != "" && !slices.Contains(anchors(read(t, to)), anchor) {
				t.Errorf("%s: %s has no such heading: %q", path, m[1], anchors(read(t, to)))
			}
		}
	}
}

// TestCommandsOfTheDocumentsAreKnown checks that isthmus has the commands and flags
// that the documents tell people to use.
func TestCommandsOfTheDocumentsAreKnown(t *testing.T) {
	found := 0
	for _, path := range documents(t) {
		var lines []string
		text := read(t, path)
		for _, block := range shellBlock.FindAllStringSubmatch(text, -1) {
			lines = append(lines, strings.Split(strings.ReplaceAll(block[1], "\\\n", " "), "\n")...)
		}
		for _, m := range inlineCode.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
			lines = append(lines, m[1])
		}
		for _, line := range lines {
			if m := command.FindStringSubmatch(line); m != nil && !strings.Contains(line, "install ") {
				found++
				knownCommand(t, path, m[1])
			}
		}
	}
	if found < 20 {
		t.Errorf("%d commands were found", found)
	}
}

// TestPackageCommentsNameFilesThereAre follows the walk that a doc.go takes its
// reader on.
func TestPackageCommentsNameFilesThereAre(t *testing.T) {
	named := 0
	for path := range sources(t, "doc.go") {
		for _, file := range regexp.MustCompile(`[\w/]+\.go\b`).FindAllString(read(t, path), -1) {
			named++
			below, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*", file)) // each provider's folder has one
			beside, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "..", "*", file))
			if !exists(filepath.Join(filepath.Dir(path), file)) && !exists(filepath.Join("../..", file)) &&
				len(below) == 0 && len(beside) == 0 {
				t.Errorf("%s names %s, which is not there", path, file)
			}
		}
	}
	if named < 50 {
		t.Errorf("%d files are named", named)
	}
}

// TestEveryFlagIsDocumented goes both ways.
func TestEveryFlagIsDocumented(t *testing.T) {
	var text strings.Builder
	for _, path := range documents(t) {
		text.WriteString(read(t, path))
	}
	known := []string{"help", "set-file", "values"} // the last two are Helm's
	for _, args := range [][]string{{"run"}, {"serve"}, {"envoy"}, {"check"}, {"cache", "ping"}, {"cache", "flush"}} {
		var stdout, stderr bytes.Buffer
		if code := Run(t.Context(), append(args, "--help"), &stdout, &stderr); code != 0 {
			t.Fatalf("isthmus %s --help: exit %d", args, code)
		}
		for _, m := range flagName.FindAllStringSubmatch(stderr.String(), -1) {
			known = append(known, m[1])
			if !regexp.MustCompile("`--" + m[1] + "[` ]").MatchString(text.String()) {
				t.Errorf("the documents do not tell of isthmus %s --%s", args[0], m[1])
			}
		}
	}
	for _, m := range inlineCode.FindAllStringSubmatch(fenced.ReplaceAllString(text.String(), ""), -1) {
		name, ok := strings.CutPrefix(m[1], "--")
		name, _, _ = strings.Cut(strings.ReplaceAll(name, "=", " "), " ")
		if ok && !slices.Contains(known, name) {
			t.Errorf("the documents tell of --%s, which no command has", name)
		}
	}
}

// TestEveryErrorCodeIsDocumented looks for the codes that we give errors of our own.
func TestEveryErrorCodeIsDocumented(t *testing.T) {
	text := read(t, "../../docs/endpoints.md") + read(t, "../../docs/cache.md") + read(t, "../../docs/operations.md")
	given := regexp.MustCompile(`(?:Code: +|answer\(|", "(?:server|invalid_request)_error", )"([a-z_]+)"[,)]`)
	found := 0
	for path := range sources(t, ".go") {
		for _, m := range given.FindAllStringSubmatch(read(t, path), -1) {
			found++
			if !strings.Contains(text, "`"+m[1]+"`") && !strings.HasSuffix(m[1], "_error") { // a type
				t.Errorf("%s gives the code %s, of which no document tells", path, m[1])
			}
		}
	}
	if found < 30 {
		t.Errorf("%d codes were found", found)
	}
}

// TestEveryHeaderIsDocumented holds the names of our own headers in the documents
// and in the code together, both ways.
func TestEveryHeaderIsDocumented(t *testing.T) {
	var written []string // in the code
	for path := range sources(t, ".go") {
		for _, m := range regexp.MustCompile(`"(x-(?:isthmus|litellm)-[a-z-]+)"`).FindAllStringSubmatch(read(t, path), -1) {
			written = append(written, m[1])
		}
	}
	if len(written) < 20 {
		t.Fatalf("found %q", written)
	}
	forClients, forEnvoy := read(t, "../../docs/endpoints.md"), read(t, "../../docs/envoy.md")
	for _, name := range written {
		if !strings.Contains(forClients, name) && !strings.Contains(forEnvoy, name) {
			t.Errorf("neither docs/endpoints.md nor docs/envoy.md tells of %s", name)
		}
	}
	for _, path := range documents(t) {
		for _, name := range headerName.FindAllString(read(t, path), -1) {
			if !slices.Contains(written, name) {
				t.Errorf("%s tells of %s, which is not in the code", path, name)
			}
		}
	}
}
