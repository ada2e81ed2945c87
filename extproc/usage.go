package extproc

import (
	"math"
	"sync"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/routing"
)

// The usage of an answer, its tokens, comes from one of three places:
//
//  1. The provider's decoder reads it where the body passes through this service
//     (requestStream.end in responsebody.go: outcome.complete).
//  2. Envoy reads it from a stream that it relays past this service (relayable), and
//     reports it in its access log (accesslog.go: logEntry.usage): usageFromLog.
//  3. It is counted here, by the model's tokenizer: of a body that was read and reported
//     none, or that the client left, when stream 1 closes (countUsage); of a relayed stream,
//     when Envoy's entry has none (usageFromLog). Such usage is marked as estimated.
//
// All three end in outcome.result, which the record of the request has.

// relayable reports whether Envoy can relay a hop's answer past this service: a stream
// in OpenAI's format whose usage chunk the client wants too, which is neither stored
// nor shown to a callback. Reading a stream costs more than all the rest of a request.
func (s *requestStream) relayable(hop *routing.Hop) bool {
	x := s.exchange
	if d := hop.Deployment; d.TTFTTimeout > 0 || d.StreamIdle > 0 {
		return false // Envoy would notice no stall
	}
	return s.log == names.LogUsage && x.request.WantsUsage && hop.Translator.Carries(x.request) &&
		(x.caching.status == "" || x.caching.status == cache.Bypass) && !x.snapshot.wantsText
}

// countUsage counts the usage of an answer that reported none, or that the client left
// before its end. The client has its answer and does not wait for this.
func (s *requestStream) countUsage() {
	r, x := s.response, s.exchange
	if r == nil || r.decoder == nil || x.snapshot.tokens == nil {
		return
	}
	if r.ended && x.outcome.load().result.HasUsage {
		return
	}
	result := r.decoder.Result()
	x.snapshot.tokens.Estimate(r.hop.Model, x.requestFor(&r.hop), &result)
	x.outcome.counted(result)
}

// usageFromLog fills in the usage of an answer from Envoy's access log (nil: it has no
// entry), and estimates what that leaves out of a relayed one.
func (x *exchange) usageFromLog(o *outcome, entry *logEntry) {
	if entry == nil {
		entry = &logEntry{}
	}
	r, reported := &o.result, entry.usage
	if !o.relayed { // it was counted when stream 1 closed
		if entry.known {
			r.Usage, r.HasUsage = reported, true
		}
		return
	}
	r.Usage = reported
	size := x.snapshot.runtime.tokenSizes.of(o.served.Deployment.ID)
	// Of a stream that broke off or was left the last report may be its opening's: it is
	// when no tokens are as large as these would be.
	counted := reported.Completion > 0 && (o.ended == endedWhole || reported.Completion >= entry.bytes/mostTokenSize)
	r.HasUsage = counted && reported.Prompt > 0
	switch {
	case r.HasUsage && o.ended == endedWhole:
		size.learn(entry.bytes, reported.Completion)
	case r.HasUsage:
	case x.snapshot.tokens != nil:
		if !counted {
			r.Output.Bytes = size.tokens(entry.bytes) * bytesPerToken
		}
		x.snapshot.tokens.Estimate(o.served.Model, x.request, r)
	default:
		r.HasUsage = entry.known
	}
}

// bytesPerToken of text is what [tokens.Guess] goes by.
const bytesPerToken = 4

// tokenSizes are how many bytes a relayed stream has for a token of the completion, by
// deployment: what surrounds a token in its event is 40 times as large as the token, and
// is another server's own. The zero value knows none. It is safe for concurrent use.
type tokenSizes struct{ byID sync.Map }

// of returns the size that a deployment's tokens have.
func (t *tokenSizes) of(deployment string) *tokenSize {
	if v, ok := t.byID.Load(deployment); ok {
		return v.(*tokenSize)
	}
	v, _ := t.byID.LoadOrStore(deployment, &tokenSize{})
	return v.(*tokenSize)
}

// tokenSize is learned from the streams that ended whole, whose usage is known. The zero
// value has learned nothing. It is safe for concurrent use.
type tokenSize struct {
	mu               sync.Mutex
	bytes, completed float64 // of the last streams: their bytes, and the tokens of their completions
}

const (
	// firstTokenSize is taken before the first stream. An event in each server's format,
	// with one token, is long: OpenAI 300 to 333 bytes (306 without obfuscation), SGLang 295, LM Studio 255,
	// llama.cpp 247, vLLM 230 to 244, Ollama 227. It is the least of them, so that what
	// is not known counts rather too much: 1.5 times as much at OpenAI.
	firstTokenSize = 224
	// firstWeight is how many tokens that counts as: one short answer.
	firstWeight = 64
	// Bytes of a stream are of no token: of the event with the role, and at its end of
	// those with the finish reason and the usage.
	openingSize, endSize = firstTokenSize, 3 * firstTokenSize
	// keptTokens are how many are remembered; then all count half.
	keptTokens = 1 << 16
	// A size is within these whatever streams say: several tokens an event, or hidden
	// reasoning, and events that say much beside a token.
	leastTokenSize, mostTokenSize = 8, 2048
)

// learn takes in a stream that ended whole.
func (s *tokenSize) learn(bytes, completion int64) {
	n := float64(min(completion, keptTokens))
	size := min(max(float64(bytes-openingSize-endSize)/float64(max(completion, 1)), leastTokenSize), mostTokenSize)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes += size * n
	if s.completed += n; s.completed > keptTokens {
		s.bytes, s.completed = s.bytes/2, s.completed/2
	}
}

// tokens is how many tokens of completion a stream of so many bytes has.
func (s *tokenSize) tokens(bytes int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := (s.bytes + firstWeight*firstTokenSize) / (s.completed + firstWeight)
	return int64(math.Ceil(float64(max(bytes-openingSize, 0)) / size))
}
