package charts

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

const dockerfile = repository + "/Dockerfile"

// binaries is the folder in which isthmus is built, a file for each architecture.
var binaries string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "isthmus-image-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binaries = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// stages reads the Dockerfile as BuildKit does. warnings are those of its linter.
func stages() (all []instructions.Stage, warnings []string, err error) {
	file, err := os.Open(dockerfile)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = file.Close() }()
	parsed, err := parser.Parse(file)
	if err != nil {
		return nil, nil, err
	}
	for _, w := range parsed.Warnings {
		warnings = append(warnings, w.Short)
	}
	lint := linter.New(&linter.Config{Warn: func(name, _, _, message string, _ []parser.Range) {
		warnings = append(warnings, name+": "+message)
	}})
	all, _, err = instructions.Parse(parsed.AST, lint)
	return all, warnings, err
}

// build runs the `go build` of the Dockerfile for an architecture and returns the binary's path.
func build(architecture string) (string, error) {
	all, _, err := stages()
	if err != nil {
		return "", err
	}
	for _, command := range all[0].Commands {
		r, ok := command.(*instructions.RunCommand)
		if !ok || !strings.Contains(strings.Join(r.CmdLine, " "), "go build") {
			continue
		}
		path := filepath.Join(binaries, architecture)
		c := exec.Command("sh", "-c", strings.ReplaceAll(strings.Join(r.CmdLine, " "), "/out/isthmus", path))
		c.Dir = repository
		c.Env = append(os.Environ(), "TARGETOS=linux", "TARGETARCH="+architecture)
		if out, err := c.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w: %s", c, err, out)
		}
		return path, nil
	}
	return "", fmt.Errorf("the first stage of the Dockerfile builds nothing")
}

// built builds isthmus for this machine, once.
var built = sync.OnceValues(func() (string, error) { return build(runtime.GOARCH) })

func binary(architecture string) (string, error) {
	if architecture == runtime.GOARCH {
		return built()
	}
	return build(architecture)
}

func TestTheDockerfileIsWell(t *testing.T) {
	all, warnings, err := stages()
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) > 0 {
		t.Errorf("BuildKit says %q", warnings)
	}
	var names []string
	for _, s := range all {
		names = append(names, s.Name)
	}
	if want := []string{"build", "serve", "run"}; !slices.Equal(names, want) {
		t.Fatalf("stages %q, want %q", names, want)
	}
	if all[0].Platform != "$BUILDPLATFORM" {
		t.Errorf("the build runs on %q: another architecture would be emulated", all[0].Platform)
	}
	for _, s := range all {
		for _, command := range s.Commands {
			if c, ok := command.(*instructions.CopyCommand); ok {
				copies(t, c, names)
			}
		}
	}
	for _, s := range all[1:] {
		final(t, s)
	}
}

// copies fails when what a COPY takes is not there.
func copies(t *testing.T, c *instructions.CopyCommand, names []string) {
	t.Helper()
	for _, source := range c.SourcePaths {
		switch {
		case c.From != "":
			if !slices.Contains(names, c.From) || source != "/out/isthmus" {
				t.Errorf("COPY --from=%s %s", c.From, source)
			}
		default:
			if _, err := os.Stat(filepath.Join(repository, source)); err != nil {
				t.Errorf("COPY %s: %v", source, err)
			}
		}
	}
}

// final checks the stage of an image: who runs what in it, and what it says of itself.
func final(t *testing.T, s instructions.Stage) {
	t.Helper()
	var user, entry, binary string
	labels := map[string]string{}
	arguments := map[string]bool{}
	for _, command := range s.Commands {
		switch c := command.(type) {
		case *instructions.UserCommand:
			user = c.User
		case *instructions.EntrypointCommand:
			entry = strings.Join(c.CmdLine, " ")
		case *instructions.CopyCommand:
			binary = c.DestPath
		case *instructions.RunCommand:
			t.Errorf("%s runs %q: there is no shell", s.Name, c.CmdLine)
		case *instructions.ArgCommand:
			for _, a := range c.Args {
				arguments["$"+a.Key] = true
			}
		case *instructions.LabelCommand:
			for _, l := range c.Labels {
				labels[strings.TrimPrefix(l.Key, "org.opencontainers.image.")] = strings.Trim(l.Value, `"`)
			}
		}
	}
	if user != "65532:65532" {
		t.Errorf("%s runs as %q: runAsNonRoot asks for a number, and not 0", s.Name, user)
	}
	if entry != binary {
		t.Errorf("%s begins %q and has %q", s.Name, entry, binary)
	}
	for _, name := range []string{"title", "description", "source", "licenses", "version", "revision"} {
		value := labels[name]
		if value == "" || strings.HasPrefix(value, "$") && !arguments[value] {
			t.Errorf("%s: label %s is %q", s.Name, name, value)
		}
	}
}

func TestTheImageHasTheEnvoyThatIsthmusKnowsBest(t *testing.T) {
	all, _, err := stages()
	if err != nil {
		t.Fatal(err)
	}
	out, err := run(t, nil, "version")
	if err != nil {
		t.Fatal(out)
	}
	version := regexp.MustCompile(`fetches (\S+)`).FindStringSubmatch(out)[1]
	if want := "envoyproxy/envoy:distroless-v" + version; all[2].BaseName != want {
		t.Errorf("the image is %s, want %s", all[2].BaseName, want)
	}
}

// TestTheBuildSeesWhatGitSeesAndNoMore: a tracked file that is left out makes the version one "with changes"; one that git ignores may
// be a secret.
func TestTheBuildSeesWhatGitSeesAndNoMore(t *testing.T) {
	patterns, err := ignorefile.ReadAll(strings.NewReader(read(t, repository+"/.dockerignore")))
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	matches := func(path string) bool {
		yes, err := ignored.MatchesOrParentMatches(path)
		if err != nil {
			t.Fatal(err)
		}
		return yes
	}
	tracked, err := exec.Command("git", "-C", repository, "ls-files").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(strings.Fields(string(tracked)), ".git/HEAD") {
		if matches(path) {
			t.Errorf(".dockerignore leaves out %s", path)
		}
	}
	for _, line := range strings.Fields(read(t, repository+"/.gitignore")) {
		path := strings.Trim(strings.ReplaceAll(line, "*", "a"), "/")
		if !matches(path) || !strings.HasPrefix(line, "/") && !matches("examples/quickstart/"+path) {
			t.Errorf(".dockerignore lets in %s, which git ignores", line)
		}
	}
}

func TestTheBinariesOfBothArchitecturesNeedNothing(t *testing.T) {
	for architecture, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		t.Run(architecture, func(t *testing.T) {
			path, err := binary(architecture)
			if err != nil {
				t.Fatal(err)
			}
			f, err := elf.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			if f.Machine != machine {
				t.Errorf("machine %s", f.Machine)
			}
			for _, p := range f.Progs {
				if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
					t.Errorf("it is linked dynamically: %s", p.Type)
				}
			}
			for _, s := range f.Sections {
				if s.Name == ".symtab" || strings.HasPrefix(s.Name, ".debug") {
					t.Errorf("it has %s", s.Name)
				}
			}
			out, err := exec.Command("grep", "-c", absolute(t, repository), path).CombinedOutput()
			if strings.TrimSpace(string(out)) != "0" {
				t.Errorf("it names the folder in which it was built: %s %v", out, err)
			}
		})
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
