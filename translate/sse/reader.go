package sse

import (
	"bytes"
	"errors"
)

// MaxEvent is the longest event a Reader holds, in bytes. An answer with an
// image in one event is a few megabytes; a provider that never ends its event
// must not fill the memory.
const MaxEvent = 64 << 20

// ErrEventTooLong is reported by [Reader.Err] once an event exceeded [MaxEvent].
var ErrEventTooLong = errors.New("sse: an event exceeds 64 MiB")

// Event is one event of a stream. Its slices are valid until the next call of a
// method of its Reader.
type Event struct {
	Name string // the event field; "" when absent
	Data []byte // the data lines joined by "\n"; nil when there is none
	Raw  []byte // the bytes of the event, its closing blank line included
}

// Reader cuts a byte stream into events. The zero Reader is ready. It is not
// safe for concurrent use.
type Reader struct {
	buf     []byte // unread bytes
	from    int    // start of the event being read, in buf
	at      int    // start of the line being read, in buf
	scanned int    // no line ends between at and here, so that a long line is searched once
	name    string
	last    string // the last name, since streams say the same one again and again
	lines   int    // data lines of the event so far
	lo, hi  int    // the first data line, in buf
	joined  []byte // all data lines, when there are several
	started bool   // the byte-order mark has been dealt with
	err     error
}

// Feed adds the next bytes of the stream. The Reader copies what it keeps.
func (r *Reader) Feed(chunk []byte) {
	if r.err != nil {
		return
	}
	if r.from > 0 {
		n := copy(r.buf, r.buf[r.from:])
		r.buf, r.at, r.scanned = r.buf[:n], r.at-r.from, r.scanned-r.from
		r.lo, r.hi, r.from = r.lo-r.from, r.hi-r.from, 0
	}
	if len(r.buf)+len(chunk) > MaxEvent {
		r.buf, r.at, r.scanned, r.err = nil, 0, 0, ErrEventTooLong
		return
	}
	r.buf = append(r.buf, chunk...)
}

// Err reports why the Reader gave up, or nil.
func (r *Reader) Err() error { return r.err }

// Pending returns the bytes of an event that has not ended yet.
func (r *Reader) Pending() []byte { return r.buf[r.from:] }

// Next returns the next whole event. Comments and blank lines between events
// come as an event without data, so that the Raw of all events and Pending are
// together every byte that was fed.
func (r *Reader) Next() (Event, bool) {
	for {
		line, size := r.line()
		if size == 0 {
			return Event{}, false
		}
		start := r.at
		r.at += size
		r.scanned = r.at
		if len(line) == 0 {
			return r.take(), true
		}
		r.field(line, start)
	}
}

// End returns the last event of a stream that closed without the blank line
// after it: providers do that, and the event is good.
func (r *Reader) End() (Event, bool) {
	if event, ok := r.Next(); ok {
		return event, true
	}
	if r.from == len(r.buf) {
		return Event{}, false
	}
	if rest := r.buf[r.at:]; len(rest) > 0 {
		start := r.at
		r.at = len(r.buf)
		r.field(bytes.TrimSuffix(rest, []byte{'\r'}), start)
	}
	return r.take(), true
}

// line returns the line at r.at without its terminator, and its size with it;
// size 0 means that the line has not ended yet.
func (r *Reader) line() ([]byte, int) {
	if !r.started && !r.mark() {
		return nil, 0
	}
	end := bytes.IndexByte(r.buf[r.scanned:], '\n')
	head := r.buf[r.scanned:]
	if end >= 0 {
		head = head[:end]
	}
	if cr := bytes.IndexByte(head, '\r'); cr >= 0 {
		cr += r.scanned
		switch {
		case cr+1 == len(r.buf):
			r.scanned = cr
			return nil, 0 // an LF may follow
		case r.buf[cr+1] == '\n':
			return r.buf[r.at:cr], cr + 2 - r.at
		default:
			return r.buf[r.at:cr], cr + 1 - r.at
		}
	}
	if end < 0 {
		r.scanned = len(r.buf)
		return nil, 0
	}
	end += r.scanned
	return r.buf[r.at:end], end + 1 - r.at
}

// mark skips a byte-order mark at the start of the stream; false means that
// more bytes are needed to tell.
func (r *Reader) mark() bool {
	const bom = "\xef\xbb\xbf"
	if len(r.buf) < len(bom) && bytes.HasPrefix([]byte(bom), r.buf) {
		return false
	}
	if bytes.HasPrefix(r.buf, []byte(bom)) {
		r.at, r.scanned = len(bom), len(bom)
	}
	r.started = true
	return true
}

// field reads one line of an event; start is where it begins in buf.
func (r *Reader) field(line []byte, start int) {
	name, value, _ := bytes.Cut(line, []byte{':'})
	value = bytes.TrimPrefix(value, []byte{' '})
	switch string(name) {
	case "data":
		switch r.lines++; r.lines {
		case 1:
			r.hi = start + len(line)
			r.lo = r.hi - len(value)
			return
		case 2:
			r.joined = append(r.joined[:0], r.buf[r.lo:r.hi]...)
		}
		r.joined = append(append(r.joined, '\n'), value...)
	case "event":
		if r.last != string(value) {
			r.last = string(value)
		}
		r.name = r.last
	}
}

func (r *Reader) take() Event {
	event := Event{Name: r.name, Raw: r.buf[r.from:r.at]}
	switch r.lines {
	case 0:
	case 1:
		event.Data = r.buf[r.lo:r.hi:r.hi]
	default:
		event.Data = r.joined
	}
	r.name, r.lines = "", 0
	r.from, r.scanned = r.at, r.at
	return event
}

// Append appends an event with one line of data. The data must not contain a
// line break: JSON never does.
func Append(dst, data []byte) []byte {
	dst = append(dst, "data: "...)
	dst = append(dst, data...)
	return append(dst, "\n\n"...)
}
