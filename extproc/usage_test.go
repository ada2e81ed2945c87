package extproc

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/tokens"
)

// TestTheUsageOfARelayedStream: what Envoy says of it, and what is estimated. The size
// of a token is what it is before anything was learned.
func TestTheUsageOfARelayedStream(t *testing.T) {
	const many = openingSize + firstTokenSize*1000 // bytes of a thousand tokens
	counted := func(prompt, completion int64) chat.Usage {
		return chat.Usage{Prompt: prompt, Completion: completion, Total: prompt + completion}
	}
	for name, tc := range map[string]struct {
		ended     ending
		usage     chat.Usage
		bytes     uint64
		want      chat.Usage // a prompt of -1: estimated, more than none
		estimated bool
	}{
		"that came to its end is what was reported":       {endedWhole, counted(5, 7), many, counted(5, 7), false},
		"that came to its end without a report":           {endedWhole, chat.Usage{}, many, counted(-1, 1000), true},
		"that came to its end with zeros":                 {endedWhole, counted(5, 0), many, counted(5, 1000), true},
		"whose report lacks the prompt":                   {endedWhole, chat.Usage{Completion: 7, Total: 7}, many, counted(-1, 7), true},
		"whose report lacks the prompt but has the total": {endedWhole, chat.Usage{Completion: 7, Total: 12}, many, counted(5, 7), false},
		"that was left":                                     {endedClient, chat.Usage{}, many, counted(-1, 1000), true},
		"that was left after an opening report":             {endedClient, counted(5, 1), many, counted(5, 1000), true},
		"that was left after an opening report of no token": {endedClient, counted(5, 0), many, counted(5, 1000), true},
		"that was left after the last report":               {endedClient, counted(5, 1100), many, counted(5, 1100), false},
		"that was left while it reported each token":        {endedClient, counted(5, 900), many, counted(5, 900), false},
		"that was left with its first token":                {endedClient, counted(5, 1), openingSize + firstTokenSize, counted(5, 1), false},
		"that broke off":                                    {endedUpstream, chat.Usage{}, many, counted(-1, 1000), true},
		"that stalled":                                      {endedTimeout, counted(5, 0), many, counted(5, 1000), true},
		"that was left before anything came":                {endedClient, chat.Usage{}, 0, counted(-1, 0), true},
	} {
		t.Run(name, func(t *testing.T) {
			u := relayedUsage(t, &Runtime{}, tc.ended, tc.usage, int64(tc.bytes))
			if tc.want.Prompt < 0 && u.Usage.Prompt > 0 {
				tc.want.Prompt, tc.want.Total = u.Usage.Prompt, u.Usage.Prompt+tc.want.Completion
			}
			if u.Usage != tc.want || u.Estimated != tc.estimated || !u.HasUsage {
				t.Errorf("%+v, want %+v", u, tc.want)
			}
		})
	}
}

// relayedUsage is the usage of a stream of a deployment that Envoy has relayed.
func relayedUsage(t *testing.T, rt *Runtime, ended ending, reported chat.Usage, bytes int64) chat.Result {
	t.Helper()
	req, err := chat.Parse(chat.Completions, []byte(`{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}`), "")
	if err != nil {
		t.Fatal(err)
	}
	hop := hopTo("m", "a", 0)
	o := &outcome{by: byDeployment, relayed: true, served: &hop, ended: ended}
	x := &exchange{snapshot: &Snapshot{tokens: tokens.New(), runtime: rt}, request: req}
	reported = reported.Completed()
	x.usageFromLog(o, &logEntry{ended: ended, usage: reported, known: reported.Total > 0, bytes: bytes})
	return o.result
}

// dialect is how a server writes the events of a stream: one token in each.
type dialect struct{ before, after string }

