package chat

import "github.com/isthmus-proxy/isthmus/translate/upstream"

// Sorted are the parameters of one request as a provider without OpenAI's body
// takes them. The zero value is empty.
type Sorted struct {
	Top     Members  // members of the provider's body itself
	Lacking []string // what the provider does not have
}

// Each hands every parameter of a completion to take, which the provider's
// package sorts it with. It keeps back the logprobs of a legacy completion, a
// number that asks for an answer of another form: chat models lack that.
func (s *Sorted) Each(endpoint Endpoint, c *Completion, take func(upstream.Param) error) error {
	for _, p := range c.Params {
		if endpoint == TextCompletions && p.Name == "logprobs" {
			s.Lacking = append(s.Lacking, p.Name)
			continue
		}
		if err := take(p); err != nil {
			return err
		}
	}
	return nil
}

// Unknown takes a parameter that the provider lacks: one that the deployment
// allows goes out as it is, one that asks for nothing is dropped.
func (s *Sorted) Unknown(t *upstream.Target, p upstream.Param) {
	switch {
	case t.Allows(p.Name):
		s.Top.Add(p.Name, p.Value)
	case !Idle(p):
		s.Lacking = append(s.Lacking, p.Name)
	}
}
