package cli

import (
	"crypto/sha256"

	"github.com/isthmus-proxy/isthmus/routing/file"
)

// source is the set of files that a configuration was read from, with a digest of
// each: the config, what it includes, the .env.
type source struct{ sums map[string]sum }

type sum [sha256.Size]byte

func newSource() *source { return &source{sums: map[string]sum{}} }

// read reads a file and records its digest; a missing file is recorded too.
func (s *source) read(path string) ([]byte, error) {
	text, err := file.Read(path)
	s.sums[path] = sumOf(text, err)
	return text, err
}

// now reads all the files again and returns their digests. Contents are compared,
// not times: a file may be restored with an older time, or be a symbolic link whose
// target changed.
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
