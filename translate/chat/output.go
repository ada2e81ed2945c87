package chat

import "github.com/isthmus-proxy/isthmus/translate/upstream"

// Output measures the text of one answer: content, reasoning, refusals and tool
// calls of all choices. From it package tokens estimates what a provider did not
// count. It is bounded however long the answer is.
type Output struct {
	Bytes  int64  // in UTF-8
	Sample string // the first of them, up to 4 KiB
}

const maxSample = 4 << 10

// Meter gathers an Output. The zero Meter has seen nothing. It belongs to one
// answer and is not safe for concurrent use.
type Meter struct {
	bytes  int64
	sample []byte
}

// Add notes the next piece of text.
func (m *Meter) Add(text string) {
	m.bytes += int64(len(text))
	if room := maxSample - len(m.sample); room > 0 {
		m.sample = append(m.sample, text[:upstream.RuneStart(text, room)]...)
	}
}

// Bytes is how much text was measured so far.
func (m *Meter) Bytes() int64 { return m.bytes }

// Output returns what was measured so far.
func (m *Meter) Output() Output { return Output{Bytes: m.bytes, Sample: string(m.sample)} }
