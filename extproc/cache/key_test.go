package cache_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func parse(t testing.TB, endpoint chat.Endpoint, body string) *chat.Request {
	t.Helper()
	req, err := chat.Parse(endpoint, []byte(body), "")
	if err != nil {
		t.Fatalf("parsing %s: %v", body, err)
	}
	return req
}

func chatRequest(t testing.TB, body string) *chat.Request { return parse(t, chat.Completions, body) }

const hello = `"messages":[{"role":"user","content":"hello"}]`

func TestRequestsThatMeanTheSameHaveOneKey(t *testing.T) {
	keyer := cache.NewKeyer("")
	for name, pair := range map[string][2]string{
		"the order of members is irrelevant": {
			`{"model":"m",` + hello + `,"top_p":0.5}`, `{"top_p":0.5,"messages":[{"content":"hello","role":"user"}],"model":"m"}`},
		"white space is irrelevant": {
			`{"model":"m",` + hello + `}`, "{ \"model\" : \"m\" ,\n\t\"messages\" : [ { \"role\":\"user\" , \"content\":\"hello\" } ] }"},
		"1 and 1.0 are equal":    {`{"model":"m",` + hello + `,"temperature":1}`, `{"model":"m",` + hello + `,"temperature":1.0}`},
		"1 and 1e0 are equal":    {`{"model":"m",` + hello + `,"temperature":1}`, `{"model":"m",` + hello + `,"temperature":1e0}`},
		"100 and 1E+2 are equal": {`{"model":"m",` + hello + `,"max_tokens":100}`, `{"model":"m",` + hello + `,"max_tokens":1E+2}`},
		"0.25 and 25e-2 are equal, deep inside": {
			`{"model":"m",` + hello + `,"x":{"y":[0.25]}}`, `{"model":"m",` + hello + `,"x":{"y":[25e-2]}}`},
		"zero is zero": {`{"model":"m",` + hello + `,"temperature":0}`, `{"model":"m",` + hello + `,"temperature":-0.00}`},
		"escapes are irrelevant": {
			`{"model":"m",` + hello + `}`, `{"model":"m","messages":[{"r\u006fle":"user","content":"\u0068ell\u006F"}]}`},
		"a pair of surrogates is its character": {
			`{"model":"m","messages":[],"x":"😀"}`, `{"model":"m","messages":[],"x":"\ud83d\ude00"}`},
		"streaming is irrelevant": {
			`{"model":"m",` + hello + `}`, `{"model":"m",` + hello + `,"stream":true,"stream_options":{"include_usage":true}}`},
		"what only steers the gateway is irrelevant": {
			`{"model":"m",` + hello + `}`,
			`{"model":"m",` + hello + `,"cache":{"ttl":5},"caching":true,"fallbacks":["x"],"num_retries":3,"timeout":5,"tags":["a"],` +
				`"metadata":{"trace":"1"},"litellm_trace_id":"9","prompt_cache_key":"k"}`},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := keyer.Key(chatRequest(t, pair[0]), cache.Scope{}), keyer.Key(chatRequest(t, pair[1]), cache.Scope{})
			if a != b {
				t.Errorf("keys differ:\n%s\n%s", pair[0], pair[1])
			}
		})
	}
}

