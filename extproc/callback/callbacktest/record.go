// Package callbacktest has what the tests of the sinks share: records of each way
// in which a request can end, and the other ends of the sinks: a strict Langfuse
// and a real MLflow.
package callbacktest

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Began is when the first record's request came; the others follow by a second
// each.
var Began = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

// Records are one request each.
type Records struct {
	Success, Failure, Stream, Aborted, CacheHit, Cascade, Embedding *callback.Record
}

// All lists the records in the order of their requests.
func (r Records) All() []*callback.Record {
	return []*callback.Record{r.Success, r.Failure, r.Stream, r.Aborted, r.CacheHit, r.Cascade, r.Embedding}
}

// New makes the records anew, as they reach a sink.
func New() Records {
	r := Records{
		Success: base(0, "success"), Failure: failure(), Stream: stream(), Aborted: aborted(), CacheHit: cacheHit(), Cascade: cascade(),
		Embedding: embedding(),
	}
	for _, one := range r.All() {
		callback.Policy{}.Apply(one, callback.Inherit)
	}
	return r
}

// base is a plain request that took 800 ms.
func base(second int, id string) *callback.Record {
	start := Began.Add(time.Duration(second) * time.Second)
	end := start.Add(800 * time.Millisecond)
	r := &callback.Record{
		ID: "chatcmpl-" + id, CallID: "call-" + id, TraceID: "call-" + id, CallType: callback.CallType(chat.Completions),
		Status: callback.Success, HTTPStatus: 200,
		Provider: "openai", Model: "openai/gpt-4o", ModelGroup: "my-model", ModelID: "dep-1", APIBase: "https://api.openai.com",
		StartTime: callback.At(start), EndTime: callback.At(end), CompletionStartTime: callback.At(end),
		ResponseTime: callback.Seconds(800 * time.Millisecond),
		RequestTags:  []string{"team:search", "beta"}, EndUser: "ana", RequesterIPAddress: "10.1.2.3", UserAgent: "OpenAI/Python",
		Messages:        jsontext.Value(`[{"role":"system","content":"Sê breve."},{"role":"user","content":"Olá"}]`),
		ModelParameters: jsontext.Value(`{"temperature":0.5,"max_tokens":64,"user":"ana"}`),
		Response: jsontext.Value(`{"id":"chatcmpl-` + id + `","object":"chat.completion","model":"gpt-4o-2024-08-06","choices":[{"index":0,` +
			`"message":{"role":"assistant","content":"Oi!"},` +
			`"finish_reason":"stop"}],"usage":{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120}}`),
		HiddenParams: callback.HiddenParams{ModelID: "dep-1", APIBase: "https://api.openai.com", ModelName: "gpt-4o",
			ResponseModel: "gpt-4o-2024-08-06", FinishReason: "stop"},
		Metadata: callback.Metadata{RequestRoute: "/v1/chat/completions"},
		Attempts: []callback.Attempt{{ModelGroup: "my-model", Deployment: "dep-1", Provider: "openai", Status: 200,
			Took: callback.Millis(790 * time.Millisecond)}},
	}
	r.SetUsage(chat.Usage{Prompt: 100, Completion: 20, Total: 120, Cached: 40}, callback.Prices{Input: 0.000002, Output: 0.00001})
	return r
}

func failure() *callback.Record {
	r := base(1, "failure")
	r.ID, r.Status, r.HTTPStatus, r.Response = r.CallID, callback.Failure, 429, nil
	r.Metadata.Usage, r.HiddenParams.Usage, r.CostBreakdown, r.ResponseCost, r.HiddenParams.ResponseCost = nil, nil, nil, 0, 0
	r.PromptTokens, r.CompletionTokens, r.TotalTokens = 0, 0, 0
	r.HiddenParams.ResponseModel, r.HiddenParams.FinishReason = "", ""
	r.SetError(&upstream.Error{Status: 429, Type: "rate_limit_error", Code: "rate_limit_exceeded", Message: "Rate limit reached"}, "openai")
	r.Attempts[0].Status, r.Attempts[0].Reason = 429, "429 rate_limit_error"
	return r
}