// dialects are the streams that the first size of a token was measured by.
func dialects() map[string]dialect {
	const id, created = "chatcmpl-8b3bf0a1c2d34e5f8b3bf0a1c2d34e5f", `"created":1756942812,`
	head := func(id, model string) string {
		return `data: {"id":"` + id + `","object":"chat.completion.chunk",` + created + `"model":"` + model + `",`
	}
	const first, open = `"choices":[{"index":0,"delta":{"content":`, `},"logprobs":null,"finish_reason":null`
	openai := head(id[:38], "gpt-4o-mini-2024-07-18") + `"service_tier":"default","system_fingerprint":"fp_8bda4d3a2c",` + first
	return map[string]dialect{
		"OpenAI":                     {openai, open + `}],"usage":null,"obfuscation":"0Q7Xk9aBcD"}` + "\n\n"},
		"OpenAI without obfuscation": {openai, open + `}],"usage":null}` + "\n\n"},
		"vLLM":                       {head(id, "meta-llama/Llama-3.1-8B-Instruct") + first, open + `}]}` + "\n\n"},
		"SGLang": {
			head(id[9:], "qwen") + `"choices":[{"index":0,"delta":{"role":null,"content":`,
			`,"reasoning_content":null,"tool_calls":null` + open + `,"matched_stop":null}],"usage":null}` + "\n\n",
		},
		"llama.cpp": {
			`data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":`,
			`}}],` + created + `"id":"` + id + `","model":"gpt-3.5-turbo","system_fingerprint":"b6345-0a1b2c3d",` +
				`"object":"chat.completion.chunk"}` + "\n\n",
		},
		"Ollama": {
			head("chatcmpl-123", "llama3.2") + `"system_fingerprint":"fp_ollama","choices":[{"index":0,"delta":{"role":"assistant","content":`,
			`},"finish_reason":null}]}` + "\n\n",
		},
	}
}

// sized is how many bytes a stream of so many tokens has, several in each event: its
// opening, its text, and where it is whole its end.
func (d dialect) sized(tokens, each int, whole bool) int64 {
	bare := len(d.before) + len(d.after)
	n := bare + (tokens+each-1)/each*(bare+2) + 5*tokens
	if whole {
		n += 2*bare + 100 + len("data: [DONE]\n\n")
	}
	return int64(n)
}

// TestTheSizeOfATokenIsLearned holds the estimate to the bounds that docs/limits.md
// gives: before the first whole stream, and after some.
func TestTheSizeOfATokenIsLearned(t *testing.T) {
	for name, d := range dialects() {
		for _, each := range []int{1, 4, 20} {
			rt := &Runtime{}
			off := func(tokens int) float64 {
				return float64(relayedUsage(t, rt, endedClient, chat.Usage{}, d.sized(tokens, each, false)).Usage.Completion) / float64(tokens)
			}
			if first := off(1000); each == 1 && (first < 1 || first > 1.6) {
				t.Errorf("%s: before anything is learned %.2f times the tokens are counted", name, first)
			}
			for range 20 {
				const tokens = 300
				relayedUsage(t, rt, endedWhole, chat.Usage{Prompt: 5, Completion: tokens}, d.sized(tokens, each, true))
			}
			for _, tokens := range []int{100, 1000, 10_000} {
				if then := off(tokens); then < 0.85 || then > 1.1 {
					t.Errorf("%s, %d tokens an event: of %d tokens %.2f times as many are counted", name, each, tokens, then)
				}
			}
		}
	}
}

func TestTheSizeOfATokenIsBounded(t *testing.T) {
	var s tokenSize
	for _, n := range []struct{ bytes, completion int64 }{{1 << 50, 1}, {0, 1 << 40}, {0, 0}, {1 << 50, 1 << 20}} {
		for range 100 {
			s.learn(n.bytes, n.completion)
		}
		if got := s.tokens(1 << 20); got < (1<<19)/mostTokenSize || got > (1<<20)/leastTokenSize {
			t.Errorf("after %v a MiB has %d tokens", n, got)
		}
	}
}
