package callback

import (
	"math"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// CallType is LiteLLM's name of what an endpoint does.
func CallType(e chat.Endpoint) string {
	switch e {
	case chat.Completions:
		return "acompletion"
	case chat.TextCompletions:
		return "atext_completion"
	case chat.Embeddings:
		return "aembedding"
	case chat.Responses:
		return "aresponses"
	case chat.Moderations:
		return "amoderation"
	case chat.Images:
		return "aimage_generation"
	case chat.Speech:
		return "aspeech"
	case chat.Rerank:
		return "arerank"
	}
	return string(e)
}

// Answer is what a provider's answer says of itself.
type Answer struct{ ID, Model, FinishReason string }

// ReadAnswer reads an answer, of which there may be nothing. Members of another
// type than expected are passed over.
func ReadAnswer(response jsontext.Value) Answer {
	var known struct {
		ID      jsontext.Value `json:"id"`
		Model   jsontext.Value `json:"model"`
		Choices []struct {
			FinishReason jsontext.Value `json:"finish_reason"`
		} `json:"choices"`
	}
	if response.Kind() != '{' || json.Unmarshal(response, &known) != nil {
		return Answer{}
	}
	a := Answer{ID: text(known.ID), Model: text(known.Model)}
	if len(known.Choices) > 0 {
		a.FinishReason = text(known.Choices[0].FinishReason)
	}
	return a
}

// Prices are USD per token; zero: not known.
type Prices struct{ Input, Output float64 }

// SetUsage fills every field that tokens and prices decide. A cache hit costs
// nothing: what it would have cost is what it saved.
func (r *Record) SetUsage(u chat.Usage, p Prices) {
	r.PromptTokens, r.CompletionTokens, r.TotalTokens = u.Prompt, u.Completion, u.Total
	usage := &Usage{
		Prompt: u.Prompt, Completion: u.Completion, Total: u.Total,
		Prompts: PromptDetails{Cached: u.Cached, CacheWrite: u.CacheWrite},
		Outputs: CompletionDetails{Reasoning: u.Reasoning},
	}
	r.Metadata.Usage, r.HiddenParams.Usage = usage, usage
	if p == (Prices{}) {
		return
	}
	cost := CostBreakdown{Input: roundUSD(float64(u.Prompt) * p.Input), Output: roundUSD(float64(u.Completion) * p.Output)}
	cost.Total = roundUSD(cost.Input + cost.Output)
	if r.CacheHit {
		r.SavedCacheCost = cost.Total
		return
	}
	r.CostBreakdown, r.ResponseCost, r.HiddenParams.ResponseCost = &cost, cost.Total, cost.Total
}

// roundUSD removes the error of binary fractions from an amount in US dollars.
func roundUSD(v float64) float64 { return math.Round(v*1e15) / 1e15 }

// SetError fills what a failure says. provider is whose error it is; "" when it
// is the gateway's own.
func (r *Record) SetError(e *upstream.Error, provider string) {
	r.ErrorStr = Optional(e.Message)
	r.ErrorInformation = &ErrorInformation{
		Code: strconv.Itoa(e.Status), Class: e.Class(), Provider: provider, Message: e.Message, Type: e.Type, Reason: e.Code,
	}
}
