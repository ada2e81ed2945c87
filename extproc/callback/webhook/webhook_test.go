package webhook

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/extproc/callback/callbacktest"
	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// receiver keeps the requests that reached it.
type receiver struct {
	mu     sync.Mutex
	heads  []http.Header
	bodies [][]byte
	status int
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heads, r.bodies = append(r.heads, req.Header), append(r.bodies, body)
	if r.status != 0 {
		w.WriteHeader(r.status)
	}
}

var now = time.Unix(1795514400, 0)

func start(t *testing.T, c Config) (*receiver, *Sink) {
	r := &receiver{}
	server := httptest.NewServer(r)
	poster := callback.NewPoster(callback.PosterConfig{})
	t.Cleanup(func() { poster.Close(); server.Close() })
	c.URL = server.URL + "/litellm-logs"
	return r, New(c, poster, func() time.Time { return now })
}

// ids reads the call ids of records that stand one after the other.
func ids(t *testing.T, body []byte, format string) (out []string) {
	t.Helper()
	var records []*callback.Record
	switch format {
	case NDJSON:
		for line := range bytes.Lines(body) {
			r := new(callback.Record)
			if err := json.Unmarshal(line, r); err != nil {
				t.Fatal(err)
			}
			records = append(records, r)
		}
	case Single:
		r := new(callback.Record)
		if err := json.Unmarshal(body, r); err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	default:
		if err := json.Unmarshal(body, &records); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range records {
		out = append(out, strings.TrimPrefix(r.CallID, "call-"))
	}
	return out
}

func TestFormats(t *testing.T) {
	all := []string{"success", "failure", "stream", "aborted", "cachehit", "cascade", "embedding"}
	for _, c := range []struct {
		format, contentType string
		want                [][]string
	}{
		{"", "application/json", [][]string{all}},
		{JSONArray, "application/json", [][]string{all}},
		{NDJSON, "application/x-ndjson", [][]string{all}},
		{Single, "application/json", [][]string{{"success"}, {"failure"}, {"stream"}, {"aborted"}, {"cachehit"}, {"cascade"}, {"embedding"}}},
	} {
		t.Run("format "+c.format, func(t *testing.T) {
			r, sink := start(t, Config{Format: c.format, Headers: []upstream.ExtraHeader{{Name: "X-Token", Value: secret.New("tok")}}})
			if err := sink.Deliver(t.Context(), callbacktest.New().All()); err != nil {
				t.Fatal(err)
			}
			var got [][]string
			for i, body := range r.bodies {
				got = append(got, ids(t, body, c.format))
				if h := r.heads[i]; h.Get("Content-Type") != c.contentType || h.Get("X-Token") != "tok" || h.Get(SignatureHeader) != "" {
					t.Errorf("headers: %v", h)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestEventTypes(t *testing.T) {
	for types, want := range map[string]string{
		"llm_api_failure": "failure", "failure": "failure", "llm_api_success": "success stream aborted cachehit cascade embedding",
		"success,failure": "success failure stream aborted cachehit cascade embedding",
	} {
		r, sink := start(t, Config{EventTypes: strings.Split(types, ",")})
		if err := sink.Deliver(t.Context(), callbacktest.New().All()); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(ids(t, r.bodies[0], ""), " "); got != want {
			t.Errorf("%s: %s", types, got)
		}
	}
	r, sink := start(t, Config{EventTypes: []string{"failure"}})
	batch := []*callback.Record{callbacktest.New().Success}
	if err := sink.Deliver(t.Context(), batch); err != nil || len(r.bodies) != 0 || batch[0] == nil {
		t.Errorf("%v, %d requests for records that nobody wants", err, len(r.bodies))
	}
}

func TestBodiesAreSigned(t *testing.T) {
	key := secret.New("whsec")
	r, sink := start(t, Config{Secret: key})
	if err := sink.Deliver(t.Context(), callbacktest.New().All()); err != nil {
		t.Fatal(err)
	}
	signature, body := r.heads[0].Get(SignatureHeader), r.bodies[0]
	if err := Verify(key, signature, now.Add(time.Minute), body); err != nil {
		t.Errorf("%v: %s", err, signature)
	}
	for name, err := range map[string]error{
		"another secret":   Verify(secret.New("x"), signature, now, body),
		"another body":     Verify(key, signature, now, append(bytes.Clone(body), ' ')),
		"another time":     Verify(key, strings.Replace(signature, "t=1795514400", "t=1795514401", 1), now, body),
		"an old one":       Verify(key, signature, now.Add(Tolerance+time.Second), body),
		"one ahead":        Verify(key, signature, now.Add(-Tolerance-time.Second), body),
		"none":             Verify(key, "", now, body),
		"half a signature": Verify(key, signature[:len(signature)-2], now, body),
	} {
		if err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// The example of the documentation, checkable with
//
//	printf '%s' '1700000000.[]' | openssl dgst -sha256 -hmac whsec
func ExampleSign() {
	fmt.Println(Sign(secret.New("whsec"), time.Unix(1700000000, 0), []byte("[]")))
	// Output: t=1700000000,v1=ab976ebd8648dad322b167e6ad6d1217338a7300f243afc224592c75e7742e51
}

func TestRefusals(t *testing.T) {
	for status, permanent := range map[int]bool{500: false, 429: false, 404: true, 401: true} {
		r, sink := start(t, Config{})
		r.status = status
		if err := sink.Deliver(t.Context(), callbacktest.New().All()); err == nil || callback.IsPermanent(err) != permanent {
			t.Errorf("%d: %v", status, err)
		}
	}
}
