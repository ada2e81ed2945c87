package file_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/isthmus-proxy/isthmus/routing/file"
)

func TestOnlyRegularFilesOfBoundedSizeAreRead(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string, size int) {
		if err := os.WriteFile(at(name), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("good", 16<<20)
	write("large", 16<<20+1)
	if err := errors.Join(syscall.Mkfifo(at("pipe"), 0o600), os.Symlink("good", at("link")),
		os.Symlink("pipe", at("linked-pipe"))); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		at("good"): "", at("link"): "", at("large"): "it is larger than 16 MiB", at("pipe"): "it is a pipe: want a regular file",
		at("linked-pipe"): "it is a pipe", dir: "it is a directory", "/dev/zero": "it is a device: want a regular file",
		at("none"): "no such file",
	} {
		text, err := file.Read(name)
		switch {
		case want == "":
			if err != nil || len(text) != 16<<20 {
				t.Errorf("%s: %d bytes, %v", name, len(text), err)
			}
		case err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name):
			t.Errorf("%s: %v, want …%s…", name, err, want)
		}
	}
	if _, err := file.Read(at("none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}
