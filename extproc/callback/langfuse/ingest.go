package langfuse

import (
	"cmp"
	"context"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
)

// The ingestion API's messages:
// https://api.reference.langfuse.com/#tag/ingestion
type (
	ingestion struct {
		Batch []event `json:"batch"`
	}
	event struct {
		ID        string `json:"id"` // the same when it is sent again: the host drops the second
		Type      string `json:"type"`
		Timestamp string `json:"timestamp"`
		Body      any    `json:"body"` // *trace or *generation
	}
	trace struct {
		ID        string         `json:"id"`
		Timestamp string         `json:"timestamp"`
		Name      string         `json:"name,omitzero"`
		UserID    string         `json:"userId,omitzero"`
		SessionID string         `json:"sessionId,omitzero"`
		Input     jsontext.Value `json:"input,omitzero"`
		Output    jsontext.Value `json:"output,omitzero"`
		Tags      []string       `json:"tags,omitzero"`
		Version   string         `json:"version,omitzero"`
		Release   string         `json:"release,omitzero"`
		Metadata  jsontext.Value `json:"metadata,omitzero"`
	}
	generation struct {
		ID                  string            `json:"id"`
		TraceID             string            `json:"traceId"`
		Parent              string            `json:"parentObservationId,omitzero"`
		Name                string            `json:"name"`
		StartTime           string            `json:"startTime"`
		EndTime             string            `json:"endTime"`
		CompletionStartTime string            `json:"completionStartTime,omitzero"`
		Model               string            `json:"model,omitzero"`
		ModelParameters     jsontext.Value    `json:"modelParameters,omitzero"`
		Input               jsontext.Value    `json:"input,omitzero"`
		Output              jsontext.Value    `json:"output,omitzero"`
		Level               string            `json:"level"`
		StatusMessage       string            `json:"statusMessage,omitzero"`
		UsageDetails        *usage            `json:"usageDetails,omitzero"`
		CostDetails         *costDetails      `json:"costDetails,omitzero"`
		Version             string            `json:"version,omitzero"`
		Metadata            map[string]string `json:"metadata"`
	}
	ingested struct {
		Errors []struct {
			ID      string `json:"id"`
			Status  int    `json:"status"`
			Message string `json:"message"`
		} `json:"errors"`
	}
)

// ingest sends entries to the ingestion API. It answers 207 with one status per
// event; the last of those that were refused is the error.
func (s *Sink) ingest(ctx context.Context, entries []*entry) error {
	var message ingestion
	for _, e := range entries {
		at := stamp(e.record.StartTime.Time)
		message.Batch = append(message.Batch,
			event{ID: e.traceID + "-" + e.generationID + "-trace", Type: "trace-create", Timestamp: at, Body: e.trace()},
			event{ID: e.traceID + "-" + e.generationID, Type: "generation-create", Timestamp: at, Body: e.generation()})
	}
	var answer ingested
	if err := s.poster.PostJSON(ctx, callback.Post{URL: s.url("ingestion"), Header: s.headers}, message, &answer); err != nil {
		return err
	}
	if len(answer.Errors) == 0 {
		return nil
	}
	sent, err := callback.Encode(message)
	if err != nil {
		return err
	}
	for _, refused := range answer.Errors {
		if refused.Status >= 500 || refused.Status == 429 {
			return fmt.Errorf("langfuse answered %d for an event: %s", refused.Status, callback.WithoutEcho(refused.Message, sent))
		}
	}
	first := &answer.Errors[0]
	return callback.Permanent(fmt.Errorf("%d events refused, the first with %d: %s",
		len(answer.Errors), first.Status, callback.WithoutEcho(first.Message, sent)))
}

func (e *entry) trace() *trace {
	t := &trace{ID: e.traceID, Timestamp: stamp(e.record.StartTime.Time), UserID: e.user, SessionID: e.session, Tags: e.record.RequestTags}
	if e.meta.ExistingTraceID != "" {
		return t
	}
	t.Name, t.Input, t.Output = e.traceName, e.input, e.output
	t.Version, t.Release = cmp.Or(string(e.meta.TraceVersion), string(e.meta.Version)), string(e.meta.TraceRelease)
	t.Metadata = e.meta.TraceMetadata
	return t
}

func (e *entry) generation() *generation {
	r := e.record
	g := &generation{
		ID: e.generationID, TraceID: e.traceID, Parent: e.parent, Name: e.name,
		StartTime: stamp(r.StartTime.Time), EndTime: stamp(r.EndTime.Time),
		Model: e.model(), ModelParameters: e.parameters(), Input: e.input, Output: e.output,
		Level: e.level, StatusMessage: e.status, UsageDetails: usageDetails(r), Version: string(e.meta.Version),
		Metadata: map[string]string{},
	}
	if !r.CompletionStartTime.IsZero() {
		g.CompletionStartTime = stamp(r.CompletionStartTime.Time)
	}
	g.CostDetails = costs(r)
	for _, d := range e.details() {
		g.Metadata[d.name] = d.text
	}
	return g
}
