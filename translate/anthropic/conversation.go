package anthropic

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

const (
	user      = "user"
	assistant = "assistant"
)

// emptyText stands where a message has no text: Anthropic refuses empty ones.
// The words are LiteLLM's.
const emptyText = "[System: Empty message content sanitised to satisfy protocol]"

// conversation is how far the messages are written. Neighbouring messages of one
// role become one turn, and a turn begins with its first block, so that none is
// empty.
type conversation struct {
	role   string // of the next block
	open   string // of the turn being written; "" before the first
	marked bool   // the last block cannot take a cache_control any more
	final  int    // index of the message that ends it
	ids    callIDs
}

// system appends the text of all system messages, wherever they stand: only at
// the top does Anthropic take it for the operator's word.
func (b *body) system() error {
	begun := false
	for i := range b.c.Messages {
		m := &b.c.Messages[i]
		if !isSystem(m.Role) {
			continue
		}
		before := len(b.out)
		for j := range m.Content {
			p := &m.Content[j]
			if p.Type != "text" {
				return upstream.BadRequest("messages",
					fmt.Sprintf("messages[%d]: content[%d]: a %s message takes text parts only, not %q", i, j, m.Role, p.Type))
			}
			if blank(p.Text) {
				continue
			}
			if !begun {
				begun = true
				b.out = append(jsonedit.AppendName(b.out, "system"), '[')
			}
			b.out = jsonedit.AppendComma(b.out)
			b.text(p.Text)
			b.endBlock(p.CacheControl)
		}
		if len(b.out) > before {
			b.markLast(m.CacheControl)
		}
	}
	if begun {
		b.out = append(b.out, ']')
	}
	return nil
}

// turnOf returns the role of the turn that a message belongs to, "" for none.
func turnOf(role string) string {
	switch role {
	case "user", "tool", "function":
		return user
	case "assistant":
		return assistant
	}
	return ""
}

func isSystem(role string) bool { return role == "system" || role == "developer" }

// messages appends the conversation, turn by turn.
func (b *body) messages() error {
	b.out = append(jsonedit.AppendName(b.out, "messages"), '[')
	list := b.c.Messages
	for i := range list {
		switch role := list[i].Role; {
		case turnOf(role) != "":
			b.talk.final = i
		case !isSystem(role):
			return upstream.BadRequest("messages", fmt.Sprintf("messages[%d]: unknown role %q", i, role))
		}
	}
	for from := 0; from < len(list); {
		role, to := turnOf(list[from].Role), from+1
		for role != "" && to < len(list) && (turnOf(list[to].Role) == role || isSystem(list[to].Role)) {
			to++
		}
		if role != "" {
			if err := b.turn(from, to); err != nil {
				return err
			}
		}
		from = to
	}
	if b.talk.open == "" {
		b.openWithUser()
	}
	b.out = append(b.out, "]}]"...)
	return nil
}

// openWithUser writes the turn of the user with which every conversation must begin.
func (b *body) openWithUser() {
	b.out = append(b.out, `{"role":"user","content":[{"type":"text","text":"."}`...)
	b.talk.open = user
}

// turn appends neighbouring messages of one turn. What tools answered stands
// first, since Anthropic wants it right after the calls.
func (b *body) turn(from, to int) error {
	b.talk.role = turnOf(b.c.Messages[from].Role)
	b.talk.ids.turn++
	for _, results := range [...]bool{true, false} {
		for i := from; i < to; i++ {
			m := &b.c.Messages[i]
			if isSystem(m.Role) || results != (m.Role == "tool" || m.Role == "function") {
				continue
			}
			if err := b.message(m, i == b.talk.final); err != nil {
				return upstream.BadRequest("messages", fmt.Sprintf("messages[%d]: %s", i, err))
			}
		}
	}
	return nil
}

// message appends the blocks of one message; last says that it ends the
// conversation.
func (b *body) message(m *chat.Message, last bool) error {
	before := len(b.out)
	var err error
	switch m.Role {
	case "user":
		err = b.userMessage(m)
	case "assistant":
		err = b.assistantMessage(m, last)
	default:
		err = b.toolResult(m)
	}
	if err == nil && len(b.out) > before {
		b.markLast(m.CacheControl)
	}
	return err
}

// begin prepares for the next block, and begins its turn if the role changed.
func (b *body) begin() {
	t := &b.talk
	if t.open == "" && t.role == assistant {
		b.openWithUser()
	}
	if t.role == t.open {
		b.out = append(b.out, ',')
		return
	}
	if t.open != "" {
		b.out = append(b.out, "]},"...)
	}
	t.open = t.role
	b.out = append(b.out, `{"role":"`+t.role+`","content":[`...)
}

// text opens a text block.
func (b *body) text(text string) {
	b.out = append(b.out, `{"type":"text","text":`...)
	b.out = jsonedit.AppendString(b.out, text)
}

// endBlock closes a block with its cache_control, if it has one.
func (b *body) endBlock(mark jsontext.Value) {
	b.out, b.talk.marked = b.cache.append(b.out, mark)
	b.out = append(b.out, '}')
}

