package langfuse

import (
	"cmp"
	"encoding/hex"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/extproc/callback/otlp"
)

// metadata is what a client's metadata says to Langfuse. A member of
// another type than expected is ignored.
type metadata struct {
	TraceID           looseText      `json:"trace_id"`
	ExistingTraceID   looseText      `json:"existing_trace_id"` // continue a trace: its name, input and user stay
	TraceName         looseText      `json:"trace_name"`
	TraceUserID       looseText      `json:"trace_user_id"`
	TraceVersion      looseText      `json:"trace_version"`
	TraceRelease      looseText      `json:"trace_release"`
	TraceMetadata     jsontext.Value `json:"trace_metadata"`
	SessionID         looseText      `json:"session_id"`
	GenerationID      looseText      `json:"generation_id"`
	GenerationName    looseText      `json:"generation_name"`
	ParentObservation looseText      `json:"parent_observation_id"`
	Version           looseText      `json:"version"`
	MaskInput         looseText      `json:"mask_input"`
	MaskOutput        looseText      `json:"mask_output"`
}

// looseText is text that may also be written as a number or a truth value.
type looseText string

// UnmarshalJSONFrom takes what can be shown in one line and ignores the rest.
func (l *looseText) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	v, err := dec.ReadValue()
	if err != nil {
		return err
	}
	switch v.Kind() {
	case '"':
		var s string
		if err := json.Unmarshal(v, &s); err != nil {
			return err
		}
		*l = looseText(s)
	case '0', 't', 'f':
		*l = looseText(v)
	}
	return nil
}

// entry is one record as Langfuse sees it, however it is sent.
type entry struct {
	record *callback.Record
	meta   metadata

	traceID, generationID string // hex
	parent                string // hex; "" when the generation is the root
	traceName, name       string
	session, user         string
	input, output         jsontext.Value
	level, status         string
}

// Langfuse's levels.
const (
	levelDefault = "DEFAULT"
	levelWarning = "WARNING"
	levelError   = "ERROR"
)

func newEntry(r *callback.Record) *entry {
	e := &entry{record: r, level: levelDefault}
	if r.Metadata.Requester.Kind() == '{' {
		_ = json.Unmarshal(r.Metadata.Requester, &e.meta) // every member takes any type
	}
	m := &e.meta
	e.traceID = hex.EncodeToString(otlp.TraceID(cmp.Or(string(m.ExistingTraceID), string(m.TraceID), r.TraceID, r.CallID)))
	e.generationID = hex.EncodeToString(otlp.SpanID(cmp.Or(string(m.GenerationID), strconv.FormatInt(r.StartTime.UnixNano(), 10)+r.CallID)))
	if m.ParentObservation != "" {
		e.parent = hex.EncodeToString(otlp.SpanID(string(m.ParentObservation)))
	}
	e.traceName = cmp.Or(string(m.TraceName), "litellm-"+r.CallType)
	e.name = cmp.Or(string(m.GenerationName), keyName(r), "litellm-"+r.CallType)
	e.session = cmp.Or(string(m.SessionID), r.SessionID)
	e.user = cmp.Or(string(m.TraceUserID), string(r.EndUser))
	e.readContent()
	e.readLevel()
	return e
}

func keyName(r *callback.Record) string {
	if r.Metadata.KeyAlias == "" {
		return ""
	}
	return "litellm:" + string(r.Metadata.KeyAlias)
}

func (e *entry) readContent() {
	r := e.record
	e.input, e.output = input(r), output(r)
	if e.meta.MaskInput == "true" {
		e.input = jsontext.Value(`"redacted-by-litellm"`)
	}
	if e.meta.MaskOutput == "true" {
		e.output = jsontext.Value(`"redacted-by-litellm"`)
	}
}

func (e *entry) readLevel() {
	r := e.record
	switch {
	case r.Status == callback.Failure:
		e.level, e.status = levelError, string(r.ErrorStr)
		if i := r.ErrorInformation; i != nil && i.Class != "" {
			e.status = i.Class + ": " + i.Message
		}
	case r.Aborted != "":
		e.level, e.status = levelWarning, "the answer was ended early by the "+string(r.Aborted)
	}
}

// input is the messages, with the tools when there are some.
func input(r *callback.Record) jsontext.Value {
	var parameters struct {
		Tools     jsontext.Value `json:"tools"`
		Functions jsontext.Value `json:"functions"`
	}
	if r.Messages == nil || json.Unmarshal(r.ModelParameters, &parameters) != nil || parameters.Tools == nil && parameters.Functions == nil {
		return r.Messages
	}
	with := struct {
		Messages  jsontext.Value `json:"messages"`
		Tools     jsontext.Value `json:"tools,omitzero"`
		Functions jsontext.Value `json:"functions,omitzero"`
	}{r.Messages, parameters.Tools, parameters.Functions}
	out, err := json.Marshal(with)
	if err != nil {
		return r.Messages
	}
	return out
}

// output is the message of the first choice, its text for completions, the
// output of the Responses API, else the whole answer; of a failure, its error.
func output(r *callback.Record) jsontext.Value {
	if r.Status == callback.Failure {
		out, _ := jsontext.AppendQuote(nil, string(r.ErrorStr))
		return out
	}
	var answer struct {
		Choices []struct {
			Message jsontext.Value `json:"message"`
			Text    jsontext.Value `json:"text"`
		} `json:"choices"`
		Output jsontext.Value `json:"output"`
	}
	if r.Response == nil || json.Unmarshal(r.Response, &answer) != nil {
		return r.Response
	}
	switch {
	case len(answer.Choices) > 0 && answer.Choices[0].Message != nil:
		return answer.Choices[0].Message
	case len(answer.Choices) > 0 && answer.Choices[0].Text != nil:
		return answer.Choices[0].Text
	case answer.Output != nil:
		return answer.Output
	}
	return r.Response
}
