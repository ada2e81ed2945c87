package cache

import (
	"context"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Batch is an embeddings request taken apart: each item of its input has an
// entry of its own, so that only those that are not stored are asked for. It
// belongs to one request and is not safe for concurrent use.
type Batch struct {
	cache  *Cache
	req    *chat.Request
	whole  Key
	keys   []Key
	items  []jsontext.Value
	found  []*Entry // by item; nil: missing
	asked  *chat.Request
	merged *chat.Usage // of the provider's part of the answer, once merged
}

// maxItems is how many items a batch may have: OpenAI's own limit. A longer list
// is stored whole.
const maxItems = 2048

// ManyGetter is a store that reads several keys in one round trip. A value that
// is not there is nil.
type ManyGetter interface {
	GetMany(ctx context.Context, keys []string) ([][]byte, error)
}

// Mixable reports whether vectors of any of the deployments may stand side by
// side in one answer: they are all of one model. Only then may requests to the
// group be split.
func Mixable(targets []*upstream.Target) bool {
	name := func(t *upstream.Target) string {
		if t.BaseModel != "" {
			return t.BaseModel
		}
		return t.Model
	}
	return len(targets) > 0 && !slices.ContainsFunc(targets, func(t *upstream.Target) bool { return name(t) != name(targets[0]) })
}

// Split takes an embeddings request apart; ok is false for one that is better
// stored whole. The group's deployments must be [Mixable].
func (c *Cache) Split(req *chat.Request, scope Scope) (b *Batch, ok bool) {
	input, _ := req.Body.Get("input")
	if req.Endpoint != chat.Embeddings || isNull(input) || itemCount(input) > maxItems {
		return nil, false
	}
	b = &Batch{cache: c, req: req, whole: c.keys.Key(req, scope), asked: req}
	if input.Kind() == '[' && (itemCount(input) > 1 || count(input) == 1) {
		s := jsonedit.NewCursor(input, 0)
		for s.Open(); s.More(); {
			b.items = append(b.items, s.Value())
		}
	} else {
		b.items = []jsontext.Value{input}
	}
	base := c.keys.key(req, scope, "input")
	for _, item := range b.items {
		if kind := item.Kind(); kind != '"' && kind != '[' && (kind != '0' || len(b.items) > 1) {
			return nil, false
		}
		b.keys = append(b.keys, c.keys.item(base, item))
	}
	b.found = make([]*Entry, len(b.items))
	return b, true
}

// Key is the key of the whole request.
func (b *Batch) Key() Key { return b.whole }

// AskBatch is [Cache.Ask] for a request taken apart. With a Ticket, b knows
// which items are stored: ask a provider for [Batch.Request].
func (c *Cache) AskBatch(ctx context.Context, b *Batch, controls Controls) Reply {
	reply := c.ask(ctx, b.whole, controls, b.lookup)
	if reply.Ticket != nil {
		reply.Ticket.batch = b
	}
	return reply
}

// lookup finds the stored items. It returns the whole answer when all are.
func (b *Batch) lookup(ctx context.Context, _ Key, controls Controls) (*Entry, error) {
	c := b.cache
	ctx, cancel := context.WithTimeout(ctx, c.cfg.LookupTimeout)
	defer cancel()
	for i, key := range b.keys { // before the store: what leaves the queue is there
		if e := c.queue.get(key); e != nil && c.fresh(e, controls) {
			b.found[i] = e
		}
	}
	missing := 0
	for i, blob := range b.blobs(ctx) {
		if b.found[i] == nil && blob != nil {
			b.found[i], _ = c.decode(b.keys[i], blob, controls)
		}
		if b.found[i] == nil {
			missing++
		}
	}
	if missing > 0 {
		c.stats.misses.Add(1)
		return nil, ErrMiss
	}
	c.stats.hits.Add(1)
	return b.entry(), nil
}

// blobs reads the values of all keys as far as the time reaches; nil is none.
func (b *Batch) blobs(ctx context.Context) [][]byte {
	c := b.cache
	blobs := make([][]byte, len(b.keys))
	if many, ok := c.cfg.Blobs.(ManyGetter); ok {
		names := make([]string, len(b.keys))
		for i, key := range b.keys {
			names[i] = key.String()
		}
		got, err := many.GetMany(ctx, names)
		if err != nil {
			c.stats.lookupErrors.Add(1)
		}
		copy(blobs, got)
		return blobs
	}
	for i, key := range b.keys {
		if b.found[i] != nil {
			continue
		}
		blobs[i], _ = c.cfg.Blobs.Get(ctx, key.String()) // not there and not reached in time are one
		if ctx.Err() != nil {
			c.stats.lookupErrors.Add(1)
			break
		}
	}
	return blobs
}

// Partial reports whether some items are stored and some must be asked for: then
// the provider's answer is not the client's, see Merge.
func (b *Batch) Partial() bool {
	return slices.ContainsFunc(b.found, func(e *Entry) bool { return e != nil })
}

// Request is what to ask a provider of the group for: the client's request with
// the missing items only. A fallback's vectors are of another model and cannot
// be mixed with stored ones: ask it for the client's own request.
func (b *Batch) Request() *chat.Request {
	if !b.Partial() || b.asked != b.req {
		return b.asked
	}
	input := []byte{'['}
	for i, item := range b.items {
		if b.found[i] == nil {
			input = append(jsonedit.AppendComma(input), item...)
		}
	}
	var edits jsonedit.Edits
	edits.Set("input", append(input, ']'))
	asked, err := chat.Parse(b.req.Endpoint, b.req.Body.Apply(&edits), b.req.Model)
	if err != nil { // it was parsed before; kept for safety: everything is asked for
		clear(b.found)
		return b.req
	}
	b.asked = asked
	return asked
}

// Merge makes the client's answer of a provider's answer to [Batch.Request]: the
// stored items in their places, the usage of all together. The error means that
// the provider's answer is not what was asked for.
func (b *Batch) Merge(answer []byte) ([]byte, error) {
	object, err := jsonedit.Parse(answer)
	if err != nil {
		return nil, Unstorable("no JSON object")
	}
	vectors, ok := vectorsOf(object, len(b.items)-b.stored())
	if !ok {
		return nil, Unstorable("fewer results than asked for")
	}
	v, _ := object.Get("usage")
	usage, _ := chat.ParseUsage(v)
	asked := usage
	b.merged = &asked
	for i, e := range b.found {
		if e == nil {
			continue
		}
		vectors = slices.Insert(vectors, i, jsontext.Value(e.JSON))
		usage.Prompt += e.Result.Usage.Prompt
		usage.Total += e.Result.Usage.Total
	}
	var edits jsonedit.Edits
	edits.Set("data", appendVectors(nil, vectors))
	edits.Set("usage", appendEmbeddingUsage(nil, usage))
	return object.Apply(&edits), nil
}

func (b *Batch) stored() int {
	n := 0
	for _, e := range b.found {
		n += btoi(e != nil)
	}
	return n
}

// entry is the whole answer, when every item is stored. It is as old as its
// oldest item.
func (b *Batch) entry() *Entry {
	first := b.found[0]
	e := &Entry{Endpoint: chat.Embeddings, Served: first.Served, Stored: first.Stored, Result: chat.Result{Model: first.Result.Model}}
	vectors := make([]jsontext.Value, len(b.found))
	for i, item := range b.found {
		vectors[i] = item.JSON
		r := item.Result
		e.Result.Usage.Prompt += r.Usage.Prompt
		e.Result.Usage.Total += r.Usage.Total
		e.Result.HasUsage = e.Result.HasUsage || r.HasUsage
		if item.Stored.Before(e.Stored) {
			e.Stored = item.Stored
		}
	}
	body := []byte(`{"object":"list"`)
	body = appendVectors(append(body, `,"data":`...), vectors)
	body = jsonedit.AppendString(append(body, `,"model":`...), e.Result.Model)
	body = appendEmbeddingUsage(append(body, `,"usage":`...), e.Result.Usage)
	e.JSON = append(body, '}')
	return e
}

// store writes an entry for each item of the whole answer that was not stored.
// Tokens are shared out by the length of the items, for the provider reports
// their sum only; the sum stays exact.
func (b *Batch) store(whole *Entry, controls Controls) {
	object, err := jsonedit.Parse(whole.JSON)
	if err != nil {
		return
	}
	vectors, ok := vectorsOf(object, len(b.items))
	if !ok {
		return
	}
	usage := whole.Result.Usage
	if b.merged != nil {
		usage = *b.merged
	}
	length := 0
	for i, item := range b.items {
		if b.found[i] == nil {
			length += len(item)
		}
	}
	for i, item := range b.items {
		if b.found[i] != nil {
			continue
		}
		e := &Entry{Endpoint: chat.Embeddings, Served: whole.Served, Stored: whole.Stored, JSON: vectors[i]}
		e.Result = chat.Result{Model: whole.Result.Model, HasUsage: whole.Result.HasUsage}
		part := func(n *int64) int64 {
			share := *n * int64(len(item)) / int64(length)
			*n -= share
			return share
		}
		e.Result.Usage = chat.Usage{Prompt: part(&usage.Prompt), Total: part(&usage.Total)}
		length -= len(item)
		b.cache.Store(b.keys[i], e, controls)
	}
}

// vectorsOf returns the vectors of an answer in the order of their index; ok is
// false unless there are exactly n.
func vectorsOf(answer *jsonedit.Object, n int) (vectors []jsontext.Value, ok bool) {
	data, _ := answer.Get("data")
	if count(data) != n {
		return nil, false
	}
	vectors = make([]jsontext.Value, n)
	s := jsonedit.NewCursor(data, 0)
	at := 0
	for s.Open(); s.More(); at++ {
		item, err := jsonedit.Parse(s.Value())
		if err != nil {
			return nil, false
		}
		place := at
		if v, ok := item.Get("index"); ok {
			if place, err = strconv.Atoi(string(v)); err != nil || place < 0 || place >= n {
				return nil, false
			}
		}
		vector, _ := item.Get("embedding")
		if isNull(vector) || vectors[place] != nil {
			return nil, false
		}
		vectors[place] = vector
	}
	return vectors, true
}

func appendVectors(dst []byte, vectors []jsontext.Value) []byte {
	dst = append(dst, '[')
	for i, v := range vectors {
		dst = jsonedit.AppendComma(dst)
		dst = append(dst, `{"object":"embedding","index":`...)
		dst = append(appendInt(dst, i), `,"embedding":`...)
		dst = append(append(dst, v...), '}')
	}
	return append(dst, ']')
}

func appendEmbeddingUsage(dst []byte, u chat.Usage) []byte {
	dst = strconv.AppendInt(append(dst, `{"prompt_tokens":`...), u.Prompt, 10)
	dst = strconv.AppendInt(append(dst, `,"total_tokens":`...), u.Total, 10)
	return append(dst, '}')
}
