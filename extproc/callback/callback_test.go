package callback

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"go.uber.org/goleak"

	"github.com/isthmus-proxy/isthmus/translate/chat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

var began = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

// fullRecord is a record with every field set.
func fullRecord() *Record {
	r := &Record{
		ID: "chatcmpl-1", CallID: "CALL1", TraceID: "trace-1", SessionID: "session-1", CallType: CallType(chat.Completions), Stream: true,
		Status: Success, HTTPStatus: 200, CacheKey: "key-1",
		Provider: "openai", Model: "openai/gpt-4o", ModelGroup: "my-model", ModelID: "dep-2", APIBase: Origin(
			"https://user:pw@api.openai.com/v1?key=1"),
		StartTime: At(began), EndTime: At(began.Add(1500 * time.Millisecond)), CompletionStartTime: At(began.Add(250 * time.Millisecond)),
		ResponseTime: Seconds(250 * time.Millisecond),
		RequestTags:  []string{"team:search", "beta"}, EndUser: "ana", RequesterIPAddress: "10.1.2.3", UserAgent: "OpenAI/Python 3.54",
		Messages:        jsontext.Value(`[{"role":"user","content":"Olá"}]`),
		Response:        jsontext.Value(`{"id":"chatcmpl-1","choices":[{"message":{"role":"assistant","content":"Oi"},"finish_reason":"stop"}]}`),
		ModelParameters: jsontext.Value(`{"temperature":0.5,"stream":true}`),
		HiddenParams: HiddenParams{ModelID: "dep-2", APIBase: "https://api.openai.com", ModelName: "gpt-4o",
			ResponseModel: "gpt-4o-2024-08-06", FinishReason: "stop", OverheadMs: 1.25},
		Metadata: Metadata{KeyAlias: "prod", RequestRoute: "/v1/chat/completions", Requester: jsontext.Value(`{"trace_name":"chat"}`)},
		Attempts: []Attempt{
			{ModelGroup: "my-model", Deployment: "dep-1", Provider: "openai", Status: 429, Took: Millis(40 * time.Millisecond), Reason: "429"},
			{ModelGroup: "my-model", Deployment: "dep-2", Provider: "openai", Status: 200, Took: Millis(1460 * time.Millisecond)},
		},
	}
	r.SetUsage(chat.Usage{Prompt: 100, Completion: 20, Total: 120, Cached: 40, Reasoning: 5}, Prices{Input: 0.000002, Output: 0.00001})
	return r
}
