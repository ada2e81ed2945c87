package translate

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Failure reads the answer when its status is not 2xx. Some servers quote the
// request that they refuse, or their own configuration: secrets go no further than
// here, neither to the client nor into a log.
func (b *Bound) Failure(head upstream.Head, body []byte) *upstream.Error {
	// What is known is hidden before any text is cut: half a key is a secret, too.
	return b.redact(b.Translator.Failure(head, redactJSON(body, b.redactor.Known)))
}

// redact returns e without secrets in any of its members and fields.
func (b *Bound) redact(e *upstream.Error) *upstream.Error {
	clean := *e
	for _, member := range []*string{&clean.Message, &clean.Type, &clean.Code, &clean.Param} {
		*member = b.redactor.Redact(*member)
	}
	clean.Header = slices.DeleteFunc(slices.Clone(clean.Header), func(f upstream.Field) bool { return b.redactor.Redact(f.Value) != f.Value })
	return &clean
}

// Reveals reports whether a text has a secret of the configuration in it.
func (b *Bound) Reveals(text string) bool { return b.redactor.Known(text) != text }

// Decoder reads the answer to a call when its status is 2xx, see [Translator]. An
// error inside of it shows no more than one that has a status of its own.
func (b *Bound) Decoder(req *chat.Request, head upstream.Head) Decoder {
	d := &redactingDecoder{Decoder: b.Translator.Decoder(req, head), bound: b}
	d.holds = !req.Stream && b.Relays(req) && head.Header.Get("content-length") == "" && head.Header.Get("content-encoding") == ""
	return d
}

// redactingDecoder takes secrets out of an answer that failed. An answer that did
// not is not looked at.
type redactingDecoder struct {
	Decoder
	bound *Bound
	// holds: the answer is passed on as it comes, and is held back while it may be an
	// error. A server that says 200 and means an error often gives no length.
	holds bool
	held  []byte
}

// maxHeld bounds what is held of an answer that begins as an error does, in bytes.
const maxHeld = 64 << 10

// Feed reads the next bytes of the answer.
func (d *redactingDecoder) Feed(chunk []byte, last bool) []byte {
	out := d.Decoder.Feed(chunk, last)
	if d.holds {
		return d.hold(out, last)
	}
	if !d.Failed() {
		return out
	}
	return d.bound.redactEvents(out)
}

// hold keeps an answer that begins as an error does until it has ended.
func (d *redactingDecoder) hold(out []byte, last bool) []byte {
	if d.held == nil && len(out) > 0 && !beginsAsError(out) {
		d.holds = false
		return out
	}
	if d.held == nil && last {
		if d.held = out; len(out) == 0 {
			return out
		}
	} else {
		d.held = append(d.held, out...)
	}
	switch {
	case last && (d.Decoder.Result().Failure != nil || !jsontext.Value(d.held).IsValid()):
		return redactJSON(d.held, d.bound.redactor.Redact)
	case last || len(d.held) > maxHeld:
		d.holds = false
		return d.held
	}
	return nil
}

// beginsAsError reports whether a JSON document begins as those of errors do.
func beginsAsError(text []byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	name, ok := bytes.CutPrefix(text, []byte("{"))
	name = bytes.TrimLeft(name, " \t\r\n")
	return ok && (len(name) < len(`"message"`) || bytes.HasPrefix(name, []byte(`"error"`)) || bytes.HasPrefix(name, []byte(`"message"`)) ||
		bytes.HasPrefix(name, []byte(`"object":"error"`)) || bytes.HasPrefix(name, []byte(`"object": "error"`)))
}

// Result is what is known of the answer so far.
func (d *redactingDecoder) Result() chat.Result {
	r := d.Decoder.Result()
	if r.Failure != nil {
		r.Failure = d.bound.redact(r.Failure)
	}
	return r
}

// redactEvents takes secrets out of the error events of a stream, which go out
// whole. What the model has said before in the same piece stays as it is.
func (b *Bound) redactEvents(out []byte) []byte {
	if !bytes.Contains(out, []byte("error")) {
		return out
	}
	var clean []byte
	for line := range bytes.SplitAfterSeq(out, []byte("\n")) {
		data, ok := bytes.CutPrefix(line, []byte("data:"))
		if ok && bytes.Contains(data, []byte("error")) {
			end := len(bytes.TrimRight(data, "\r\n"))
			line = slices.Concat(line[:len("data:")], []byte(strings.Repeat(" ", indent(data))), redactJSON(bytes.TrimSpace(data), b.redactor.Redact), data[end:])
		}
		clean = append(clean, line...)
	}
	return clean
}

func indent(data []byte) int { return len(data) - len(bytes.TrimLeft(data, " ")) }

// redactJSON takes secrets out of the strings of a JSON text, however they are
// spelt; of what is no JSON it redacts the bytes.
func redactJSON(text []byte, redact func(string) string) []byte {
	d := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	var out []byte
	last := 0
	for {
		before := int(d.InputOffset())
		token, err := d.ReadToken()
		if err != nil {
			break
		}
		if token.Kind() != '"' {
			continue
		}
		said := token.String()
		if clean := redact(said); clean != said {
			begin := before + bytes.IndexByte(text[before:], '"') // only commas, colons and spaces stand before
			out, _ = jsontext.AppendQuote(append(out, text[last:begin]...), clean)
			last = int(d.InputOffset())
		}
	}
	if rest := string(text[last:]); d.InputOffset() < int64(len(bytes.TrimSpace(text))) {
		return append(out, redact(rest)...)
	}
	return append(out, text[last:]...)
}
