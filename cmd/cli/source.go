package cli

import (
	"crypto/sha256"

	"github.com/isthmus-proxy/isthmus/routing/file"
)

// source is what a configuration was read from: the files, those it includes and
// the .env among them, and a digest of what stood in each.
type source struct{ sums map[string]sum }

type sum [sha256.Size]byte

func newSource() *source { return &source{sums: map[string]sum{}} }

// read reads a file and remembers it, also one that is not there.
func (s *source) read(path string) ([]byte, error) {
	text, err := file.Read(path)
	s.sums[path] = sumOf(text, err)
	return text, err
}

// now reads all the files again. What stands in them is compared, not their times:
// a file may be put back as it was with an older time, or be a link that turned.
func (s *source) now() map[string]sum {
	sums := make(map[string]sum, len(s.sums))
	for path := range s.sums {
		text, err := file.Read(path)
		sums[path] = sumOf(text, err)
	}
	return sums
}

func sumOf(text []byte, err error) sum {
	if err != nil {
		return sum{}
	}
	return sha256.Sum256(text)
}