func TestWhateverCanChangeTheAnswerChangesTheKey(t *testing.T) {
	base := `{"model":"m",` + hello + `,"temperature":1}`
	long := strings.Repeat("x", 5000)
	seen := map[cache.Key]string{}
	keyer := cache.NewKeyer("")
	for _, body := range []string{
		base,
		`{"model":"n",` + hello + `,"temperature":1}`,
		`{"model":"m",` + hello + `,"temperature":0.7}`,
		`{"model":"m",` + hello + `,"temperature":"1"}`,
		`{"model":"m",` + hello + `,"temperature":null}`,
		`{"model":"m",` + hello + `}`,
		`{"model":"m",` + hello + `,"temperature":1,"seed":9007199254740992}`,
		`{"model":"m",` + hello + `,"temperature":1,"seed":9007199254740993}`,
		`{"model":"m",` + hello + `,"temperature":1,"n":2}`,
		`{"model":"m",` + hello + `,"temperature":1,"unknown_to_us":true}`,
		`{"model":"m",` + hello + `,"temperature":1,"unknown_to_us":false}`,
		`{"model":"m",` + hello + `,"temperature":1,"user":"u"}`,
		`{"model":"m",` + hello + `,"temperature":1,"drop_params":true}`,
		`{"model":"m",` + hello + `,"temperature":1,"tools":[{"type":"function","function":{"name":"f"}}]}`,
		`{"model":"m",` + hello + `,"temperature":1,"tools":[{"type":"function","function":{"name":"g"}}]}`,
		`{"model":"m","messages":[{"role":"user","content":"hello "}],"temperature":1}`,
		`{"model":"m","messages":[{"role":"system","content":"hello"}],"temperature":1}`,
		`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"hello"}]}],"temperature":1}`,
		`{"model":"m","messages":[{"role":"user","content":"` + long + `"}],"temperature":1}`,
		`{"model":"m","messages":[{"role":"user","content":"` + long + `y"}],"temperature":1}`,
		`{"model":"m","messages":[["a","b"]]}`,
		`{"model":"m","messages":[["a"],["b"]]}`,
		`{"model":"m","messages":[{"a":"b"}]}`,
		`{"model":"m","messages":["a","b"]}`,
		`{"model":"m","messages":[-1]}`,
		`{"model":"m","messages":[1]}`,
		`{"model":"m","messages":[10]}`,
		`{"model":"m","messages":[0.1]}`,
		`{"model":"m","messages":[1e999999999999]}`,
		`{"model":"m","messages":[1e999999999998]}`,
	} {
		key := keyer.Key(chatRequest(t, body), cache.Scope{})
		if other, ok := seen[key]; ok {
			t.Errorf("one key for\n%s\n%s", body, other)
		}
		seen[key] = body
	}
}

func TestTheScopeIsPartOfTheKey(t *testing.T) {
	req := chatRequest(t, `{"model":"m",`+hello+`}`)
	keyer := cache.NewKeyer("ns")
	digest := func(model string) [32]byte { return cache.ConfigDigest([]*upstream.Target{{Model: model}}) }
	seen := map[cache.Key]int{}
	for i, scope := range []cache.Scope{
		{}, {Tenant: "a"}, {Tenant: "b"}, {Namespace: "a"}, {Namespace: "b"}, {Group: "other"}, {Config: digest("a")}, {Config: digest("b")},
		{Tags: []string{"free"}}, {Tags: []string{"free", "eu"}}, {Tags: []string{"freeeu"}},
		{Vary: upstream.Header{{Name: "openai-beta", Value: "x"}}}, {Vary: upstream.Header{{Name: "openai-beta", Value: "y"}}},
	} {
		key := keyer.Key(req, scope)
		if j, ok := seen[key]; ok {
			t.Errorf("scopes %d and %d have one key", i, j)
		}
		seen[key] = i
	}
	if keyer.Key(req, cache.Scope{Tags: []string{"a", "b"}}) != keyer.Key(req, cache.Scope{Tags: []string{"b", "a"}}) {
		t.Error("the order of tags must not matter")
	}
	if keyer.Key(req, cache.Scope{}) != keyer.Key(req, cache.Scope{Group: "m"}) {
		t.Error("the group asked for is the request's model")
	}
	if keyer.Key(req, cache.Scope{}) == cache.NewKeyer("other").Key(req, cache.Scope{}) {
		t.Error("the configured namespace must count")
	}
	other := parse(t, chat.TextCompletions, string(req.Body.Source()))
	if keyer.Key(req, cache.Scope{}) == keyer.Key(other, cache.Scope{}) {
		t.Error("the endpoint must count")
	}
}

func TestKeysInTheStoreBeginWithTheNamespace(t *testing.T) {
	req := chatRequest(t, `{"model":"m",`+hello+`}`)
	for _, c := range []struct{ configured, requested, want string }{
		{"litellm_cache", "", "litellm_cache:"},
		{"litellm_cache", "nsx", "litellm_cache:nsx:"},
		{"", "", cache.DefaultNamespace + ":"},
	} {
		key := cache.NewKeyer(c.configured).Key(req, cache.Scope{Namespace: c.requested}).String()
		if !strings.HasPrefix(key, c.want) || len(key) != len(c.want)+64 {
			t.Errorf("key = %s, want %s and 64 hex digits", key, c.want)
		}
	}
}

