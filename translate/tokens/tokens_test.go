package tokens_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/tokens"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func TestTextIsCountedByTheModelsEncoding(t *testing.T) {
	c := tokens.New()
	// The numbers are tiktoken's own, from OpenAI's cookbook and its tests.
	tests := []struct {
		name, model, text string
		want              int64
	}{
		{"nothing", "gpt-4o", "", 0},
		{"English by cl100k", "gpt-4", "antidisestablishmentarianism", 6},
		{"English by o200k", "gpt-4o", "antidisestablishmentarianism", 6},
		{"Japanese by cl100k", "gpt-3.5-turbo", "お誕生日おめでとう", 9},
		{"Japanese by o200k", "openai/gpt-4.1", "お誕生日おめでとう", 8},
		{"another vendor's model by o200k", "claude-sonnet-4-5", "お誕生日おめでとう", 8},
		{"Azure's spelling of GPT-3.5", "gpt-35-turbo", "お誕生日おめでとう", 9},
		{"a special token is text", "gpt-4o", "<|endoftext|>", 7},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := c.Count(tt.model, tt.text); got != tt.want {
				t.Errorf("%d tokens, want %d", got, tt.want)
			}
		})
	}
}

func TestHugeTextsAreExtrapolated(t *testing.T) {
	c := tokens.New()
	const line = "The quick brown fox jumps over the lazy dog. "
	exact := c.Count("gpt-4o", strings.Repeat(line, 1000)) // 45 KB
	for _, times := range []int64{2, 100} {
		got := c.Count("gpt-4o", strings.Repeat(line, int(1000*times)))
		if off := got - exact*times; off > exact*times/20 || -off > exact*times/20 {
			t.Errorf("%d times the text: %d tokens, want %d within 5 %%", times, got, exact*times)
		}
	}
}

func request(t testing.TB, endpoint chat.Endpoint, body string) *chat.Request {
	t.Helper()
	req, err := chat.Parse(endpoint, []byte(body), "m")
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestPromptsAreCountedWithWhatSurroundsTheText(t *testing.T) {
	c := tokens.New()
	picture := "data:image/png;base64," + strings.Repeat("A", 100_000)
	tests := []struct {
		name     string
		endpoint chat.Endpoint
		body     string
		want     int64
	}{
		// The cookbook's example: 129 tokens by cl100k and 124 by o200k.
		{"the cookbook's conversation", chat.Completions, `{"messages":[
			{"role":"system","content":"You are a helpful, pattern-following assistant that translates corporate jargon into plain English."},
			{"role":"system","name":"example_user","content":"New synergies will help drive top-line growth."},
			{"role":"system","name":"example_assistant","content":"Things working well together will increase revenue."},
			{"role":"system","name":"example_user",
			"content":"Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."},
			{"role":"system","name":"example_assistant","content":"Let's talk later when we're less busy about how to do better."},
			{"role":"user","content":"This late pivot means we don't have time to boil the ocean for the client deliverable."}]}`, 124},
		{"one word", chat.Completions, `{"messages":[{"role":"user","content":"hi"}]}`, 3 + 3 + 1 + 1},
		{"an image is a flat sum, its bytes are not text", chat.Completions,
			`{"messages":[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image_url","image_url":{"url":"` + picture + `"}}]}]}`,
			8 + 765},
		{"an image of low detail", chat.Completions,
			`{"messages":[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image_url","image_url":{"url":"` + picture +
				`","detail":"low"}}]}]}`, 8 + 85},
		{"a tool's name, description and schema", chat.Completions,
			`{"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f","description":"hi",` +
				`"parameters":{}}}]}`, 8 + 8 + 1 + 1 + 1},
		{"a call", chat.Completions,
			`{"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"long-id","function":{"name":"f","arguments":"{}"}}]}]}`,
			3 + 3 + 1 + 8 + 1 + 1},
		{"a legacy prompt", chat.TextCompletions, `{"prompt":"hi"}`, 1},
		{"several texts to embed", chat.Embeddings, `{"input":["hi","hi"]}`, 2},
		{"texts to embed that are tokens already", chat.Embeddings, `{"input":[[1,2,3],[4]]}`, 4},
		{
			"Responses items", chat.Responses,
			`{"instructions":"hi","input":[{"role":"user","content":[{"type":"input_text","text":"hi"},{"type":"input_image","image_url":"` +
				picture + `"}]}]}`,
			1 + 1 + 2 + 1 + 2,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := c.Prompt("gpt-4o", request(t, tt.endpoint, tt.body)); got != tt.want {
				t.Errorf("%d tokens, want %d", got, tt.want)
			}
		})
	}
}

