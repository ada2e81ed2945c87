package extproc

import (
	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/routing"
)

// The usage of an answer, its tokens, comes from one of three places:
//
//  1. The provider's decoder reads it where the body passes through this service
//     (requestStream.end in response.go: outcome.complete).
//  2. Envoy reads it from a stream that it relays past this service (relayable), and
//     says it in its access log (accesslog.go: logEntry.usage): usageFromLog.
//  3. It is counted here, by the model's tokenizer: of a body that was read and said
//     nothing, or that the client left, when stream 1 closes (countUsage); of a relayed
//     stream, when Envoy's word has none (usageFromLog). Such usage is marked as
//     estimated.
//
// All three end in outcome.result, which the record of the request tells.

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

// usageFromLog fills in the usage of an answer by Envoy's word (nil: it has none), or
// counts that of a relayed one.
func (x *exchange) usageFromLog(o *outcome, entry *logEntry) {
	switch {
	case entry != nil && entry.known:
		o.result.Usage, o.result.HasUsage = entry.usage, true
	case o.relayed && x.snapshot.tokens != nil:
		if entry != nil {
			o.result.Output.Bytes = entry.bytes / bytesPerByte
		}
		x.snapshot.tokens.Estimate(o.served.Model, x.request, &o.result)
	}
}

// bytesPerByte is how many bytes of a relayed stream there are for one of its text, where
// nobody has read it: the events of OpenAI, vLLM and llama.cpp have 200 to 350 bytes for
// a token, of about four bytes.
const bytesPerByte = 64
