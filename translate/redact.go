package translate

import (
	"bytes"
	"iter"
	"slices"
	"strconv"
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
	if b.mayBeMislabeled(req, head) {
		return &labelingDecoder{open: func(head upstream.Head) Decoder { return b.redacting(req, head) }, head: head}
	}
	return b.redacting(req, head)
}

// redacting is the Decoder of an answer that is what its head says.
func (b *Bound) redacting(req *chat.Request, head upstream.Head) Decoder {
	d := &redactingDecoder{Decoder: b.Translator.Decoder(req, head), bound: b, responses: req.Endpoint == chat.Responses}
	if !b.Relays(req) || head.Header.Get("content-encoding") != "" {
		return d
	}
	switch req.Endpoint {
	case chat.Completions, chat.TextCompletions:
		d.chunks = true
	case chat.Embeddings:
		d.typed = true
	}
	d.typed = d.typed || d.chunks
	if !strings.HasPrefix(head.Header.Get("content-type"), eventStream) {
		size, err := strconv.ParseInt(head.Header.Get("content-length"), 10, 64)
		d.holds, d.chunks = err != nil || size <= maxHeld, false // a longer one keeps its length
	}
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
	// responses: a document of the endpoint may state a failure: [chat.Result.FailureInBody].
	responses bool
	// typed: a good answer is a document whose first member is known.
	typed bool
	// chunks: each good event of the answer has choices. What has none is what a
	// server says of a failure in a shape of its own.
	chunks bool
}

// maxHeld bounds what is held of an answer that begins as an error does, in bytes.
const maxHeld = 64 << 10

// Feed reads the next bytes of the answer.
func (d *redactingDecoder) Feed(chunk []byte, last bool) []byte {
	out := d.Decoder.Feed(chunk, last)
	if d.holds {
		return d.hold(out, last)
	}
	if d.Failed() || d.chunks && hasOddEvent(out) {
		return d.bound.redactEvents(out, d.chunks)
	}
	return out
}

// hold keeps an answer that begins as an error does until it has ended.
func (d *redactingDecoder) hold(out []byte, last bool) []byte {
	inBody := d.responses && last && d.Decoder.Result().FailureInBody
	if d.held == nil && len(out) > 0 && !inBody && !beginsAsError(out) && (!d.typed || beginsAsAnswer(out)) {
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
	case last && (d.Decoder.Result().Failure != nil || !jsontext.Value(d.held).IsValid() || d.typed && !hasAnswer(d.held)):
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

// beginsAsAnswer reports whether a JSON document may begin as good ones do. An error
// in a shape of its own (FastAPI's "detail", a "code") begins with other members.
func beginsAsAnswer(text []byte) bool {
	name, ok := bytes.CutPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{"))
	name = bytes.TrimLeft(name, " \t\r\n")
	return ok && slices.ContainsFunc([]string{
		"id", "object", "choices", "created", "data", "model", "usage", "service_tier", "system_fingerprint",
	},
		func(known string) bool { return bytes.HasPrefix(name, []byte(`"`+known+`"`)) })
}

// hasAnswer reports whether a document has what the client asked for.
func hasAnswer(document []byte) bool {
	return bytes.Contains(document, []byte(`"choices"`)) || bytes.Contains(document, []byte(`"data"`))
}

// redactEvents takes secrets out of the error events of a stream, which go out
// whole, and of comments; chunks: out of all that has no choices. What the model has
// said before in the same piece stays as it is.
func (b *Bound) redactEvents(out []byte, chunks bool) []byte {
	var clean []byte
	for line := range lines(out) {
		data, ok := bytes.CutPrefix(line, []byte("data:"))
		switch {
		case ok && (bytes.Contains(data, []byte("error")) || chunks && lacksChoices(line)):
			end := len(bytes.TrimRight(data, "\r\n"))
			line = slices.Concat(line[:len("data:")], []byte(strings.Repeat(" ", indent(data))),
				redactJSON(bytes.TrimSpace(data), b.redactor.Redact), data[end:])
		case !ok && chunks && lacksChoices(line):
			line = []byte(b.redactor.Redact(string(line)))
		}
		clean = append(clean, line...)
	}
	if bytes.Equal(clean, out) {
		return out
	}
	return clean
}

// lines are the lines of a stream, which a CR may end too, with their ends.
func lines(text []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(text) > 0 {
			end := bytes.IndexByte(text, '\n') + 1
			if end == 0 {
				end = len(text)
			}
			if cr := bytes.IndexByte(text[:end], '\r'); cr >= 0 {
				end = cr + 1
			}
			if !yield(text[:end]) {
				return
			}
			text = text[end:]
		}
	}
}

// hasOddEvent reports whether a line of the events is no chunk of an answer.
func hasOddEvent(out []byte) bool {
	for line := range lines(out) {
		if lacksChoices(line) {
			return true
		}
	}
	return false
}

// lacksChoices reports whether a line of a stream says something and has no choices.
func lacksChoices(line []byte) bool {
	return len(line) > 2 && !bytes.Contains(line, []byte(`"choices"`)) && !bytes.HasPrefix(line, []byte("data: [DONE]"))
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
		original := token.String()
		if clean := redact(original); clean != original {
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