func TestMetadataCountsWhereTheAnswerRepeatsIt(t *testing.T) {
	keyer := cache.NewKeyer("")
	key := func(metadata string) cache.Key {
		return keyer.Key(parse(t, chat.Responses, `{"model":"m","input":"x","metadata":`+metadata+`}`), cache.Scope{})
	}
	if key(`{"a":"1"}`) == key(`{"a":"2"}`) {
		t.Error("two Responses requests with different metadata have one key")
	}
}

func TestTheConfigDigestSaysWhatCanAnswer(t *testing.T) {
	a := &upstream.Target{Provider: "openai", Model: "gpt", BaseURL: "https://a/v1", APIKey: secret.New("k1"),
		Defaults: []upstream.Param{{Name: "temperature", Value: jsontext.Value("1")}}}
	b := &upstream.Target{Provider: "azure", Model: "gpt", BaseURL: "https://b"}
	both := cache.ConfigDigest([]*upstream.Target{a, b})
	same := *a
	same.APIKey, same.Defaults = secret.New("k2"), []upstream.Param{{Name: "temperature", Value: jsontext.Value("1.0")}}
	if cache.ConfigDigest([]*upstream.Target{b, &same}) != both {
		t.Error("another order, key and spelling of a default must not change the digest")
	}
	for name, change := range map[string]func(*upstream.Target){
		"the model":   func(t *upstream.Target) { t.Model = "gpt-2" },
		"the address": func(t *upstream.Target) { t.BaseURL = "https://c/v1" },
		"a default": func(t *upstream.Target) {
			t.Defaults = []upstream.Param{{Name: "temperature", Value: jsontext.Value("0")}}
		},
		"dropped parameters":  func(t *upstream.Target) { t.DropAlso = []string{"seed"} },
		"a configured header": func(t *upstream.Target) { t.Headers = []upstream.ExtraHeader{{Name: "x-b", Value: secret.New("y")}} },
	} {
		changed := *a
		change(&changed)
		if cache.ConfigDigest([]*upstream.Target{&changed, b}) == both {
			t.Errorf("%s must change the digest", name)
		}
	}
}

// respell writes a JSON value with its members in another order and its numbers
// and strings spelled otherwise.
func respell(rng *rand.Rand, v jsontext.Value) []byte {
	switch v.Kind() {
	case '{':
		var members map[string]jsontext.Value
		if json.Unmarshal(v, &members) != nil {
			return v
		}
		names := make([]string, 0, len(members))
		for name := range members {
			names = append(names, name)
		}
		rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		out := []byte{'{'}
		for i, name := range names {
			if i > 0 {
				out = append(out, ", "...)
			}
			out = append(append(out, spell(rng, name)...), ':')
			out = append(out, respell(rng, members[name])...)
		}
		return append(out, '}')
	case '[':
		var items []jsontext.Value
		if json.Unmarshal(v, &items) != nil {
			return v
		}
		out := []byte{'['}
		for i, item := range items {
			if i > 0 {
				out = append(out, " ,\n"...)
			}
			out = append(out, respell(rng, item)...)
		}
		return append(out, ']')
	case '"':
		var s string
		if json.Unmarshal(v, &s) != nil {
			return v
		}
		return []byte(spell(rng, s))
	case '0':
		return []byte(renumber(rng, string(v)))
	}
	return v
}

