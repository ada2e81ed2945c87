package gemini

import (
	"cmp"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Decoder reads the answer to a call of Request.
func (tr *Translator) Decoder(req *chat.Request, head upstream.Head) chat.Decoder {
	if req.Endpoint == chat.Embeddings {
		return chat.NewEmbeddingDecoder(req, tr.target.Defaults, tr.readEmbeddings)
	}
	d := &decoder{w: chat.NewWriter(req), model: tr.target.Model, stream: req.Stream}
	if req.Stream && !strings.HasPrefix(head.Header.Get("content-type"), "application/json") {
		d.events = true
		d.Feeder = chat.NewFeeder(d.w, chat.Events, d.read, d.end)
	} else {
		d.Feeder = chat.NewFeeder(d.w, chat.Whole, d.body, d.end)
	}
	return d
}

// decoder reads a generateContent answer: one response as JSON, or a series of
// them as events. The answer ends where the connection does.
type decoder struct {
	chat.Feeder

	w      *chat.Writer
	model  string // where the answer does not name it
	stream bool   // towards the client
	events bool   // from the provider
	states []state
	// grounded: the answer rests on a search, whose tokens Google counts apart
	// and does not charge as the prompt's.
	grounded bool
	usage    usage
	counted  bool // usage has something
}

// body reads an answer that is no event stream: one response, or, of servers that
// overlook alt=sse, an array of them.
func (d *decoder) body(data []byte) {
	if v := jsontext.Value(data); v.Kind() == '[' && v.IsValid() {
		for response := range jsonedit.Elements(v) {
			d.read(response)
		}
		return
	}
	d.read(data)
}

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
	if err := upstream.Unmarshal(data, &r); err != nil {
		d.w.Fail(chat.Unreadable())
		return
	}
	if isFailure(r.Error) {
		d.w.Fail(streamed(data))
		return
	}
	d.w.Head(r.ID, cmp.Or(r.Version, d.model))
	if r.Usage != nil {
		d.usage.update(r.Usage)
		d.counted = true
	}
	for i := range r.Candidates {
		d.candidate(&r.Candidates[i], r.indexOf(i))
	}
	if r.Feedback.BlockReason != "" && len(r.Candidates) == 0 {
		d.w.Finish(0, "content_filter")
	}
	if r.Usage != nil {
		d.w.UsageSoFar(d.usage.tokens(d.grounded))
		if d.finished() {
			d.w.UsageEnds()
		}
	}
}

// finished reports whether all candidates that were seen have said why they ended.
func (d *decoder) finished() bool {
	for i := range d.states {
		if !d.states[i].finished {
			return false
		}
	}
	return len(d.states) > 0
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

// end reports what is known when all has been read.
func (d *decoder) end() {
	if d.counted {
		d.w.UsageEnds()
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

// update takes in what a later response counts. Each counts from the answer's beginning,
// and may leave counts out.
func (u *usage) update(later *usage) {
	for _, n := range [...]struct{ now, later *int64 }{
		{&u.Prompt, &later.Prompt}, {&u.Candidates, &later.Candidates}, {&u.Thoughts, &later.Thoughts},
		{&u.ToolUse, &later.ToolUse}, {&u.Cached, &later.Cached}, {&u.Total, &later.Total},
	} {
		if *n.later != 0 {
			*n.now = *n.later
		}
	}
}

func (u *usage) tokens(grounded bool) chat.Usage {
	out := chat.Usage{Prompt: u.Prompt, Completion: u.Candidates, Cached: u.Cached, Reasoning: u.Thoughts, Total: u.Total}
	switch rest := u.Total - u.Prompt - u.ToolUse - u.Candidates - u.Thoughts; {
	case rest <= 0:
	case u.Candidates == 0 && u.Thoughts > 0 && u.Prompt > 0: // the candidates' count is left out
		out.Completion = rest
	case u.Prompt == 0 && u.Candidates > 0:
		out.Prompt = rest
	}
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
