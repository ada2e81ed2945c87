package cache

import (
	"encoding/binary"
	"hash/crc32"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Entry is one stored answer. It must not be changed and is safe for concurrent
// use.
type Entry struct {
	Endpoint chat.Endpoint
	Served   Served
	Result   chat.Result // id, model, finish reason, usage: as when the answer was new
	Stored   time.Time
	JSON     []byte // the blocking answer
}

// complete takes from the body what the decoder did not report.
func (e *Entry) complete(object *jsonedit.Object) {
	r := &e.Result
	// The usage of embeddings may be of several answers together: see Merge.
	if v, ok := object.Get("usage"); ok && (!r.HasUsage || e.Endpoint == chat.Embeddings) {
		r.Usage, r.HasUsage = chat.ParseUsage(v)
	}
	for name, into := range map[string]*string{"id": &r.ID, "model": &r.Model} {
		if v, _ := object.Get(name); *into == "" && v.Kind() == '"' {
			_ = json.Unmarshal(v, into) // text that is no text stays absent
		}
	}
	if r.FinishReason == "" {
		r.FinishReason = firstReason(object)
	}
}

// firstReason is the finish reason of the first choice.
func firstReason(object *jsonedit.Object) string {
	choices, _ := object.Get("choices")
	i := jsonedit.Find(choices, "finish_reason")
	if i < 0 {
		return ""
	}
	s := jsonedit.NewCursor(choices, i)
	reason, _ := inside(s.Value())
	return string(reason)
}

// Age is how long ago the answer was stored: the value of the Age header.
func (e *Entry) Age(now time.Time) time.Duration { return max(now.Sub(e.Stored), 0) }

// Body returns the answer in the form that req asks for, JSON or an event
// stream with its [DONE]. It must not be changed.
func (e *Entry) Body(req *chat.Request) []byte {
	if req.Stream && replayable(e.Endpoint) {
		return replay(e, req.WantsUsage)
	}
	return e.JSON
}

// ContentType is the content-type of Body.
func (e *Entry) ContentType(req *chat.Request) string {
	if req.Stream && replayable(e.Endpoint) {
		return "text/event-stream; charset=utf-8"
	}
	return "application/json"
}

// replayable reports whether a blocking answer of the endpoint can be told as a
// stream and the other way round.
func replayable(endpoint chat.Endpoint) bool {
	return endpoint == chat.Completions || endpoint == chat.TextCompletions
}

// Status is how the cache took part in an answer: the value of x-isthmus-cache.
type Status string

// The statuses of an answer.
const (
	Hit    Status = "hit"    // from the cache, or shared with a request that ran
	Miss   Status = "miss"   // looked for and not found
	Bypass Status = "bypass" // not looked for
)

// Headers returns the response headers that tell of the cache: for a hit also
// its age in seconds and LiteLLM's name of the key.
func Headers(status Status, key Key, e *Entry, now time.Time) upstream.Header {
	header := upstream.Header{{Name: "x-isthmus-cache", Value: string(status)}}
	if e == nil {
		return header
	}
	return append(header,
		upstream.Field{Name: "age", Value: strconv.FormatInt(int64(e.Age(now)/time.Second), 10)},
		upstream.Field{Name: "x-litellm-cache-key", Value: key.String()})
}

// The encoding of an entry: one byte of version, a CRC-32C of the key's sum and
// all that follows it, then the fields. The key makes sure that a value that got
// under another name is a miss.
const (
	entryVersion = 1
	entryHead    = 1 + crc32.Size
)

// Encode returns the entry as bytes for a store.
func (e *Entry) Encode(key Key) []byte {
	dst := make([]byte, entryHead, entryHead+256+len(e.JSON))
	dst[0] = entryVersion
	dst = binary.AppendVarint(dst, e.Stored.UnixMilli())
	r := &e.Result
	dst = append(dst, byte(btoi(r.HasUsage)|btoi(r.Estimated)<<1))
	for _, n := range []int64{r.Usage.Prompt, r.Usage.Completion, r.Usage.Total, r.Usage.Cached, r.Usage.CacheWrite, r.Usage.Reasoning} {
		dst = binary.AppendVarint(dst, n)
	}
	for _, s := range []string{
		string(e.Endpoint), e.Served.Provider, e.Served.Deployment, e.Served.Group, e.Served.Model, r.ID, r.Model, r.FinishReason,
	} {
		dst = append(binary.AppendUvarint(dst, uint64(len(s))), s...)
	}
	dst = append(dst, e.JSON...)
	binary.LittleEndian.PutUint32(dst[1:], checksum(key, dst[entryHead:]))
	return dst
}

func checksum(key Key, text []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Update(0, table, key.sum[:]), table, text)
}

// Decode reads an encoded entry; ok is false when the bytes are not an entry of
// this key, whole and in this version. The Entry refers to blob.
func Decode(key Key, blob []byte) (e *Entry, ok bool) {
	if len(blob) < entryHead || blob[0] != entryVersion ||
		binary.LittleEndian.Uint32(blob[1:]) != checksum(key, blob[entryHead:]) {
		return nil, false
	}
	d := fields{rest: blob[entryHead:]}
	e = &Entry{Stored: time.UnixMilli(d.number()).UTC()}
	r := &e.Result
	flags := d.flag()
	r.HasUsage, r.Estimated = flags&1 != 0, flags&2 != 0
	for _, n := range []*int64{
		&r.Usage.Prompt, &r.Usage.Completion, &r.Usage.Total, &r.Usage.Cached, &r.Usage.CacheWrite, &r.Usage.Reasoning,
	} {
		*n = d.number()
	}
	e.Endpoint = chat.Endpoint(d.text())
	for _, s := range []*string{&e.Served.Provider, &e.Served.Deployment, &e.Served.Group, &e.Served.Model, &r.ID, &r.Model, &r.FinishReason} {
		*s = d.text()
	}
	e.JSON = d.rest
	if d.bad {
		return nil, false
	}
	return e, true
}

// fields reads the fields of an encoded entry.
type fields struct {
	rest []byte
	bad  bool
}

func (d *fields) number() int64 {
	n, size := binary.Varint(d.rest)
	if size <= 0 {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *fields) flag() byte {
	if len(d.rest) == 0 {
		d.bad = true
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *fields) text() string {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 || n > uint64(len(d.rest)-size) {
		d.bad, d.rest = true, nil
		return ""
	}
	s := string(d.rest[size : size+int(n)])
	d.rest = d.rest[size+int(n):]
	return s
}
