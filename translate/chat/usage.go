package chat

import (
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Usage counts the tokens of one answer, as OpenAI does: Prompt includes cached
// tokens, Completion includes reasoning tokens.
type Usage struct {
	Prompt, Completion, Total int64
	Cached                    int64 // of Prompt: read from the provider's cache
	CacheWrite                int64 // of Prompt: written to the provider's cache
	Reasoning                 int64 // of Completion
}

// Result is what an answer turned out to be, once a decoder has read it.
type Result struct {
	ID           string
	Model        string // the model that answered, as the provider says it
	FinishReason string // of the first choice
	// Usage is the usage of the whole answer where HasUsage says so. Else it is what
	// the provider has reported, if anything: the prompt, a part of the completion or
	// all of it, or the total alone.
	Usage     Usage
	HasUsage  bool
	Estimated bool            // the provider did not report the usage of the whole; it was counted here
	Output    Output          // the text that was seen, where Usage does not have all of its tokens
	Failure   *upstream.Error // the answer failed after its status line
	// FailureInBody: the body itself states the Failure in the client's API, and is passed
	// on unchanged.
	FailureInBody bool
}

// ParseUsage reads OpenAI's usage object, in chat's or the Responses API's
// words. ok is false when v has no token counts, or zeros alone, which count nothing.
func ParseUsage(v jsontext.Value) (u Usage, ok bool) {
	var w struct {
		Prompt     *int64 `json:"prompt_tokens"`
		Completion *int64 `json:"completion_tokens"`
		Input      *int64 `json:"input_tokens"`
		Output     *int64 `json:"output_tokens"`
		Total      *int64 `json:"total_tokens"`
		PromptD    struct {
			Cached int64 `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
		InputD struct {
			Cached int64 `json:"cached_tokens"`
		} `json:"input_tokens_details"`
		CompletionD struct {
			Reasoning int64 `json:"reasoning_tokens"`
		} `json:"completion_tokens_details"`
		OutputD struct {
			Reasoning int64 `json:"reasoning_tokens"`
		} `json:"output_tokens_details"`
		CacheHit int64 `json:"prompt_cache_hit_tokens"` // DeepSeek
	}
	if v.Kind() != '{' || json.Unmarshal(v, &w) != nil {
		return Usage{}, false
	}
	first := func(values ...*int64) int64 {
		for _, p := range values {
			if p != nil {
				ok = true
				return *p
			}
		}
		return 0
	}
	u.Prompt = first(w.Prompt, w.Input)
	u.Completion = first(w.Completion, w.Output)
	u.Total = first(w.Total)
	u.Cached = max(w.PromptD.Cached, w.InputD.Cached, w.CacheHit)
	u.Reasoning = max(w.CompletionD.Reasoning, w.OutputD.Reasoning)
	u = u.bounded().Completed()
	if u.Reasoning > 0 && u.Total == u.Prompt+u.Completion+u.Reasoning {
		u.Completion += u.Reasoning // xAI counts them beside each other
	}
	return u, ok && u.Total > 0
}

// Completed is the usage with the one of its three counts that follows from the other two.
func (u Usage) Completed() Usage {
	switch {
	case u.Total == 0:
		u.Total = u.Prompt + u.Completion
	case u.Completion == 0 && u.Prompt > 0 && u.Total > u.Prompt:
		u.Completion = u.Total - u.Prompt
	case u.Prompt == 0 && u.Completion > 0 && u.Total > u.Completion+u.Reasoning:
		u.Prompt = u.Total - u.Completion
	}
	return u
}

// mostTokens bounds a count of tokens: no answer is near it, and sums of many are
// exact.
const mostTokens = 1 << 40

// bounded is the usage with counts that can be: servers have said -1.
func (u Usage) bounded() Usage {
	for _, n := range []*int64{&u.Prompt, &u.Completion, &u.Total, &u.Cached, &u.CacheWrite, &u.Reasoning} {
		*n = min(max(*n, 0), mostTokens)
	}
	return u
}

// Updated is the usage with what a later report of the same answer says. Reports count
// from the answer's beginning; a zero in one is no news, for some servers leave counts
// out of the last one that way.
func (u Usage) Updated(later Usage) Usage {
	for _, n := range []struct{ now, later *int64 }{
		{&u.Prompt, &later.Prompt}, {&u.Completion, &later.Completion}, {&u.Total, &later.Total}, {&u.Cached, &later.Cached},
		{&u.CacheWrite, &later.CacheWrite}, {&u.Reasoning, &later.Reasoning},
	} {
		if *n.later != 0 {
			*n.now = *n.later
		}
	}
	if u.Total < u.Prompt+u.Completion {
		u.Total = u.Prompt + u.Completion
	}
	return u
}

// AppendUsage appends OpenAI's usage object.
func AppendUsage(dst []byte, u Usage) []byte { return appendUsage(dst, u) }

// appendUsage is AppendUsage for this package.
func appendUsage(dst []byte, u Usage) []byte {
	dst = append(dst, `{"prompt_tokens":`...)
	dst = strconv.AppendInt(dst, u.Prompt, 10)
	dst = append(dst, `,"completion_tokens":`...)
	dst = strconv.AppendInt(dst, u.Completion, 10)
	dst = append(dst, `,"total_tokens":`...)
	dst = strconv.AppendInt(dst, u.Total, 10)
	if u.Cached > 0 || u.CacheWrite > 0 {
		dst = append(dst, `,"prompt_tokens_details":{"cached_tokens":`...)
		dst = strconv.AppendInt(dst, u.Cached, 10)
		if u.CacheWrite > 0 {
			dst = append(dst, `,"cache_creation_tokens":`...)
			dst = strconv.AppendInt(dst, u.CacheWrite, 10)
		}
		dst = append(dst, '}')
	}
	if u.Reasoning > 0 {
		dst = append(dst, `,"completion_tokens_details":{"reasoning_tokens":`...)
		dst = strconv.AppendInt(dst, u.Reasoning, 10)
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

func appendString(dst []byte, s string) []byte { return jsonedit.AppendString(dst, s) }
