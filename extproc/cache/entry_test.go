package cache_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/translate/chat"
)

func sample() *cache.Entry {
	return &cache.Entry{
		Endpoint: chat.Completions,
		Served:   cache.Served{Provider: "openai", Deployment: "d1", Group: "gpt", Model: "gpt-4o"},
		Result: chat.Result{ID: "chatcmpl-1", Model: "gpt-4o-2024", FinishReason: "stop", HasUsage: true, Estimated: true,
			Usage: chat.Usage{Prompt: 1, Completion: 2, Total: 3, Cached: 4, CacheWrite: 5, Reasoning: 6}},
		Stored: noon,
		JSON: []byte(`{"id":"chatcmpl-1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},` +
			`"finish_reason":"stop"}]}`),
	}
}

func keyOf(t testing.TB, body string) cache.Key {
	return cache.NewKeyer("ns").Key(chatRequest(t, body), cache.Scope{})
}

func TestAnEntryIsTheSameAfterTheStore(t *testing.T) {
	key := keyOf(t, `{"model":"m",`+hello+`}`)
	want := sample()
	got, ok := cache.Decode(key, want.Encode(key))
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(chat.Result{}, "Failure")); !ok || diff != "" {
		t.Errorf("ok = %v (-want +got):\n%s", ok, diff)
	}
}

func TestWhatIsNoEntryOfTheKeyIsAMiss(t *testing.T) {
	key, other := keyOf(t, `{"model":"m",`+hello+`}`), keyOf(t, `{"model":"n",`+hello+`}`)
	blob := sample().Encode(key)
	if _, ok := cache.Decode(other, blob); ok {
		t.Error("an entry was read under another key")
	}
	for i := range blob {
		broken := append([]byte(nil), blob...)
		broken[i] ^= 0x20
		if _, ok := cache.Decode(key, broken); ok {
			t.Errorf("a flipped bit in byte %d went unnoticed", i)
		}
		if _, ok := cache.Decode(key, blob[:i]); ok {
			t.Errorf("an entry cut at byte %d was read", i)
		}
	}
}

func FuzzDecode(f *testing.F) {
	key := keyOf(f, `{"model":"m",`+hello+`}`)
	f.Add(sample().Encode(key))
	f.Add([]byte{1, 0, 0, 0, 0})
	f.Add([]byte{})
	stream := chatRequest(f, `{"model":"m",`+hello+streaming+`}`)
	f.Fuzz(func(t *testing.T, blob []byte) {
		if e, ok := cache.Decode(key, blob); ok {
			e.Body(stream)
		}
		// Behind a good checksum any text may stand.
		e := sample()
		e.JSON = blob
		if e, ok := cache.Decode(key, e.Encode(key)); ok {
			e.Body(stream)
		}
	})
}

func TestHeadersTellOfTheCache(t *testing.T) {
	key := keyOf(t, `{"model":"m",`+hello+`}`)
	miss := cache.Headers(cache.Miss, key, nil, noon)
	if miss.Get("x-isthmus-cache") != "miss" || miss.Get("age") != "" || miss.Get("x-litellm-cache-key") != "" {
		t.Errorf("miss: %v", miss)
	}
	hit := cache.Headers(cache.Hit, key, sample(), noon.Add(90*time.Second+time.Millisecond))
	if hit.Get("x-isthmus-cache") != "hit" || hit.Get("age") != "90" || hit.Get("x-litellm-cache-key") != key.String() {
		t.Errorf("hit: %v", hit)
	}
	if early := cache.Headers(cache.Hit, key, sample(), noon.Add(-time.Hour)); early.Get("age") != "0" {
		t.Errorf("a clock that runs behind gives age %s", early.Get("age"))
	}
}