func spell(rng *rand.Rand, s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if r < 0x20 || r == '"' || r == '\\' || r < 0x10000 && rng.IntN(4) == 0 {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func renumber(rng *rand.Rand, s string) string {
	if strings.ContainsAny(s, "eE") {
		return s
	}
	switch rng.IntN(3) {
	case 0:
		if strings.Contains(s, ".") {
			return s + "00"
		}
		return s + ".0"
	case 1:
		return s + "E+0"
	}
	return s
}

// scramble changes one scalar of a valid JSON text; ok is false if it has none.
func scramble(v jsontext.Value) (out []byte, ok bool) {
	for i := len(v) - 1; i >= 0; i-- {
		if c := v[i]; c >= '1' && c <= '8' && i > 0 && strings.IndexByte(`[,: `, v[i-1]) >= 0 {
			out = append(append(out, v[:i]...), c+1)
			return append(out, v[i+1:]...), true
		}
	}
	return nil, false
}

func FuzzKey(f *testing.F) {
	f.Add([]byte(`{"model":"m","messages":[{"role":"user","content":"a\nb"}],"temperature":1.50,"n":3}`), uint64(1))
	f.Add([]byte(`{"model":"m","messages":[],"a":{"z":1,"b":[{"y":2,"x":[10,0.001,-7]}]}}`), uint64(2))
	f.Add([]byte(`{"model":"m","messages":["`+strings.Repeat(`\u00e9x`, 900)+`"],"k":`+strings.Repeat(`[`, 50)+strings.Repeat(`]`, 50)+`}`),
		uint64(3))
	keyer := cache.NewKeyer("")
	f.Fuzz(func(t *testing.T, body []byte, seed uint64) {
		req, err := chat.Parse(chat.Completions, body, "m")
		if err != nil {
			return
		}
		key := keyer.Key(req, cache.Scope{})
		if again := keyer.Key(req, cache.Scope{}); again != key {
			t.Fatal("the same request has two keys")
		}
		other, err := chat.Parse(chat.Completions, respell(rand.New(rand.NewPCG(seed, 1)), body), "m")
		if err != nil {
			return
		}
		if keyer.Key(other, cache.Scope{}) != key {
			t.Fatalf("another key for another spelling:\n%s\n%s", body, other.Body.Source())
		}
		for _, m := range req.Body.Members() {
			changed, ok := scramble(req.Body.Value(m))
			if !ok || m.Name != "messages" && m.Name != "temperature" {
				continue
			}
			text := strings.Replace(string(body), string(req.Body.Value(m)), string(changed), 1)
			if next, err := chat.Parse(chat.Completions, []byte(text), "m"); err == nil && keyer.Key(next, cache.Scope{}) == key {
				if v, _ := next.Body.Get(m.Name); string(v) == string(changed) {
					t.Fatalf("one key for\n%s\n%s", body, text)
				}
			}
		}
	})
}

// sized is a chat request of about n bytes, many messages or one image.
func sized(n int, image bool) string {
	if image {
		return `{"model":"m","temperature":0.7,"messages":[{"role":"user","content":[{"type":"image_url",` +
			`"image_url":{"url":"data:image/png;base64,` +
			strings.Repeat("iVBORw0KGgo", n/11) + `"}}]}]}`
	}
	var b strings.Builder
	b.WriteString(`{"model":"m","temperature":0.7,"messages":[{"role":"system","content":"You are helpful."}`)
	for i := 0; b.Len() < n-100; i++ {
		fmt.Fprintf(&b, `,{"role":"user","content":"Message %d: tell me something about \"caches\".\nPlease be brief; this is line two of it."}`,
			i)
	}
	return b.String() + `]}`
}

func BenchmarkKey(b *testing.B) {
	keyer := cache.NewKeyer("litellm_cache")
	scope := cache.Scope{Tenant: "team", Tags: []string{"eu"}}
	for _, c := range []struct {
		name  string
		size  int
		image bool
	}{{"1KB", 1 << 10, false}, {"32KB", 32 << 10, false}, {"1MB", 1 << 20, false}, {"1MBimage", 1 << 20, true}} {
		req := chatRequest(b, sized(c.size, c.image))
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(req.Body.Source())))
			for b.Loop() {
				if keyer.Key(req, scope) == (cache.Key{}) {
					b.Fatal("no key")
				}
			}
		})
	}
}

func BenchmarkKeyText(b *testing.B) {
	key := cache.NewKeyer("litellm_cache").Key(chatRequest(b, `{"model":"m",`+hello+`}`), cache.Scope{})
	b.ReportAllocs()
	for b.Loop() {
		if len(key.String()) == 0 {
			b.Fatal(strconv.Quote(key.String()))
		}
	}
}
