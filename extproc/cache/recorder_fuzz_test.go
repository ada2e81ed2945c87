package cache_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
)

func FuzzRecorder(f *testing.F) {
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 3))
		f.Add(invent(rng).stream(rng, true), seed)
	}
	f.Add([]byte(oneChunk(`{"role":"assistant","content":"a"}`, "null")+oneChunk(`{"content":"b\"c"}`, "null")+
		oneChunk(`{"content":"d"}`, `"stop"`)+"data: [DONE]\n\n"), uint64(1))
	f.Add([]byte("data: {\"choices\":[{\"text\":\"a\",\"finish_reason\":\"stop\"}]}\r\n\r\ndata: [DONE]\n\n"), uint64(2))
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) {
		req := asking(t, 1, streaming)
		whole, err := record(req, true, stream, nil)
		split, errSplit := record(req, true, stream, rand.New(rand.NewPCG(seed, 4)))
		if (err == nil) != (errSplit == nil) {
			t.Fatalf("the split decides whether it is stored: %v, %v", err, errSplit)
		}
		if err != nil {
			return
		}
		if string(whole.JSON) != string(split.JSON) {
			t.Fatalf("the split decides what is stored:\n%s\n%s", whole.JSON, split.JSON)
		}
		if !strings.Contains(string(stream), "[DONE]") || !strings.Contains(string(stream), "finish_reason") ||
			!jsontext.Value(whole.JSON).IsValid() {
			t.Fatalf("an unfinished stream was stored: %s", stream)
		}
		if blocking, err := record(asking(t, 1, ""), false, whole.JSON, nil); err != nil || string(blocking.JSON) != string(whole.JSON) {
			t.Fatalf("the entry is no good answer: %v\n%s", err, whole.JSON)
		}
		if events, ok := cache.Events(req, whole.JSON); !ok || string(events) != string(whole.Body(req)) {
			t.Fatalf("the entry cannot be told as a stream: %t\n%s", ok, whole.JSON)
		}
		again, err := record(req, true, whole.Body(req), nil)
		if err != nil {
			t.Fatalf("the replayed stream is no good: %v\n%s\n%s", err, whole.JSON, whole.Body(req))
		}
		if !jsontext.Value(again.JSON).IsValid() {
			t.Fatal("the replayed stream folds to no JSON")
		}
	})
}

func FuzzRecorderBlocking(f *testing.F) {
	rng := rand.New(rand.NewPCG(9, 9))
	f.Add(invent(rng).blocking(rng))
	f.Add([]byte(`{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		events, ok := cache.Events(asking(t, 1, streaming), body)
		if e, err := record(asking(t, 1, ""), false, body, nil); err == nil &&
			(!ok || string(e.Body(asking(t, 1, streaming))) != string(events)) {
			t.Fatalf("what is stored is told otherwise: %q of %s", events, body)
		}
		if !ok {
			return
		}
		for event := range strings.SplitSeq(strings.TrimSuffix(string(events), "\n\n"), "\n\n") {
			data, ok := strings.CutPrefix(event, "data: ")
			if !ok || data != "[DONE]" && !jsontext.Value(data).IsValid() {
				t.Fatalf("bad event %q of %s", event, body)
			}
		}
	})
}
