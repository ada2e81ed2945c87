package ndjson

import (
	"bytes"
	"errors"
)

// MaxLine is the longest line a Reader holds, in bytes: a provider that never
// ends its line must not fill the memory.
const MaxLine = 64 << 20

// ErrLineTooLong is reported by [Reader.Err] once a line exceeded [MaxLine].
var ErrLineTooLong = errors.New("ndjson: a line exceeds 64 MiB")

// Reader cuts a byte stream into lines. The zero Reader is ready. It is not safe
// for concurrent use.
type Reader struct {
	buf     []byte // unread bytes
	from    int    // start of the line being read, in buf
	scanned int    // no line ends between from and here, so that a long line is searched once
	err     error
}

// Feed adds the next bytes of the stream. The Reader copies what it keeps.
func (r *Reader) Feed(chunk []byte) {
	if r.err != nil {
		return
	}
	if r.from > 0 {
		n := copy(r.buf, r.buf[r.from:])
		r.buf, r.scanned, r.from = r.buf[:n], r.scanned-r.from, 0
	}
	if len(r.buf)+len(chunk) > MaxLine {
		r.buf, r.scanned, r.err = nil, 0, ErrLineTooLong
		return
	}
	r.buf = append(r.buf, chunk...)
}

// Err reports why the Reader gave up, or nil.
func (r *Reader) Err() error { return r.err }

// Next returns the next whole line without the white space around it; blank
// lines are skipped. The line is valid until the next Feed.
func (r *Reader) Next() ([]byte, bool) {
	for {
		end := bytes.IndexByte(r.buf[r.scanned:], '\n')
		if end < 0 {
			r.scanned = len(r.buf)
			return nil, false
		}
		end += r.scanned
		line := trim(r.buf[r.from:end])
		r.from, r.scanned = end+1, end+1
		if len(line) > 0 {
			return line, true
		}
	}
}

// End returns the last line of a stream that closed without the newline after
// it.
func (r *Reader) End() ([]byte, bool) {
	if line, ok := r.Next(); ok {
		return line, true
	}
	line := trim(r.buf[r.from:])
	r.from = len(r.buf)
	return line, len(line) > 0
}

// trim removes JSON's white space from both ends.
func trim(line []byte) []byte { return bytes.Trim(line, " \t\r\n") }