// stream has a first token and says much in its metadata.
func stream() *callback.Record {
	r := base(2, "stream")
	r.Stream = true
	r.CompletionStartTime = callback.At(r.StartTime.Add(120 * time.Millisecond))
	r.ResponseTime = callback.Seconds(120 * time.Millisecond)
	r.SessionID = "sess-9"
	r.Metadata.KeyAlias = "prod"
	r.Metadata.Requester = jsontext.Value(`{"trace_id":"0af7651916cd43dd8448eb211c80319c","trace_name":"atendimento",` +
		`"session_id":"sess-9","trace_user_id":"cliente-7",` +
		`"trace_version":"v3","trace_release":"r1","trace_metadata":{"canal":"web"},"generation_id":"gen-1","generation_name":"resposta",` +
		`"tags":["x"],"tenant":"acme","n":3}`)
	r.ModelParameters = jsontext.Value(`{"temperature":0.5,"stream":true,"tools":[{"type":"function","function":{"name":"f"}}]}`)
	return r
}

// aborted is a stream that the client left.
func aborted() *callback.Record {
	r := base(3, "aborted")
	r.Stream, r.Aborted, r.TokensEstimated = true, callback.AbortedByClient, true
	r.CompletionStartTime = callback.At(r.StartTime.Add(90 * time.Millisecond))
	r.Response = jsontext.Value(`{"id":"chatcmpl-aborted","choices":[{"index":0,"message":{"role":"assistant","content":"Era uma"},` +
		`"finish_reason":null}]}`)
	r.HiddenParams.FinishReason = ""
	r.CostBreakdown = nil
	r.SetUsage(chat.Usage{Prompt: 100, Completion: 3, Total: 103}, callback.Prices{})
	r.ResponseCost, r.HiddenParams.ResponseCost = 0, 0
	return r
}

func cacheHit() *callback.Record {
	r := base(4, "cachehit")
	r.CacheHit, r.CacheKey, r.HiddenParams.CacheKey = true, "litellm_cache:abc", "litellm_cache:abc"
	r.CostBreakdown, r.ResponseCost, r.HiddenParams.ResponseCost, r.Attempts = nil, 0, 0, nil
	r.SetUsage(chat.Usage{Prompt: 100, Completion: 20, Total: 120}, callback.Prices{Input: 0.000002, Output: 0.00001})
	return r
}

// cascade was served by the third deployment that was tried, of another group.
func cascade() *callback.Record {
	r := base(5, "cascade")
	r.Provider, r.Model, r.ModelGroup, r.ModelID, r.APIBase = "anthropic", "anthropic/claude-3-opus-20240229", "backup", "dep-3",
		"https://api.anthropic.com"
	r.HiddenParams.ModelID, r.HiddenParams.ModelName, r.HiddenParams.APIBase = "dep-3", "claude-3-opus-20240229", "https://api.anthropic.com"
	r.Metadata.AttemptedModels = []string{"my-model", "backup"}
	r.Attempts = []callback.Attempt{
		{ModelGroup: "my-model", Deployment: "dep-1", Provider: "openai", Status: 503, Took: callback.Millis(20 * time.Millisecond),
			Reason: "503"},
		{ModelGroup: "my-model", Deployment: "dep-2", Provider: "azure", Status: 0, Took: callback.Millis(30 * time.Millisecond),
			Reason: "no answer"},
		{ModelGroup: "backup", Deployment: "dep-3", Provider: "anthropic", Status: 200, Took: callback.Millis(740 * time.Millisecond)},
	}
	return r
}

func embedding() *callback.Record {
	r := base(6, "embedding")
	r.CallType, r.Metadata.RequestRoute = callback.CallType(chat.Embeddings), "/v1/embeddings"
	r.Messages, r.ModelParameters = jsontext.Value(`["um","dois"]`), jsontext.Value(`{"encoding_format":"float"}`)
	r.Response = jsontext.Value(`{"object":"list","data":[{"embedding":[0.1,0.2]}]}`)
	r.RequestTags, r.EndUser = nil, ""
	return r
}
