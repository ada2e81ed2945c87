package cache_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// embedder answers an embeddings request: a vector that tells its item, ten
// tokens for each, the items in reverse order.
func embedder(t testing.TB, req *chat.Request) []byte {
	t.Helper()
	v, _ := req.Body.Get("input")
	items := []jsontext.Value{v}
	if v.Kind() == '[' && !strings.HasPrefix(string(v), "[1") {
		items = nil
		if err := json.Unmarshal(v, &items); err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	b.WriteString(`{"object":"list","data":[`)
	for i := len(items) - 1; i >= 0; i-- {
		fmt.Fprintf(&b, `{"object":"embedding","index":%d,"embedding":[%q]}`, i, strings.Trim(string(items[i]), `"`))
		if i > 0 {
			b.WriteByte(',')
		}
	}
	fmt.Fprintf(&b, `],"model":"emb-1","usage":{"prompt_tokens":%d,"total_tokens":%d}}`, 10*len(items), 10*len(items))
	return []byte(b.String())
}

type embedded struct {
	Data []struct {
		Index     int      `json:"index"`
		Embedding []string `json:"embedding"`
	} `json:"data"`
	Model string `json:"model"`
	Usage struct {
		Prompt int `json:"prompt_tokens"`
		Total  int `json:"total_tokens"`
	} `json:"usage"`
}

// embed sends one request through the cache as the integrator does and returns
// what the client gets and what the provider was asked; "" is nothing.
func embed(t testing.TB, c *cache.Cache, body string, controls cache.Controls) (got embedded, asked string, status cache.Status) {
	t.Helper()
	req := parse(t, chat.Embeddings, body)
	batch, ok := c.Split(req, cache.Scope{})
	if !ok {
		t.Fatalf("cannot split %s", body)
	}
	reply := c.AskBatch(t.Context(), batch, controls)
	var answer []byte
	if reply.Entry != nil {
		answer = reply.Entry.Body(req)
	} else {
		answer = embedder(t, batch.Request())
		v, _ := batch.Request().Body.Get("input")
		asked = string(v)
		answer = sent{req, batch, reply.Ticket}.finish(t, answer)
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	for i, item := range got.Data {
		if item.Index != i && batch.Partial() {
			t.Errorf("item %d has index %d: %s", i, item.Index, answer)
		}
	}
	return got, asked, reply.Status
}

// sent is a request that went to a provider.
type sent struct {
	req    *chat.Request
	batch  *cache.Batch
	ticket *cache.Ticket
}

// finish is what the integrator does at the end of a provider's answer.
func (s sent) finish(t testing.TB, answer []byte) []byte {
	t.Helper()
	if s.batch.Partial() {
		merged, err := s.batch.Merge(answer)
		if err != nil {
			t.Fatal(err)
		}
		answer = merged
	}
	if r := s.ticket.Recorder(s.req, false); r != nil {
		r.Feed(answer)
		e, err := r.Finish(cache.Served{}, chat.Result{HasUsage: true, Usage: chat.Usage{Prompt: 10, Total: 10}}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		s.ticket.Done(e)
	}
	s.ticket.Leave()
	return answer
}

func texts(e embedded) []string {
	out := make([]string, len(e.Data))
	for _, item := range e.Data {
		out[item.Index] = item.Embedding[0]
	}
	return out
}

func TestOfAListOnlyTheMissingItemsAreAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := setup(t, cache.Config{})
		steps := []struct {
			body, asked string
			status      cache.Status
			want        []string
		}{
			{`{"model":"m","input":["a","b"]}`, `["a","b"]`, cache.Miss, []string{"a", "b"}},
			{`{"model":"m","input":["a","b"]}`, ``, cache.Hit, []string{"a", "b"}},
			{`{"model":"m","input":["c","a","d","b"],"user":null}`, `["c","a","d","b"]`, cache.Miss, []string{"c", "a", "d", "b"}},
			{`{"model":"m","input":["x","a","y","b"]}`, `["x","y"]`, cache.Miss, []string{"x", "a", "y", "b"}},
			{`{"model":"m","input":["b","y","x"]}`, ``, cache.Hit, []string{"b", "y", "x"}},
			{`{"model":"m","input":"y"}`, ``, cache.Hit, []string{"y"}},
			{`{"model":"m","input":"z"}`, `"z"`, cache.Miss, []string{"z"}},
			{`{"model":"m","input":["z"]}`, ``, cache.Hit, []string{"z"}},
			{`{"model":"m","input":["z","z","new"]}`, `["new"]`, cache.Miss, []string{"z", "z", "new"}},
			{`{"model":"m","input":["z"],"dimensions":8}`, `["z"]`, cache.Miss, []string{"z"}},
			{`{"model":"m","input":["z"],"encoding_format":"base64"}`, `["z"]`, cache.Miss, []string{"z"}},
			{`{"model":"other","input":["z"]}`, `["z"]`, cache.Miss, []string{"z"}},
			{`{"model":"m","input":[1,2,3]}`, `[1,2,3]`, cache.Miss, []string{"[1,2,3]"}},
			{`{"model":"m","input":[1,2,3]}`, ``, cache.Hit, []string{"[1,2,3]"}},
		}
		for i, step := range steps {
			got, asked, status := embed(t, c, step.body, cache.Controls{})
			if asked != step.asked || status != step.status {
				t.Errorf("step %d: asked %s, %s", i, asked, status)
			}
			if diff := cmp.Diff(step.want, texts(got)); diff != "" {
				t.Errorf("step %d (-want +got):\n%s", i, diff)
			}
			if want := 10 * len(step.want); got.Usage.Prompt != want || got.Usage.Total != want || got.Model != "emb-1" {
				t.Errorf("step %d: %+v, want %d tokens", i, got, want)
			}
			synctest.Wait()
		}
	})
}

