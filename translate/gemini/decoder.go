package gemini

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/sse"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Decoder reads the answer to a call of Request.
func (tr *Translator) Decoder(req *chat.Request, head upstream.Head) chat.Decoder {
	if req.Endpoint == chat.Embeddings {
		return chat.NewEmbeddingDecoder(req, tr.target.Defaults, tr.readEmbeddings)
	}
	whole := !req.Stream || strings.HasPrefix(head.Header.Get("content-type"), "application/json")
	return &decoder{w: chat.NewWriter(req), model: tr.target.Model, stream: req.Stream, events: !whole}
}

// decoder reads a generateContent answer: one response as JSON, or a series of
// them as events. The answer ends where the connection does.
type decoder struct {
	w      *chat.Writer
	model  string // where the answer does not name it
	stream bool   // towards the client
	events bool   // from the provider
	reader sse.Reader
	body   []byte // of an answer that is no event stream
	states []state
	// grounded: the answer rests on a search, whose tokens Google counts apart
	// and does not charge as the prompt's.
	grounded bool
	usage    *usage
}

// Feed reads the next bytes of the answer.
func (d *decoder) Feed(chunk []byte, last bool) []byte {
	if d.w.Closed() {
		return nil
	}
	if d.events {
		d.feedEvents(chunk, last)
	} else {
		d.feedBody(chunk, last)
	}
	return d.w.Take()
}

func (d *decoder) feedEvents(chunk []byte, last bool) {
	d.reader.Feed(chunk)
	for event, ok := d.reader.Next(); ok && !d.w.Closed(); event, ok = d.reader.Next() {
		d.event(event)
	}
	if err := d.reader.Err(); err != nil {
		d.w.Fail(&upstream.Error{Status: http.StatusBadGateway, Type: "server_error", Code: "invalid_answer", Message: err.Error()})
	}
	if !last {
		return
	}
	if event, ok := d.reader.End(); ok && !d.w.Closed() {
		d.event(event)
	}
	d.close()
}

func (d *decoder) event(event sse.Event) {
	if len(event.Data) > 0 && string(event.Data) != "[DONE]" { // some proxies add OpenAI's terminator
		d.read(event.Data)
	}
}

func (d *decoder) feedBody(chunk []byte, last bool) {
	if len(d.body)+len(chunk) > sse.MaxEvent {
		d.body = nil
		d.w.Fail(chat.Unreadable())
		return
	}
	d.body = append(d.body, chunk...)
	if last {
		d.read(d.body)
		d.close()
	}
}

// Failed reports whether the answer has failed.
func (d *decoder) Failed() bool { return d.w.Failed() }

// Result is what is known of the answer so far.
func (d *decoder) Result() chat.Result { return d.w.Result() }

// response is GenerateContentResponse.
// https://ai.google.dev/api/generate-content#generatecontentresponse
type response struct {
	Candidates []candidate `json:"candidates"`
	Feedback   struct {
		BlockReason string `json:"blockReason"`
	} `json:"promptFeedback"`
	Usage   *usage         `json:"usageMetadata"`
	Version string         `json:"modelVersion"`
	ID      string         `json:"responseId"`
	Error   jsontext.Value `json:"error"`
}

// read takes in one response.
func (d *decoder) read(data []byte) {
	var r response
	if err := json.Unmarshal(data, &r, lenient); err != nil {
		d.w.Fail(chat.Unreadable())
		return
	}
	if r.Error.Kind() == '{' || r.Error.Kind() == '"' {
		d.w.Fail(streamed(data))
		return
	}
	d.w.Head(r.ID, cmp.Or(r.Version, d.model))
	if r.Usage != nil {
		d.usage = r.Usage
	}
	for i := range r.Candidates {
		d.candidate(&r.Candidates[i], r.indexOf(i))
	}
	if r.Feedback.BlockReason != "" && len(r.Candidates) == 0 {
		d.w.Finish(0, "content_filter")
	}
}

// indexOf returns the choice that a candidate is. Index 0 is left out of
// Google's JSON; where no candidate has one, their order tells.
func (r *response) indexOf(i int) int {
	if index := r.Candidates[i].Index; index != nil {
		return *index
	}
	for j := range r.Candidates {
		if r.Candidates[j].Index != nil {
			return 0
		}
	}
	return i
}

// close ends the answer.
func (d *decoder) close() {
	if d.w.Closed() {
		return
	}
	if d.usage != nil {
		d.w.Usage(d.usage.tokens(d.grounded))
	}
	for i := range d.states {
		d.finishState(i)
	}
	d.w.Close()
}

// usage is UsageMetadata: token counts, those of a stream so far.
// https://ai.google.dev/api/generate-content#UsageMetadata
type usage struct {
	Prompt     int64 `json:"promptTokenCount"` // cached ones included
	Candidates int64 `json:"candidatesTokenCount"`
	Thoughts   int64 `json:"thoughtsTokenCount"`
	ToolUse    int64 `json:"toolUsePromptTokenCount"`
	Cached     int64 `json:"cachedContentTokenCount"`
	Total      int64 `json:"totalTokenCount"`
}

func (u *usage) tokens(grounded bool) chat.Usage {
	out := chat.Usage{Prompt: u.Prompt, Completion: u.Candidates, Cached: u.Cached, Reasoning: u.Thoughts, Total: u.Total}
	if !grounded {
		out.Prompt += u.ToolUse
	}
	// Where the total is already reached, the candidates' count has the thoughts.
	if u.Total == 0 || u.Prompt+u.ToolUse+u.Candidates != u.Total {
		out.Completion += u.Thoughts
	}
	if out.Total == 0 {
		out.Total = out.Prompt + out.Completion
	}
	return out
}
