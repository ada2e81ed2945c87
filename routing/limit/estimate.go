package limit

import (
	"math"
	"sync"
)

// Size is what is known of a request before it is sent.
type Size struct {
	Text      int64 // bytes of the text that the model reads, tool definitions included; not of encoded media
	Media     int64 // images, sounds and files
	MaxOutput int64 // max_tokens or max_completion_tokens times n; 0: not said
}

// estimate is the tokens that a request is expected to use.
type estimate struct{ input, output int64 }

// What is assumed of a deployment before it has answered. After some answers
// only the value of a medium is left: providers do not say what an image cost.
const (
	firstTokensPerByte = 0.25
	firstWeight        = 4 << 10 // bytes that the first guess counts as
	tokensPerMedium    = 1000
	tokensPerRequest   = 8
	firstOutput        = 512 // when the request does not bound it
	forget             = 1. / 16
)

// mostTokens bounds every count of tokens: no request is near it, and the sums of
// some thousand are exact in Redis, which counts in floating point. Clients and
// providers may say any number.
const mostTokens = 1 << 40

// bounded is a count of tokens that sums may be made of.
func bounded(n int64) int64 { return min(max(n, 0), mostTokens) }

// estimator learns what requests to one deployment really use. It is safe for
// concurrent use. The input is the bytes of text times the tokens per byte of the
// last answers, long ones counting more. The output is the mean of the last
// answers and once their mean deviation, at most what the request allows; before
// the first answer it is all that the request allows.
type estimator struct {
	mu           sync.Mutex
	prompts      float64 // tokens, fading
	bytes        float64 // fading alike
	mean, spread float64 // of the output
	seenOutput   bool
	seenPrompt   bool
}

// guess estimates a request.
func (e *estimator) guess(s Size) estimate {
	e.mu.Lock()
	perByte := e.perByte()
	expected, seen := e.mean+e.spread, e.seenOutput
	e.mu.Unlock()
	out := int64(firstOutput)
	switch {
	case seen:
		out = int64(math.Ceil(min(expected, mostTokens)))
		if s.MaxOutput > 0 {
			out = min(out, s.MaxOutput)
		}
	case s.MaxOutput > 0:
		out = s.MaxOutput
	}
	return estimate{
		input:  tokensPerRequest + int64(math.Ceil(min(perByte*float64(s.Text), mostTokens))) + tokensPerMedium*s.Media,
		output: max(bounded(out), 1),
	}
}

func (e *estimator) perByte() float64 {
	if !e.seenPrompt {
		return firstTokensPerByte
	}
	return e.prompts / e.bytes
}

// learn takes in what a request really used.
func (e *estimator) learn(s Size, prompt, completion int64) {
	prompt, completion = bounded(prompt), bounded(completion)
	e.mu.Lock()
	defer e.mu.Unlock()
	if s.Media == 0 && s.Text > 0 && prompt > 0 {
		if !e.seenPrompt {
			e.prompts, e.bytes, e.seenPrompt = firstTokensPerByte*firstWeight, firstWeight, true
		}
		e.prompts += float64(max(prompt-tokensPerRequest, 1)) - e.prompts*forget
		e.bytes += float64(s.Text) - e.bytes*forget
	}
	if completion <= 0 {
		return
	}
	n := float64(completion)
	if !e.seenOutput {
		e.mean, e.spread, e.seenOutput = n, n/2, true
		return
	}
	off := n - e.mean
	e.mean += off * forget
	e.spread += (math.Abs(off) - e.spread) * forget
}
