// Package sse reads and writes server-sent events, the framing of every
// streaming answer here.
//
// [Reader] takes bytes as they arrive, cut anywhere (inside a UTF-8 sequence,
// inside CRLF), and gives back whole events together with the exact bytes they
// came from, so that a stream that needs no change can be passed on unchanged.
// It follows the event stream parsing rules of the HTML standard, section 9.2.
package sse
