package gemini

import (
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// candidate is one choice of a response, or what a chunk adds to it.
type candidate struct {
	Index   *int `json:"index"`
	Content struct {
		Parts []part `json:"parts"`
	} `json:"content"`
	FinishReason string         `json:"finishReason"`
	Logprobs     logprobs       `json:"logprobsResult"`
	Grounding    jsontext.Value `json:"groundingMetadata"`
}

// part is one part of a candidate's content; exactly one of text, call and
// inline data is there.
type part struct {
	Text      string        `json:"text"`
	Thought   bool          `json:"thought"`
	Signature string        `json:"thoughtSignature"`
	Call      *functionCall `json:"functionCall"`
	Inline    *inlineData   `json:"inlineData"`
}

type functionCall struct {
	ID   string         `json:"id"`
	Name string         `json:"name"`
	Args jsontext.Value `json:"args"`
}

type inlineData struct {
	MimeType string `json:"mimeType"`
	Data     string `json:"data"`
}

type logprobs struct {
	Chosen []token `json:"chosenCandidates"`
	Top    []struct {
		Candidates []token `json:"candidates"`
	} `json:"topCandidates"`
}

type token struct {
	Token   string         `json:"token"`
	Logprob jsontext.Value `json:"logProbability"`
}

// state is what one choice has gathered for its extensions.
type state struct {
	finished  bool // it has said why it ended
	signature string
	images    []byte // elements of the images extension, comma separated
	count     int    // of images
	audio     []byte
}

// maxChoices bounds the choices that state is kept for.
const maxChoices = 128

func (d *decoder) candidate(c *candidate, index int) {
	if index < 0 || index >= maxChoices {
		return
	}
	for len(d.states) <= index {
		d.states = append(d.states, state{})
	}
	if c.Grounding.Kind() == '{' {
		d.grounded = true
	}
	if d.stream || !flagged(c.FinishReason) {
		for i := range c.Content.Parts {
			d.part(&c.Content.Parts[i], index)
		}
	}
	if len(c.Logprobs.Chosen) > 0 {
		d.w.Logprobs(index, c.Logprobs.items())
	}
	switch {
	case c.FinishReason != "":
		d.states[index].finished = true
		d.w.Finish(index, finishReason(c.FinishReason))
	case !d.events: // the answer is whole, the reason unspecified
		d.w.Finish(index, "stop")
	}
}

func (d *decoder) part(p *part, index int) {
	switch {
	case p.Call != nil:
		d.w.ToolCall(index, chat.Call{ID: p.Call.ID, Name: p.Call.Name, Arguments: p.Call.arguments(), Signature: p.Signature})
		return
	case p.Inline != nil:
		d.inline(p.Inline, index)
	case p.Thought:
		d.w.Reasoning(index, p.Text)
		return // what signs a thought is not needed again
	default:
		d.w.Text(index, p.Text)
	}
	if p.Signature != "" {
		d.states[index].signature = p.Signature
	}
}

// arguments returns the arguments as one line of JSON; a call without any has
// the empty object.
func (c *functionCall) arguments() string {
	args := c.Args
	if args.Kind() != '{' || args.Compact() != nil {
		return "{}"
	}
	return string(args)
}

// finishReason says Google's reasons in OpenAI's words. A reason that is not
// known counts as "stop".
// https://ai.google.dev/api/generate-content#FinishReason
func finishReason(reason string) string {
	switch reason {
	case "MAX_TOKENS":
		return "length"
	case "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "OTHER", "NO_IMAGE",
		"ESCALATION", "PUP_LIMITED_DISABLED":
		return "content_filter"
	}
	if strings.HasPrefix(reason, "IMAGE_") {
		return "content_filter"
	}
	return "stop"
}

// flagged reports whether a filter stopped the candidate for what it says. What is
// there of it is not passed on; of a stream the client has it already.
func flagged(reason string) bool {
	switch reason {
	case "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT":
		return true
	}
	return false
}

// items returns the inside of OpenAI's logprobs.content.
func (l *logprobs) items() []byte {
	var out []byte
	for i := range l.Chosen {
		if i > 0 {
			out = append(out, ',')
		}
		out = l.Chosen[i].append(out)
		out = append(out, `,"top_logprobs":[`...)
		if i < len(l.Top) {
			for j := range l.Top[i].Candidates {
				out = append(l.Top[i].Candidates[j].append(jsonedit.AppendComma(out)), '}')
			}
		}
		out = append(out, "]}"...)
	}
	return out
}

// append appends a token without the brace that closes it.
func (t *token) append(dst []byte) []byte {
	dst = jsonedit.AppendString(append(dst, `{"token":`...), t.Token)
	dst = append(dst, `,"logprob":`...)
	if t.Logprob.Kind() == '0' {
		dst = append(dst, t.Logprob...)
	} else {
		dst = append(dst, '0') // left out: zero
	}
	return append(dst, `,"bytes":null`...)
}

// inline reads media that the model made: images and speech, which are
// extensions of the message as LiteLLM writes them.
func (d *decoder) inline(data *inlineData, index int) {
	s := &d.states[index]
	switch {
	case strings.HasPrefix(data.MimeType, "image/"):
		image := strconv.AppendInt([]byte(`{"type":"image_url","index":`), int64(s.count), 10)
		image = append(image, `,"image_url":{"url":`...)
		image = append(jsonedit.AppendString(image, "data:"+data.MimeType+";base64,"+data.Data), "}}"...)
		s.count++
		if d.stream {
			d.w.Extra(index, "images", append(append([]byte{'['}, image...), ']'))
			return
		}
		if len(s.images) > 0 {
			s.images = append(s.images, ',')
		}
		s.images = append(s.images, image...)
	case strings.HasPrefix(data.MimeType, "audio/"):
		audio := jsonedit.AppendString([]byte(`{"id":"audio_0","data":`), data.Data)
		audio = append(audio, `,"expires_at":0,"transcript":""}`...)
		if d.stream {
			d.w.Extra(index, "audio", audio)
		} else if s.audio == nil {
			s.audio = audio
		}
	}
}

// finishState writes the extensions of a choice that come once.
func (d *decoder) finishState(index int) {
	s := &d.states[index]
	if s.signature != "" {
		value := jsonedit.AppendString([]byte(`{"thought_signature":`), s.signature)
		d.w.Extra(index, "provider_specific_fields", append(value, '}'))
	}
	if d.stream {
		return
	}
	if len(s.images) > 0 {
		d.w.Extra(index, "images", append(append([]byte{'['}, s.images...), ']'))
	}
	if len(s.audio) > 0 {
		d.w.Extra(index, "audio", s.audio)
	}
}
