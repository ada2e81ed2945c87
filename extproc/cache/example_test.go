package cache_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/translate/chat"
)

// A streaming request is answered by a provider; a blocking one with the same
// question gets the same answer from the cache.
func Example() {
	local, err := cache.NewLocal(64 << 20)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer local.Close()
	c := cache.New(cache.Config{Blobs: local, Namespace: "demo"})
	defer func() { _ = c.Close(context.Background()) }()

	for _, body := range []string{
		`{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}`,
		`{"messages":[{"content":"hi","role":"user"}],"model":"m"}`,
	} {
		req, _ := chat.Parse(chat.Completions, []byte(body), "")
		controls, _ := cache.ReadControls(req, nil)
		if !c.Uses(req, controls) {
			continue // bypass
		}
		key := c.Key(req, cache.Scope{Tenant: "team-a", Namespace: controls.Namespace})
		reply := c.Ask(context.Background(), key, controls)
		fmt.Print(cache.Headers(reply.Status, key, reply.Entry, c.Now())[0].Value, ": ")
		if reply.Entry != nil {
			fmt.Println(strings.ReplaceAll(string(reply.Entry.Body(req)), `,"choices"`, ",\n\"choices\""))
			continue
		}
		func() {
			defer reply.Ticket.Leave() // where every request ends: does nothing after Done
			recorder := reply.Ticket.Recorder(req, true)
			for _, chunk := range []string{
				`{"id":"1","created":5,"model":"m-1","choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"},"finish_reason":null}]}`,
				`{"id":"1","created":5,"model":"m-1","choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}`,
				`[DONE]`,
			} {
				recorder.Feed([]byte("data: " + chunk + "\n\n"))
			}
			entry, err := recorder.Finish(cache.Served{Provider: "openai"}, chat.Result{}, c.Now())
			if err != nil {
				reply.Ticket.Unstorable()
				return
			}
			reply.Ticket.Done(entry)
			fmt.Println("asked", entry.Served.Provider)
		}()
	}
	// Output:
	// miss: asked openai
	// hit: {"object":"chat.completion","id":"1","created":5,"model":"m-1",
	// "choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"logprobs":null,"finish_reason":"stop"}]}
}
