package anthropic

import (
	"fmt"
	"strconv"

	"github.com/isthmus-proxy/isthmus/translate/chat"
)

// callIDs keeps the ids of calls as Anthropic wants them: of letters, digits, "_"
// and "-", and each once in a conversation. Other providers' are not, and some
// count from zero in every answer.
type callIDs struct {
	turn   int
	free   unique
	given  map[string]given  // by the client's id
	byName map[string]string // of the last call of each function without an id (function_call)
	count  int
}

type given struct {
	id   string
	turn int
}

// call returns the id of a call; again says that its turn has it already.
func (c *callIDs) call(call *chat.Call) (id string, again bool) {
	if c.given == nil {
		c.given, c.byName = map[string]given{}, map[string]string{}
	}
	if call.ID == "" {
		c.count++
		id = c.free.take("call_" + strconv.Itoa(c.count))
		c.byName[call.Name] = id
		return id, false
	}
	if g, ok := c.given[call.ID]; ok && g.turn == c.turn {
		return g.id, true
	}
	id = c.free.take(plain(call.ID))
	c.given[call.ID] = given{id, c.turn}
	return id, false
}

// result returns the id of the call that a message answers.
func (c *callIDs) result(m *chat.Message) (string, error) {
	if m.CallID == "" {
		if id, ok := c.byName[m.Name]; ok {
			return id, nil
		}
		return "", fmt.Errorf("a %s message needs the tool_call_id of the call it answers", m.Role)
	}
	if g, ok := c.given[m.CallID]; ok {
		return g.id, nil
	}
	return plain(m.CallID), nil
}
