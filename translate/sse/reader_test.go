package sse_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/sse"
)

type seen struct{ Name, Data string }

// read feeds the pieces one after another and returns the events with data and
// every raw byte that came out.
func read(pieces ...string) (events []seen, raw string) {
	var r sse.Reader
	add := func(e sse.Event) {
		raw += string(e.Raw)
		if e.Data != nil {
			events = append(events, seen{e.Name, string(e.Data)})
		}
	}
	for _, p := range pieces {
		r.Feed([]byte(p))
		for e, ok := r.Next(); ok; e, ok = r.Next() {
			add(e)
		}
	}
	for e, ok := r.End(); ok; e, ok = r.End() {
		add(e)
	}
	return events, raw
}

func TestReaderFollowsTheStandard(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want []seen
	}{
		"LF line ends":                         {"data: a\n\ndata: b\n\n", []seen{{"", "a"}, {"", "b"}}},
		"CRLF line ends":                       {"data: a\r\n\r\ndata: b\r\n\r\n", []seen{{"", "a"}, {"", "b"}}},
		"CR line ends":                         {"data: a\r\rdata: b\r\r", []seen{{"", "a"}, {"", "b"}}},
		"at most one space is optional":        {"data:a\n\ndata:  b\n\n", []seen{{"", "a"}, {"", " b"}}},
		"data lines are joined by a line feed": {"data: a\ndata\ndata: b\n\n", []seen{{"", "a\n\nb"}}},
		"the event field names the event":      {"event: ping\ndata: {}\n\n", []seen{{"ping", "{}"}}},
		"comments and other fields say nothing": {
			": OPENROUTER PROCESSING\n\nid: 1\nretry: 5\ndata: a\n\n", []seen{{"", "a"}}},
		"a last event without its blank line counts": {"data: a\n\ndata: b", []seen{{"", "a"}, {"", "b"}}},
		"a byte-order mark is skipped":               {"\xef\xbb\xbfdata: a\n\n", []seen{{"", "a"}}},
		"UTF-8 and escapes pass":                     {"data: \"é€😀\\n\"\n\n", []seen{{"", "\"é€😀\\n\""}}},
		"an empty stream has no event":               {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			for cut := 0; cut <= len(tc.text); cut++ {
				events, raw := read(tc.text[:cut], tc.text[cut:])
				if diff := cmp.Diff(tc.want, events); diff != "" {
					t.Fatalf("cut at %d (-want +got):\n%s", cut, diff)
				}
				if raw != tc.text {
					t.Fatalf("cut at %d: raw = %q, want every byte", cut, raw)
				}
			}
		})
	}
}

func TestReaderGivesUpOnAnEventThatNeverEnds(t *testing.T) {
	var r sse.Reader
	piece := bytes.Repeat([]byte("x"), 8<<20)
	for range 9 {
		r.Feed(piece)
		if _, ok := r.Next(); ok {
			t.Fatal("an event came out of a line that never ends")
		}
	}
	if r.Err() == nil || len(r.Pending()) != 0 {
		t.Errorf("Err = %v with %d bytes held, want an error and none", r.Err(), len(r.Pending()))
	}
}

func FuzzReaderDoesNotDependOnTheCut(f *testing.F) {
	f.Add("data: a\r\n\r\nevent: x\ndata: b\n\n", 5, 9)
	f.Add("\xef\xbb\xbfdata: a\r\rdata", 2, 3)
	f.Fuzz(func(t *testing.T, text string, a, b int) {
		a = min(max(a, 0), len(text))
		b = min(max(b, a), len(text))
		whole, raw := read(text)
		if raw != text {
			t.Fatalf("raw = %q, want %q", raw, text)
		}
		cut, _ := read(text[:a], text[a:b], text[b:])
		if diff := cmp.Diff(whole, cut); diff != "" {
			t.Errorf("cut at %d and %d (-whole +cut):\n%s", a, b, diff)
		}
	})
}

func BenchmarkReader(b *testing.B) {
	stream := []byte(strings.Repeat("data: {\"choices\":[{\"delta\":{\"content\":\"token\"}}]}\n\n", 500))
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		var r sse.Reader
		r.Feed(stream)
		for _, ok := r.Next(); ok; _, ok = r.Next() {
		}
	}
}
