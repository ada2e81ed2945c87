package chat

import "github.com/isthmus-proxy/isthmus/translate/upstream"

// Decoder reads one provider answer as it arrives and says what the client gets
// in its place. It belongs to one attempt and is not safe for concurrent use.
type Decoder interface {
	// Feed takes the next bytes of the body, cut anywhere; last marks the end
	// (with or without bytes). It returns the bytes for the client, which may
	// be none yet. When they are the chunk itself, unchanged, the result is the
	// chunk: see [Untouched]. The result is valid until the next Feed.
	//
	// An answer that fails in the middle of a stream ends with an error event;
	// a blocking one returns nothing and Result has the Failure.
	Feed(chunk []byte, last bool) []byte
	// Abort ends a stream whose provider says no more. It returns the last bytes for
	// the client: what ends an answer that wants nothing but its end, nothing after one
	// that has failed or ended before, else the error event of e, which is the failure
	// then. An event that has come in part is dropped.
	Abort(e *upstream.Error) []byte
	// Failed reports whether the answer has failed; Result has the Failure then.
	// It is cheap enough to be asked after every Feed.
	Failed() bool
	// Started reports whether something of the answer itself has been read: text,
	// reasoning, a refusal, a tool call, media, a finish reason; of a blocking
	// answer, whether it was read to its end and is none that failed. Comments,
	// openings that say only a role or an id, empty deltas, counts of tokens and
	// errors are nothing of an answer. It never turns false again, and is cheap
	// enough to be asked after every Feed.
	Started() bool
	// Complete reports whether the last event of a stream, whichever its format has, was
	// read, and told of no failure: nothing is missing but the end of the connection. It
	// is cheap enough to be asked after every Feed.
	Complete() bool
	// Result is what is known of the answer so far, complete after the last
	// Feed.
	Result() Result
}

// Untouched reports whether a Decoder's output is its input, byte for byte in
// the same memory, so that nothing need be sent back for it.
func Untouched(chunk, out []byte) bool {
	return len(chunk) == len(out) && (len(out) == 0 || &chunk[0] == &out[0])
}
