package cli

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAFileChangesWithItsTextAndNotWithItsTime(t *testing.T) {
	dir := t.TempDir()
	file, link, absent := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "link"), filepath.Join(dir, ".env")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	turn := func(to string) {
		t.Helper()
		_ = os.Remove(link)
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	write(file, "one")
	write(file+".2", "two")
	turn(file)
	s := newSource()
	for _, path := range []string{file, link, absent} {
		_, err := s.read(path)
		if (err != nil) != (path == absent) {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		name    string
		do      func()
		changes bool
	}{
		{"nothing happens", func() {}, false},
		{"another time", func() { _ = os.Chtimes(file, time.Unix(1, 0), time.Unix(1, 0)) }, false},
		{"written again as it was", func() { write(file, "one") }, false},
		{"another text", func() { write(file, "won") }, true},
		{"the old text with an old time", func() { write(file, "one"); _ = os.Chtimes(file, time.Unix(1, 0), time.Unix(1, 0)) }, false},
		{"a link that turns", func() { turn(file + ".2") }, true},
		{"and turns back", func() { turn(file) }, false},
		{"a file that was not there", func() { write(absent, "X=1") }, true},
		{"and goes again", func() { _ = os.Remove(absent) }, false},
		{"the file goes", func() { _ = os.Remove(file) }, true},
	} {
		step.do()
		if changes := !maps.Equal(s.now(), s.sums); changes != step.changes {
			t.Errorf("%s: it counts as a change: %t", step.name, changes)
		}
	}
}
