package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/soak/ending"
)

// kind is one sort of request of the load.
type kind struct {
	name   string // letters only: it is in the request's tag
	share  int
	path   string // below /v1/
	model  string
	stream bool
	cached bool // asks for an answer from the cache: its text is one of a few
	leaves bool // goes away in the middle of its answer
}

// relayed reports whether the answer passes before isthmus can know what it is: a stream of
// the Responses API, whose first content may be anything, and vectors.
func (k kind) relayed() bool {
	return k.path == responsesPath && k.stream || k.path == embeddingsPath
}

const (
	responsesPath  = "responses"
	embeddingsPath = "embeddings"
)

// kinds are the load. The models are those of the stack's config.
func kinds() []kind {
	const chat, responses = "chat/completions", responsesPath
	return []kind{
		{name: "steady", share: 3, path: chat, model: "steady"},
		{name: "steadystream", share: 3, path: chat, model: "steady", stream: true},
		{name: "limited", share: 3, path: chat, model: "limited"},
		{name: "limitedstream", share: 3, path: chat, model: "limited", stream: true},
		{name: "shared", share: 2, path: chat, model: "shared"},
		{name: "sharedstream", share: 2, path: chat, model: "shared", stream: true},
		{name: "cascade", share: 2, path: chat, model: "cascade"},
		{name: "cascadestream", share: 2, path: chat, model: "cascade", stream: true},
		{name: "alone", share: 1, path: chat, model: "alone"},
		{name: "alonestream", share: 1, path: chat, model: "alone", stream: true},
		{name: "claude", share: 1, path: chat, model: "claude"},
		{name: "claudestream", share: 1, path: chat, model: "claude", stream: true},
		{name: "embeddings", share: 2, path: embeddingsPath, model: "shared"},
		{name: "legacy", share: 1, path: "completions", model: "shared"},
		{name: "responses", share: 1, path: responses, model: "shared"},
		{name: "responsesstream", share: 1, path: responses, model: "shared", stream: true},
		{name: "cached", share: 2, path: chat, model: "steady", cached: true},
		{name: "leaving", share: 1, path: chat, model: "limited", stream: true, leaves: true},
	}
}

// mostTokens is the max_tokens of each request, which bounds the estimates.
const mostTokens = 20

// body is a request with this tag; text is the tag that its provider sees.
func (k *kind) body(text string) string {
	more := fmt.Sprintf(`"messages":[{"role":"user","content":%q}],"max_tokens":%d`, text, mostTokens)
	switch k.path {
	case embeddingsPath:
		more = fmt.Sprintf(`"input":%q`, text)
	case "completions":
		more = fmt.Sprintf(`"prompt":%q,"max_tokens":%d`, text, mostTokens)
	case "responses":
		more = fmt.Sprintf(`"input":%q,"max_output_tokens":%d`, text, mostTokens)
	}
	if k.stream {
		more += `,"stream":true`
	}
	if k.cached {
		more += `,"cache":{"use-cache":true}`
	}
	return fmt.Sprintf(`{"model":%q,%s}`, k.model, more)
}

// request is one request of the load, and what its client saw.
type request struct {
	kind     kind
	tag      string // in its text, and the trace id of its record
	text     string // the tag that its provider sees; another one of requests to the cache
	caller   string
	began    time.Time
	ended    time.Time
	calm     bool   // no fault had been there yet when it ended
	status   int    // 0: no answer began
	code     string // of the error that it got
	id       string // x-isthmus-request-id; "" when the service did not answer
	attempts string // x-isthmus-attempts
	how      how
	told     bool  // it was cut behind its last event
	err      error // why it is neither answered nor failed cleanly, or how it was cut
}

// how a request ended for its client.
type how string

const (
	answered    how = "answered"
	failed      how = "failed"      // with a whole error
	cut         how = "cut"         // after its answer had begun
	left        how = "left"        // its client went away, as it should
	unreachable how = "unreachable" // the connection was refused, or ended before an answer
	wrong       how = "wrong"       // anything else
	late        how = "late"        // nothing of these within its deadline
)

// load makes requests until it is stopped. It is safe for concurrent use.
type load struct {
	url      string
	deadline time.Duration
	broken   atomic.Bool // a fault has been there
	next     atomic.Int64

	mu   sync.Mutex
	done []request // in the order of their ends
}

