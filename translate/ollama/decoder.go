package ollama

import (
	"bytes"
	"cmp"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Decoder reads the answer to a call of Request.
func (tr *Translator) Decoder(req *chat.Request, _ upstream.Head) chat.Decoder {
	if req.Endpoint == chat.Embeddings {
		return chat.NewEmbeddingDecoder(req, tr.target.Defaults, tr.readEmbeddings)
	}
	d := &decoder{w: chat.NewWriter(req), model: tr.target.Model, stream: req.Stream}
	form := chat.Whole
	if req.Stream {
		form = chat.Lines
	}
	d.Feeder = chat.NewFeeder(d.w, form, d.read, d.w.Close)
	return d
}

// decoder reads an /api/chat answer: one object, or a line of them per chunk, the
// last of which is done.
type decoder struct {
	chat.Feeder

	w      *chat.Writer
	model  string // where the answer does not name it
	stream bool
	tags   tags    // of an old template
	mind   thought // of a stream
}

// response is one object of /api/chat.
// https://docs.ollama.com/api/chat
type response struct {
	Model      string         `json:"model"`
	Message    reply          `json:"message"`
	Logprobs   jsontext.Value `json:"logprobs"`
	Done       bool           `json:"done"`
	DoneReason string         `json:"done_reason"`
	Prompt     int64          `json:"prompt_eval_count"` // left out when the prompt was cached
	Eval       int64          `json:"eval_count"`        // thinking included
	Error      jsontext.Value `json:"error"`
}

// reply is the message of an answer.
type reply struct {
	Content  string     `json:"content"`
	Thinking string     `json:"thinking"`
	Calls    []toolCall `json:"tool_calls"`
}

func (m *reply) empty() bool { return m.Content == "" && m.Thinking == "" && len(m.Calls) == 0 }

type toolCall struct {
	ID       string `json:"id"` // newer servers
	Function struct {
		Name      string         `json:"name"`
		Arguments jsontext.Value `json:"arguments"`
	} `json:"function"`
}

// read takes in one object.
func (d *decoder) read(data []byte) {
	var r response
	if err := upstream.Unmarshal(data, &r); err != nil || jsontext.Value(data).Kind() != '{' {
		d.w.Fail(chat.Unreadable())
		return
	}
	if kind := r.Error.Kind(); kind == '"' || kind == '{' {
		d.w.Fail(failure(upstream.Head{Status: http.StatusInternalServerError}, data))
		return
	}
	if !d.stream && !r.Done && r.Message.empty() {
		d.w.Fail(chat.Unreadable())
		return
	}
	d.w.Head("", cmp.Or(r.Model, d.model))
	if r.Message.Thinking != "" {
		d.tags.state = outside // the server parts it itself
		d.think(r.Message.Thinking)
	}
	thought, text := d.tags.split(r.Message.Content, r.Done || !d.stream)
	d.think(thought)
	d.w.Text(0, text)
	for i := range r.Message.Calls {
		c := &r.Message.Calls[i]
		d.w.ToolCall(0, chat.Call{ID: c.ID, Name: c.Function.Name, Arguments: c.arguments()})
	}
	d.w.Logprobs(0, items(r.Logprobs))
	if !r.Done && d.stream {
		return
	}
	d.w.Finish(0, finishReason(r.DoneReason))
	d.w.Usage(chat.Usage{Prompt: r.Prompt, Completion: r.Eval, Total: r.Prompt + r.Eval, Reasoning: min(d.mind.tokens, r.Eval)})
	d.w.Close()
}

func (d *decoder) think(text string) {
	d.w.Reasoning(0, text)
	if d.stream {
		d.mind.add(text)
	}
}

// finishReason says Ollama's reasons in OpenAI's words: stop, load, unload and
// whatever comes are "stop". Tool calls are the Writer's to see.
func finishReason(reason string) string {
	if reason == "length" {
		return reason
	}
	return "stop"
}

// arguments returns the arguments as one line of JSON; a call without any has
// the empty object.
func (c *toolCall) arguments() string {
	args := c.Function.Arguments
	if args.Kind() == '"' { // some servers in between
		var text string
		if upstream.Unmarshal(args, &text) == nil && text != "" {
			return text
		}
		return "{}"
	}
	if args.Kind() != '{' || args.Compact() != nil {
		return "{}"
	}
	return string(args)
}

// items returns the inside of the logprobs array, whose elements are OpenAI's.
func items(list jsontext.Value) []byte {
	if list.Kind() != '[' || !list.IsValid() || list.Compact() != nil {
		return nil
	}
	return bytes.TrimSpace(list[1 : len(list)-1])
}