// markLast gives the last block, which has just been closed, the cache_control of
// its whole message.
func (b *body) markLast(mark jsontext.Value) {
	if mark.Kind() == '{' && !b.talk.marked {
		b.out = b.out[:len(b.out)-1]
		b.endBlock(mark)
	}
}

func blank(text string) bool { return strings.TrimSpace(text) == "" }

func (b *body) userMessage(m *chat.Message) error {
	before := len(b.out)
	for i := range m.Content {
		p := &m.Content[i]
		if (p.Type == "text" || p.Type == "refusal") && blank(p.Text) {
			continue
		}
		b.begin()
		if err := b.part(p); err != nil {
			return fmt.Errorf("content[%d]: %w", i, err)
		}
	}
	if len(b.out) == before {
		b.begin()
		b.text(emptyText)
		b.endBlock(nil)
	}
	return nil
}

// assistantMessage appends the signed thinking, then the text, then the calls.
// Anthropic goes on writing where the last message of the assistant ends, and
// wants no white space there.
func (b *body) assistantMessage(m *chat.Message, last bool) error {
	for i := range m.Thinking {
		b.thinking(&m.Thinking[i])
	}
	end := -1
	for i := range m.Content {
		if p := &m.Content[i]; p.Type != "text" && p.Type != "refusal" {
			return fmt.Errorf("content[%d]: an assistant message takes text parts only, not %q", i, p.Type)
		}
		if !blank(m.Content[i].Text) {
			end = i
		}
	}
	last = last && len(m.Calls) == 0
	for i := range m.Content {
		p := &m.Content[i]
		text := p.Text
		if blank(text) {
			if text = b.fill(m, last); text == "" {
				continue
			}
		}
		if last && i == end {
			text = strings.TrimRight(text, " \t\r\n")
		}
		b.begin()
		b.text(text)
		b.endBlock(p.CacheControl)
	}
	if end < 0 && !blank(m.Refusal) {
		b.begin()
		b.text(m.Refusal)
		b.endBlock(nil)
	}
	for i := range m.Calls {
		if err := b.call(&m.Calls[i]); err != nil {
			return fmt.Errorf("tool_calls[%d]: %w", i, err)
		}
	}
	return nil
}

// fill returns what stands for the blank text of an assistant, "" for nothing.
// As in LiteLLM an empty string is filled (a null is not), but not at the end,
// where the model would go on from it.
func (b *body) fill(m *chat.Message, last bool) string {
	if last || len(m.Content) != 1 || m.Refusal != "" {
		return ""
	}
	return emptyText
}

// thinking appends a block of an earlier answer, which Anthropic checks by its
// signature; without one it is another provider's.
func (b *body) thinking(t *chat.ThinkingBlock) {
	switch {
	case t.Type == "thinking" && t.Signature != "":
		b.begin()
		b.out = append(b.out, `{"type":"thinking","thinking":`...)
		b.out = jsonedit.AppendString(b.out, t.Thinking)
		b.out = jsonedit.AppendString(jsonedit.AppendName(b.out, "signature"), t.Signature)
	case t.Type == "redacted_thinking" && t.Data != "":
		b.begin()
		b.out = append(b.out, `{"type":"redacted_thinking","data":`...)
		b.out = jsonedit.AppendString(b.out, t.Data)
	default:
		return
	}
	b.out = append(b.out, '}')
	b.talk.marked = true // these take no cache_control
}

// call appends a tool_use block.
func (b *body) call(c *chat.Call) error {
	input := jsontext.Value(strings.TrimSpace(c.Arguments))
	if len(input) == 0 {
		input = jsontext.Value("{}")
	}
	if input.Kind() != '{' || !input.IsValid() {
		return fmt.Errorf("the arguments of a function call must be a JSON object")
	}
	id, again := b.talk.ids.call(c)
	if again {
		return nil
	}
	b.begin()
	b.out = append(b.out, `{"type":"tool_use","id":`...)
	b.out = jsonedit.AppendString(b.out, id)
	b.out = jsonedit.AppendString(jsonedit.AppendName(b.out, "name"), b.names.of(c.Name))
	b.out = jsonedit.AppendMember(b.out, "input", input)
	b.endBlock(c.CacheControl)
	return nil
}

// toolResult appends a tool_result block.
func (b *body) toolResult(m *chat.Message) error {
	id, err := b.talk.ids.result(m)
	if err != nil {
		return err
	}
	b.begin()
	b.out = append(b.out, `{"type":"tool_result","tool_use_id":`...)
	b.out = jsonedit.AppendString(b.out, id)
	b.out = jsonedit.AppendName(b.out, "content")
	if len(m.Content) == 0 || len(m.Content) == 1 && m.Content[0].Raw == nil {
		b.out = jsonedit.AppendString(b.out, m.Text())
		b.endBlock(nil)
		return nil
	}
	b.out = append(b.out, '[')
	for i := range m.Content {
		p := &m.Content[i]
		if p.Type == "text" && blank(p.Text) {
			continue
		}
		b.out = jsonedit.AppendComma(b.out)
		if err := b.part(p); err != nil {
			return fmt.Errorf("content[%d]: %w", i, err)
		}
	}
	b.out = append(b.out, ']')
	b.endBlock(nil)
	return nil
}
