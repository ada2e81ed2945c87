package sse

import "bytes"

// Begins reports whether a body begins as a stream of events does. known is false while
// too little of it has come to tell.
func Begins(body []byte) (events, known bool) {
	body = bytes.TrimLeft(body, "\ufeff\r\n")
	known = len(body) > 0
	for _, field := range []string{"data:", "event:", "id:", "retry:", ":"} {
		if bytes.HasPrefix(body, []byte(field)) {
			return true, true
		}
		known = known && (len(body) >= len(field) || string(body) != field[:len(body)])
	}
	return false, known
}
