package callback

import (
	"context"

	"github.com/go-json-experiment/json/jsontext"
)

// Hook names a moment in the life of a request, as LiteLLM's CustomLogger does
// without its "log_".
type Hook string

// The five hooks.
const (
	PreAPICall   Hook = "pre_api_call"  // before each attempt
	PostAPICall  Hook = "post_api_call" // when the answer of an attempt has ended or failed
	StreamEvent  Hook = "stream_event"  // each chunk of a stream that the client gets, from the cache too
	SuccessEvent Hook = "success_event" // once for each request that ended well
	FailureEvent Hook = "failure_event" // once for each request that did not
)

// Event is what one hook is told. Its fields are those that the hook knows; an
// Event must not be changed after it was handed over.
type Event struct {
	Hook   Hook   `json:"hook"`
	Time   Epoch  `json:"time"`
	CallID string `json:"litellm_call_id"`

	// Of an attempt: pre_api_call, post_api_call, stream_event.
	Attempt    int            `json:"attempt,omitzero"` // 1 is the first; 0: no attempt was made, the answer was there
	Model      string         `json:"model,omitzero"`   // provider/model
	ModelGroup string         `json:"model_group,omitzero"`
	ModelID    string         `json:"model_id,omitzero"` // the deployment
	Provider   string         `json:"custom_llm_provider,omitzero"`
	Messages   jsontext.Value `json:"messages,omitzero"` // pre_api_call
	Status     int            `json:"status,omitzero"`   // post_api_call; 0: no answer came
	Duration   Seconds        `json:"duration,omitzero"` // post_api_call
	Error      string         `json:"error,omitzero"`    // post_api_call
	Chunk      jsontext.Value `json:"chunk,omitzero"`    // stream_event: OpenAI's chunk

	Record *Record `json:"record,omitzero"` // success_event, failure_event
}

// Size is about how many bytes the event holds.
func (e *Event) Size() int {
	n := 256 + len(e.Messages) + len(e.Chunk) + len(e.Error)
	if e.Record != nil {
		n += e.Record.Size()
	}
	return n
}

// EventOf wraps a record for the hook that its status belongs to.
func EventOf(r *Record) *Event {
	hook := SuccessEvent
	if r.Status == Failure {
		hook = FailureEvent
	}
	return &Event{Hook: hook, Time: r.EndTime, CallID: r.CallID, Record: r}
}

// Hooks are functions of a program that embeds the gateway. A nil function is
// not wanted and costs nothing; StreamEvent costs something for each chunk of
// each stream, the others once for each attempt or request. They are called
// one after the other, in order, on a goroutine of their own: a slow one delays
// only the others, and the oldest events are dropped when it falls far behind.
// They must end when ctx does, and must not change the event.
type Hooks struct {
	PreAPICall   func(ctx context.Context, e *Event)
	PostAPICall  func(ctx context.Context, e *Event)
	StreamEvent  func(ctx context.Context, e *Event)
	SuccessEvent func(ctx context.Context, e *Event)
	FailureEvent func(ctx context.Context, e *Event)
}

// function is the one for a hook, or nil.
func (h *Hooks) function(hook Hook) func(context.Context, *Event) {
	switch hook {
	case PreAPICall:
		return h.PreAPICall
	case PostAPICall:
		return h.PostAPICall
	case StreamEvent:
		return h.StreamEvent
	case SuccessEvent:
		return h.SuccessEvent
	case FailureEvent:
		return h.FailureEvent
	}
	return nil
}

// Wants reports whether the hook has a function.
func (h *Hooks) Wants(hook Hook) bool { return h.function(hook) != nil }

// Deliver calls the functions. It is a [Deliverer] for a queue whose batches are
// of one event, so that a panic costs one event.
func (h *Hooks) Deliver(ctx context.Context, batch []*Event) error {
	for _, e := range batch {
		if f := h.function(e.Hook); f != nil {
			f(ctx, e)
		}
	}
	return nil
}