func TestABatchObeysTheControls(t *testing.T) {
	c, s := setup(t, cache.Config{})
	if _, _, status := embed(t, c, `{"model":"m","input":["a","b"]}`, cache.Controls{NoStore: true}); status != cache.Miss {
		t.Errorf("status = %s", status)
	}
	_ = c.Close(t.Context())
	if len(s.values) != 0 {
		t.Errorf("no-store stored %d items", len(s.values))
	}
	c, _ = setup(t, cache.Config{})
	embed(t, c, `{"model":"m","input":["a","b"]}`, cache.Controls{})
	if _, asked, status := embed(t, c, `{"model":"m","input":["a","b"]}`, cache.Controls{NoCache: true}); status != cache.Bypass ||
		asked != `["a","b"]` {
		t.Errorf("%s, asked %s", status, asked)
	}
}

func TestIdenticalBatchesAreOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := setup(t, cache.Config{})
		var calls, hits atomic.Int64
		done := make(chan struct{})
		for range 20 {
			go func() {
				defer func() { done <- struct{}{} }()
				req := parse(t, chat.Embeddings, `{"model":"m","input":["a","b"]}`)
				batch, _ := c.Split(req, cache.Scope{})
				reply := c.AskBatch(context.Background(), batch, cache.Controls{})
				if reply.Entry != nil {
					hits.Add(1)
					return
				}
				calls.Add(1)
				time.Sleep(time.Second)
				sent{req, batch, reply.Ticket}.finish(t, embedder(t, batch.Request()))
			}()
		}
		for range 20 {
			<-done
		}
		if calls.Load() != 1 || hits.Load() != 19 {
			t.Errorf("%d calls, %d hits", calls.Load(), hits.Load())
		}
	})
}

func TestAnAnswerWithOtherItemsIsNotMerged(t *testing.T) {
	c, _ := setup(t, cache.Config{})
	embed(t, c, `{"model":"m","input":["a"]}`, cache.Controls{})
	for name, answer := range map[string]string{
		"no JSON":             `x`,
		"too few":             `{"data":[]}`,
		"too many":            `{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1]}]}`,
		"an index outside":    `{"data":[{"index":1,"embedding":[1]}]}`,
		"an item of no shape": `{"data":[7]}`,
		"no vector":           `{"data":[{"index":0,"embedding":null}]}`,
	} {
		batch, _ := c.Split(parse(t, chat.Embeddings, `{"model":"m","input":["a","b"]}`), cache.Scope{})
		reply := c.AskBatch(t.Context(), batch, cache.Controls{})
		if !batch.Partial() {
			t.Fatal("nothing stored")
		}
		if merged, err := batch.Merge([]byte(answer)); err == nil {
			t.Errorf("%s: merged to %s", name, merged)
		}
		reply.Ticket.Failed()
	}
}