func TestAnAnswerWithoutUsageGetsOne(t *testing.T) {
	c := tokens.New()
	prompt := request(t, chat.Completions, `{"messages":[{"role":"user","content":"hi"}]}`)
	failed := &upstream.Error{Status: 502}
	tests := []struct {
		name   string
		req    *chat.Request
		result chat.Result
		want   chat.Usage
	}{
		{"a provider's usage stays", prompt, chat.Result{HasUsage: true, Usage: chat.Usage{Prompt: 1}}, chat.Usage{Prompt: 1}},
		{
			"a short answer is counted", prompt, chat.Result{Output: chat.Output{Bytes: 11, Sample: "hello world"}},
			chat.Usage{Prompt: 8, Completion: 2, Total: 10},
		},
		{
			"a long answer is extrapolated", prompt, chat.Result{Output: chat.Output{Bytes: 1100, Sample: "hello world"}},
			chat.Usage{Prompt: 8, Completion: 200, Total: 208},
		},
		{
			"an answer of which only the size is known is guessed", prompt, chat.Result{Output: chat.Output{Bytes: 400}},
			chat.Usage{Prompt: 8, Completion: 100, Total: 108},
		},
		{
			"an answer that broke off costs what was said", prompt,
			chat.Result{Failure: failed, Output: chat.Output{Bytes: 11, Sample: "hello world"}}, chat.Usage{Prompt: 8, Completion: 2, Total: 10},
		},
		{"an answer that failed before it began costs nothing", prompt, chat.Result{Failure: failed}, chat.Usage{}},
		{
			"vectors are no text", request(t, chat.Embeddings, `{"input":"hi"}`), chat.Result{Output: chat.Output{Bytes: 1 << 20}},
			chat.Usage{Prompt: 1, Total: 1},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := tt.result
			c.Estimate("gpt-4o", tt.req, &r)
			if diff := cmp.Diff(tt.want, r.Usage); diff != "" {
				t.Errorf("usage (-want +got):\n%s", diff)
			}
			if want := !tt.result.HasUsage && tt.want.Total > 0; r.Estimated != want {
				t.Errorf("estimated is %v", r.Estimated)
			}
		})
	}
}

func TestACounterServesManyAtOnce(t *testing.T) {
	c := tokens.New()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			c.Warm()
			for range 50 {
				if n := c.Count("gpt-4o", "hello world"); n != 2 {
					t.Errorf("%d tokens, want 2", n)
				}
			}
		})
	}
	group.Wait()
}

func TestGuessIsFourBytesAToken(t *testing.T) {
	for bytes, want := range map[int]int64{0: 0, 1: 1, 4: 1, 5: 2, 4000: 1000} {
		if got := tokens.Guess(bytes); got != want {
			t.Errorf("Guess(%d) = %d, want %d", bytes, got, want)
		}
	}
}

// FuzzPrompt: whatever is asked, the count is positive, never above what bytes
// can hold by much, and comes soon.
func FuzzPrompt(f *testing.F) {
	f.Add(`{"model":"m","messages":[{"role":"user","content":"hi"}]}`)
	f.Add(`{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"file_data":"data:text/plain;base64,AAAA"}}]}],` +
		`"tools":[{"function":{"name":"f"}}]}`)
	f.Add(`{"model":"m","messages":[],"prompt":[["a",1]],"input":[[[[1,"x"]]]]}`)
	c := tokens.New()
	f.Fuzz(func(t *testing.T, body string) {
		for _, endpoint := range []chat.Endpoint{chat.Completions, chat.TextCompletions, chat.Embeddings, chat.Responses} {
			req, err := chat.Parse(endpoint, []byte(body), "m")
			if err != nil {
				continue
			}
			// Each byte is at most one token, or part of what a message, a tool, a
			// call or a medium costs without its text.
			if n := c.Prompt("gpt-4o", req); n < 0 || n > int64(len(body))*100+10 {
				t.Errorf("%s: %d tokens in %d bytes", endpoint, n, len(body))
			}
		}
	})
}

