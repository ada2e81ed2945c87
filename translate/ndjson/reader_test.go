package ndjson_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/ndjson"
)

// lines reads a whole stream fed in pieces.
func lines(pieces ...string) []string {
	var r ndjson.Reader
	var got []string
	for _, piece := range pieces {
		r.Feed([]byte(piece))
		for line, ok := r.Next(); ok; line, ok = r.Next() {
			got = append(got, string(line))
		}
	}
	for line, ok := r.End(); ok; line, ok = r.End() {
		got = append(got, string(line))
	}
	return got
}

func TestReader(t *testing.T) {
	tests := map[string]struct {
		pieces []string
		want   []string
	}{
		"one line":                              {[]string{"{}\n"}, []string{"{}"}},
		"the last line may lack its newline":    {[]string{"{}\n{\"a\":1}"}, []string{"{}", `{"a":1}`}},
		"CRLF and blank lines":                  {[]string{"\r\n1\r\n\n \n2\r", "\n"}, []string{"1", "2"}},
		"a line in pieces, and several at once": {[]string{"1", "2", "\n3\n4\n5"}, []string{"12", "3", "4", "5"}},
		"nothing":                               {[]string{"", "\n"}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, lines(test.pieces...)); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReaderGivesUpOnAnEndlessLine(t *testing.T) {
	var r ndjson.Reader
	chunk := bytes.Repeat([]byte{'x'}, 8<<20)
	for range 9 {
		r.Feed(chunk)
	}
	if _, ok := r.Next(); ok || !errors.Is(r.Err(), ndjson.ErrLineTooLong) {
		t.Errorf("error %v", r.Err())
	}
	if _, ok := r.End(); ok {
		t.Error("a line after giving up")
	}
}

// FuzzReader: how a stream is cut does not show, and its lines are those of the
// text.
func FuzzReader(f *testing.F) {
	f.Add("{\"a\":1}\r\n\n[]\n\"ä\"", 4)
	f.Fuzz(func(t *testing.T, text string, cut int) {
		cut = min(max(cut, 0), len(text))
		var want []string
		for line := range strings.SplitSeq(text, "\n") {
			if line = strings.Trim(line, " \t\r\n"); line != "" {
				want = append(want, line)
			}
		}
		if diff := cmp.Diff(want, lines(text[:cut], text[cut:])); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
	})
}