func TestWhatCannotBeSplit(t *testing.T) {
	c, _ := setup(t, cache.Config{})
	for name, body := range map[string]string{
		"a list of other things": `{"model":"m","input":[{"a":1},"b"]}`,
		"an object":              `{"model":"m","input":{"a":1}}`,
		"nothing":                `{"model":"m","input":null}`,
		"a list without end":     `{"model":"m","input":["a"` + strings.Repeat(`,"a"`, 2048) + `]}`,
	} {
		if _, ok := c.Split(parse(t, chat.Embeddings, body), cache.Scope{}); ok {
			t.Errorf("%s was split", name)
		}
	}
	if _, ok := c.Split(asking(t, 1, ""), cache.Scope{}); ok {
		t.Error("a chat was split")
	}
}

func TestVectorsOfOneModelOnlyMix(t *testing.T) {
	small, again, large := &upstream.Target{Model: "small"}, &upstream.Target{Provider: "azure", Model: "dep", BaseModel: "small"},
		&upstream.Target{Model: "large"}
	if !cache.Mixable([]*upstream.Target{small, again}) || cache.Mixable([]*upstream.Target{small, large}) || cache.Mixable(nil) {
		t.Error("mixable is wrong")
	}
}

// many is a shelf that reads many keys at once.
type many struct {
	*shelf
	calls int
}

func (m *many) GetMany(ctx context.Context, keys []string) ([][]byte, error) {
	m.calls++
	out := make([][]byte, len(keys))
	for i, key := range keys {
		out[i], _ = m.Get(ctx, key)
	}
	return out, m.fault(ctx)
}

func TestABatchIsLookedUpInOneRoundTripWhereTheStoreCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &many{shelf: newShelf()}
		c := cache.New(cache.Config{Blobs: m, LookupTimeout: time.Second})
		defer func() { _ = c.Close(context.Background()) }()
		embed(t, c, `{"model":"m","input":["a","b"]}`, cache.Controls{})
		synctest.Wait()
		if _, asked, _ := embed(t, c, `{"model":"m","input":["a","c","b"]}`, cache.Controls{}); asked != `["c"]` || m.calls != 2 {
			t.Errorf("asked %s with %d calls", asked, m.calls)
		}
		m.frozen.Store(true)
		if _, asked, _ := embed(t, c, `{"model":"m","input":["x","y"]}`, cache.Controls{}); asked != `["x","y"]` {
			t.Errorf("asked %s of a frozen store", asked)
		}
		m.frozen.Store(false)
	})
}

func TestALookupItemByItemStopsWhenItsTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := setup(t, cache.Config{LookupTimeout: 30 * time.Millisecond})
		s.frozen.Store(true)
		began := time.Now()
		batch, _ := c.Split(parse(t, chat.Embeddings, `{"model":"m","input":["a","b","c"]}`), cache.Scope{})
		c.AskBatch(t.Context(), batch, cache.Controls{}).Ticket.Leave()
		if took := time.Since(began); took != 30*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}

func BenchmarkBatch(b *testing.B) {
	l, err := cache.NewLocal(0)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	c := cache.New(cache.Config{Blobs: l})
	defer func() { _ = c.Close(context.Background()) }()
	vector := `[` + strings.Repeat("-0.0123456789,", 255) + `1]`
	var input, data []string
	for i := range 32 {
		input = append(input, fmt.Sprintf(`"item %d"`, i))
		data = append(data, fmt.Sprintf(`{"object":"embedding","index":%d,"embedding":%s}`, i, vector))
	}
	req := parse(b, chat.Embeddings, `{"model":"m","input":[`+strings.Join(input, ",")+`]}`)
	body := []byte(`{"object":"list","data":[` + strings.Join(data, ",") + `],"model":"e","usage":{"prompt_tokens":9,"total_tokens":9}}`)
	batch, _ := c.Split(req, cache.Scope{})
	sent{req, batch, c.AskBatch(context.Background(), batch, cache.Controls{}).Ticket}.finish(b, body)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		batch, _ := c.Split(req, cache.Scope{})
		if r := c.AskBatch(context.Background(), batch, cache.Controls{}); r.Entry == nil {
			b.Fatal("a miss")
		}
	}
}