// clients are how many requests run at once, and clientPause what each client waits
// between two: two processors have all of the stack to run.
const (
	clients     = 10
	clientPause = 40 * time.Millisecond
)

// run makes requests until ctx ends, and waits for the last of them.
func (l *load) run(ctx context.Context) {
	mix := kinds()
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() { l.client(ctx, i, mix) })
	}
	all.Wait()
}

// client speaks HTTP/2 when its number is odd, else HTTP/1.1.
func (l *load) client(ctx context.Context, number int, mix []kind) {
	t := &http.Transport{MaxIdleConnsPerHost: 1, DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext}
	if number%2 == 1 {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetUnencryptedHTTP2(true)
	}
	defer t.CloseIdleConnections()
	web := &http.Client{Transport: t}
	roll := rand.New(rand.NewPCG(uint64(number), 11))
	var bag []kind // each kind as often as its share
	for _, k := range mix {
		for range k.share {
			bag = append(bag, k)
		}
	}
	for ctx.Err() == nil {
		l.add(l.send(web, bag[roll.IntN(len(bag))], fmt.Sprintf("caller-%d", number%3), roll.IntN(6)))
		select {
		case <-ctx.Done():
		case <-time.After(clientPause):
		}
	}
}

func (l *load) add(r request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = append(l.done, r)
}

// requests are those that have ended.
func (l *load) requests() []request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.done)
}

// send makes one request; pick chooses the text of one to the cache.
func (l *load) send(web *http.Client, k kind, caller string, pick int) request {
	r := request{kind: k, caller: caller, began: time.Now()}
	r.tag = fmt.Sprintf("tag-%s-%d", k.name, l.next.Add(1))
	r.text = r.tag
	if k.cached {
		r.text = fmt.Sprintf("tag-stored-%d", pick)
	}
	ctx, cancel := context.WithTimeout(context.Background(), l.deadline)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url+"/v1/"+k.path, strings.NewReader(k.body(r.text)))
	if err != nil {
		r.how, r.err = wrong, err
		return r
	}
	req.Header = http.Header{"Content-Type": {"application/json"}, "X-Litellm-Trace-Id": {r.tag}, "X-Caller": {caller}}
	resp, err := web.Do(req)
	if err == nil {
		r.read(ctx, resp, cancel)
	} else {
		r.how, r.err = unreachable, err
	}
	r.ended, r.calm = time.Now(), !l.broken.Load()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		r.how = late
	}
	return r
}

// leaveAfter is how much a client reads that leaves: the first events.
const leaveAfter = 200

// endlessText is more than any answer of the load has: a client that gets as much goes
// away.
const endlessText = 4 << 20

// read reads the answer and says how the request ended.
func (r *request) read(ctx context.Context, resp *http.Response, leave func()) {
	defer func() { _ = resp.Body.Close() }()
	r.status, r.id, r.attempts = resp.StatusCode, resp.Header.Get("X-Isthmus-Request-Id"), resp.Header.Get("X-Isthmus-Attempts")
	most := int64(endlessText)
	if r.kind.leaves && r.status == http.StatusOK {
		most = leaveAfter
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, most))
	switch {
	case int64(len(text)) == most && r.status == http.StatusOK:
		leave()
		r.how = left
		return
	case err != nil && r.status == http.StatusOK && ctx.Err() == nil:
		r.how, r.err = cut, err
		e, lacks := ending.Of(r.status, r.kind.stream, false, text)
		r.told = lacks == nil && e == ending.Answered
		return
	case err != nil:
		r.how, r.err = wrong, fmt.Errorf("status %d, then %w", r.status, err)
		return
	}
	e, err := ending.Of(r.status, r.kind.stream, false, text)
	switch {
	case err != nil:
		r.how, r.err = wrong, err
	case e == ending.Failed:
		r.how = failed
		if r.code, _ = ending.Error(text); r.code == "" {
			r.code, _ = ending.LastError(text)
		}
	case !strings.Contains(string(text), r.text):
		r.how, r.err = wrong, fmt.Errorf("a whole answer that is not this request's: …%s", text[max(0, len(text)-200):])
	default:
		r.how = answered
	}
}