func FuzzCount(f *testing.F) {
	f.Add("hello\xff world", 1)
	f.Add("日本語", 30_000)
	c := tokens.New()
	f.Fuzz(func(t *testing.T, text string, times int) {
		text = strings.Repeat(text, max(0, min(times, 1<<18/max(1, len(text)))))
		if n := c.Count("gpt-4o", text); n < 0 || n > int64(len(text))+1 {
			t.Errorf("%d tokens in %d bytes", n, len(text))
		}
	})
}

func BenchmarkPrompt(b *testing.B) {
	const line = "The quick brown fox jumps over the lazy dog. "
	c := tokens.New()
	c.Warm()
	for _, size := range []struct {
		name  string
		bytes int
	}{{"1KB", 1 << 10}, {"32KB", 32 << 10}, {"1MB", 1 << 20}} {
		b.Run(size.name, func(b *testing.B) {
			req := request(b, chat.Completions, `{"messages":[{"role":"user","content":"`+strings.Repeat(line, size.bytes/len(line))+`"}]}`)
			b.ReportAllocs()
			for b.Loop() {
				c.Prompt("gpt-4o", req)
			}
		})
	}
}

func BenchmarkEstimate(b *testing.B) {
	c := tokens.New()
	c.Warm()
	req := request(b, chat.Completions, `{"messages":[{"role":"user","content":"hi"}]}`)
	sample := strings.Repeat("All work and no play makes Jack a dull boy. ", 93)
	b.ReportAllocs()
	for b.Loop() {
		r := chat.Result{Output: chat.Output{Bytes: 1 << 20, Sample: sample}}
		c.Estimate("gpt-4o", req, &r)
	}
}

func TestWhatWasReportedOnTheWayStays(t *testing.T) {
	req, err := chat.Parse(chat.Completions, []byte(`{"model":"m","messages":[{"role":"user","content":"hi"}]}`), "")
	if err != nil {
		t.Fatal(err)
	}
	text := chat.Output{Bytes: 5000, Sample: strings.Repeat("word ", 100)} // a thousand tokens
	broken := &upstream.Error{Status: 502}
	for name, tc := range map[string]struct {
		result             chat.Result
		prompt, completion int64 // -1: estimated, more than nothing
		estimated          bool
	}{
		"the prompt's count": {
			chat.Result{Usage: chat.Usage{Prompt: 500, Total: 500, Cached: 3}, Output: text}, 500, -1, true,
		},
		"a completion's that is more than seen":   {chat.Result{Usage: chat.Usage{Prompt: 5, Completion: 3000}, Output: text}, 5, 3000, true},
		"not one that is less":                    {chat.Result{Usage: chat.Usage{Prompt: 5, Completion: 1}, Output: text}, 5, -1, true},
		"nothing was":                             {chat.Result{Output: text}, -1, -1, true},
		"the whole":                               {chat.Result{Usage: chat.Usage{Prompt: 5, Completion: 1}, HasUsage: true}, 5, 1, false},
		"a prompt, of an answer that then failed": {chat.Result{Usage: chat.Usage{Prompt: 5, Total: 5}, Failure: broken}, 5, 0, true},
		"nothing, of an answer that failed":       {chat.Result{Failure: broken}, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := tc.result
			tokens.New().Estimate("gpt-4o", req, &r)
			fits := func(got, want int64) bool { return got == want || want < 0 && got > 0 }
			if u := r.Usage; !fits(u.Prompt, tc.prompt) || !fits(u.Completion, tc.completion) || r.Estimated != tc.estimated ||
				tc.completion < 0 && (u.Completion < 900 || u.Completion > 1100) || u.Cached != tc.result.Usage.Cached {
				t.Errorf("%+v", r)
			}
		})
	}
}
