package translatetest

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// FuzzRequest holds the provider's deployments to it that whatever valid chat
// request comes in, a valid body goes out, or an error for the client.
func FuzzRequest(f *testing.F, s Suite, targets []upstream.Target, seeds ...string) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, endpoint := range []chat.Endpoint{chat.Completions, chat.TextCompletions} {
			req, err := chat.Parse(endpoint, []byte(body), "m")
			if err != nil {
				continue
			}
			for i := range targets {
				call, err := s.Bind(t, targets[i]).Request(req)
				if err != nil {
					Refusal(t, err)
				} else if !jsontext.Value(call.Text()).IsValid() {
					t.Errorf("%s of %s: invalid body: %s", endpoint, targets[i].Model, call.Text())
				}
			}
		}
	})
}

// FuzzDecoder holds the provider's Decoder to it that no answer, cut anywhere,
// breaks it, that how it is cut does not show, and that what goes out is JSON.
// It is for providers whose answers are rewritten. The requests come on top of
// those that every provider is asked.
func FuzzDecoder(f *testing.F, s Suite, requests []*chat.Request, answers ...string) {
	for i, answer := range answers {
		f.Add(answer, 3+7*i)
	}
	requests = append(requests,
		Request(f, chat.Completions, `{"messages":[],"stream":true,"stream_options":{"include_usage":true}}`),
		Request(f, chat.Completions, `{"messages":[]}`),
		Request(f, chat.TextCompletions, `{"prompt":"a","stream":true}`),
	)
	tr := s.Bind(f, upstream.Target{})
	if tr.Supports(chat.Embeddings) {
		requests = append(requests, Request(f, chat.Embeddings, `{"input":"a"}`))
	}
	f.Fuzz(func(t *testing.T, answer string, cut int) {
		cut = min(max(cut, 0), len(answer))
		for _, request := range requests {
			whole, _ := Feed(t, tr.Decoder(request, upstream.Head{Status: 200}), answer)
			if halves, _ := Feed(t, tr.Decoder(request, upstream.Head{Status: 200}), answer[:cut], answer[cut:]); halves != whole {
				t.Errorf("%s cut at %d:\n%s\nwhole:\n%s", request.Endpoint, cut, halves, whole)
			}
			if !request.Stream && whole != "" {
				whole = "data: " + whole + "\n\n"
			}
			for _, event := range strings.SplitAfter(whole, "\n\n") {
				data := strings.TrimSuffix(strings.TrimPrefix(event, "data: "), "\n\n")
				if event != "" && data != "[DONE]" && !jsontext.Value(data).IsValid() {
					t.Errorf("invalid event %q", event)
				}
			}
		}
	})
}
