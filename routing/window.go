package routing

import "slices"

// The context-window check leaves out deployments that a prompt cannot fit into.
// It counts no tokens: a wrong guess that leaves out a good deployment is worse
// than a request that the provider refuses, so a prompt must be twice as long as
// it may be by the usual four bytes a token.
const (
	bytesPerToken  = 4
	windowCertain  = 2 // times too large
	leastTokenText = bytesPerToken * windowCertain
)

// Tokens is about how many tokens the request's body holds: four bytes each.
func (c *Call) Tokens() int64 { return int64(len(c.Request.Body.Source()) / bytesPerToken) }

// fits reports whether the request may fit the deployment's context window.
func (r *Router) fits(d *Deployment, call *Call) bool {
	if !r.checkWindow || d.MaxInputTokens <= 0 {
		return true
	}
	limit := d.MaxInputTokens * leastTokenText
	// Images and files make a body long and are no text, so the text is looked
	// at only when the whole body is too long.
	return len(call.Request.Body.Source()) <= limit || call.textBytes() <= limit
}

// tooSmall reports whether no deployment of target i has the window.
func (r *Router) tooSmall(p *Plan, i int) bool {
	return r.checkWindow && !slices.ContainsFunc(p.targets[i].group, func(d *Deployment) bool { return r.fits(d, p.call) })
}

// textBytes is the length of the request's message text, counted once.
func (c *Call) textBytes() int {
	if c.text == 0 {
		c.text = 1 + textLength(c)
	}
	return c.text - 1
}

func textLength(c *Call) int {
	completion, err := c.Request.Completion(nil)
	if err != nil {
		return 0 // not a chat, or not one we can read: the provider will say
	}
	n := 0
	for i := range completion.Messages {
		for _, part := range completion.Messages[i].Content {
			n += len(part.Text)
		}
	}
	return n
}
