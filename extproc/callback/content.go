package callback

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// redacted stands where text was, as LiteLLM writes it.
const (
	redacted         = "redacted-by-litellm"
	redactedMessages = `[{"role":"user","content":"` + redacted + `"}]`
)

// cutMark ends a text of which the rest was cut.
const cutMark = "… [%d bytes cut]"

// Shorten returns a copy of a JSON value of at most about limit bytes that is
// still valid JSON of the same shape: the data of images and sound goes first,
// then the ends of long texts, then the middle of a long list. The copy shares
// no memory with v, so that a record never holds on to a request's body.
func Shorten(v jsontext.Value, limit int) jsontext.Value {
	if len(v) == 0 {
		return nil
	}
	if !v.IsValid() {
		return marker(len(v))
	}
	if len(v) <= limit && !bytes.Contains(v, []byte(";base64,")) {
		return slices.Clone(v)
	}
	for longest := max(limit/2, 64); ; longest /= 8 {
		out, err := rewrite(v, func(_ string, s jsontext.Value) jsontext.Value { return cutText(s, longest) })
		switch {
		case err != nil:
			return marker(len(v))
		case len(out) <= limit:
			return out
		case longest < 64:
			return shortenList(out, limit)
		}
	}
}

// shortenList keeps the first element of a list and as many of the last as fit.
func shortenList(v jsontext.Value, limit int) jsontext.Value {
	var items []jsontext.Value
	if v.Kind() != '[' || json.Unmarshal(v, &items) != nil || len(items) < 2 {
		return marker(len(v))
	}
	room := limit - len(items[0]) - 64
	first := len(items)
	for first > 1 && room >= len(items[first-1])+1 {
		first--
		room -= len(items[first]) + 1
	}
	if room < 0 {
		return marker(len(v))
	}
	out := append([]byte{'['}, items[0]...)
	out = fmt.Appendf(out, `,{"role":"system","content":"… [%d items cut]"}`, first-1)
	for _, item := range items[first:] {
		out = append(append(out, ','), item...)
	}
	return append(out, ']')
}

func marker(size int) jsontext.Value { return fmt.Appendf(nil, `"`+cutMark+`"`, size) }

// cutText shortens one JSON string to longest bytes of text; encoded data is cut
// after its first bytes whatever the limit.
func cutText(v jsontext.Value, longest int) jsontext.Value {
	if len(v) <= min(longest, 256) {
		return v
	}
	var s string
	if json.Unmarshal(v, &s) != nil {
		return v
	}
	keep := longest
	if n, ok := encodedAt(s); ok {
		keep = min(keep, n)
	}
	if len(s) <= keep {
		return v
	}
	keep = upstream.RuneStart(s, keep)
	out, _ := jsontext.AppendQuote(nil, s[:keep]+fmt.Sprintf(cutMark, len(s)-keep))
	return out
}

// encodedAt reports whether s is binary data in text, and how much of it to
// show: the head of a data URL, or a few letters.
func encodedAt(s string) (keep int, ok bool) {
	if strings.HasPrefix(s, "data:") {
		if i := strings.IndexByte(s[:min(len(s), 128)], ','); i > 0 {
			return i + 1, len(s) > i+64
		}
	}
	if len(s) < 1<<10 {
		return 0, false
	}
	for i := range 256 {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '+' && c != '/' && c != '-' && c != '_' {
			return 0, false
		}
	}
	return 16, true
}

// rewrite copies a JSON value and gives each string that is no member name to
// change, with the name of the member that it or its array belongs to.
func rewrite(v jsontext.Value, change func(name string, s jsontext.Value) jsontext.Value) (jsontext.Value, error) {
	w := rewriter{dec: jsontext.NewDecoder(bytes.NewBuffer(v)), change: change}
	w.enc = jsontext.NewEncoder(&w.out)
	if err := w.value(""); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(w.out.Bytes()), nil
}

type rewriter struct {
	dec     *jsontext.Decoder
	enc     *jsontext.Encoder
	out     bytes.Buffer
	change  func(name string, s jsontext.Value) jsontext.Value
	numbers bool // drop lists of numbers
}

func (w *rewriter) value(name string) error {
	switch w.dec.PeekKind() {
	case '{':
		return w.object()
	case '[':
		return w.array(name)
	case '"':
		s, err := w.dec.ReadValue()
		if err != nil {
			return err
		}
		return w.enc.WriteValue(w.change(name, s))
	}
	v, err := w.dec.ReadValue()
	if err != nil {
		return err
	}
	return w.enc.WriteValue(v)
}

func (w *rewriter) object() error {
	if err := w.copyToken(); err != nil {
		return err
	}
	for w.dec.PeekKind() == '"' {
		tok, err := w.dec.ReadToken()
		if err != nil {
			return err
		}
		name := tok.String()
		if err := w.enc.WriteToken(jsontext.String(name)); err != nil {
			return err
		}
		if err := w.value(name); err != nil {
			return err
		}
	}
	return w.copyToken()
}

func (w *rewriter) array(name string) error {
	if err := w.copyToken(); err != nil {
		return err
	}
	for kind := w.dec.PeekKind(); kind != ']' && kind != 0; kind = w.dec.PeekKind() {
		if w.numbers && kind == '0' {
			if err := w.dec.SkipValue(); err != nil {
				return err
			}
			continue
		}
		if err := w.value(name); err != nil {
			return err
		}
	}
	return w.copyToken()
}

func (w *rewriter) copyToken() error {
	tok, err := w.dec.ReadToken()
	if err != nil {
		return err
	}
	return w.enc.WriteToken(tok)
}
