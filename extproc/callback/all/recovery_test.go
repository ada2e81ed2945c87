package all

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/routing/config"
)

// moody is a webhook that misbehaves until it is told not to.
type moody struct {
	mood atomic.Value // string
	met  chan struct{}

	mu   sync.Mutex
	seen map[string]int
}

func (m *moody) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case m.met <- struct{}{}:
	default:
	}
	switch m.mood.Load() {
	case "500":
		w.WriteHeader(http.StatusInternalServerError)
		return
	case "floods":
		w.WriteHeader(http.StatusServiceUnavailable)
		junk := make([]byte, 1<<20)
		for range 200 {
			if _, err := w.Write(junk); err != nil {
				return
			}
		}
		return
	case "hangs":
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server see that the client is gone
		<-r.Context().Done()
		return
	}
	body, _ := io.ReadAll(r.Body)
	var records []callback.Record
	if json.Unmarshal(body, &records) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range records {
		m.seen[r.CallID]++
	}
}

// TestASinkInTroubleCostsNobodyAnything hands records over while the sink is in
// trouble, then lets it recover. Time and memory are bounded meanwhile, and
// every record arrives.
func TestASinkInTroubleCostsNobodyAnything(t *testing.T) {
	for _, mood := range []string{"500", "floods", "hangs"} {
		t.Run(mood, func(t *testing.T) {
			t.Parallel()
			m := &moody{seen: map[string]int{}, met: make(chan struct{}, 1)}
			m.mood.Store(mood)
			server := httptest.NewServer(m)
			t.Cleanup(server.Close)
			s, err := Open(config.Callbacks{Success: []string{"webhook"}, Webhook: config.Webhook{URL: server.URL}}, deps(io.Discard))
			if err != nil {
				t.Fatal(err)
			}
			records := 300
			if testring.JudgesTimes() {
				records = 3000
			}
			text := jsontext.Value(`[{"role":"user","content":"` + strings.Repeat("palavra ", 500) + `"}]`)
			var slowest time.Duration
			stalls := asynctest.WatchStalls(t)
			for n := range records {
				clock := stalls.Clock()
				s.Record(&callback.Record{CallID: strconv.Itoa(n), Status: callback.Success, Messages: text}, callback.Inherit)
				took, late := clock()
				slowest = max(slowest, took-late)
			}
			if testring.JudgesTimes() && slowest > 250*time.Millisecond { // what two busy processors may do to any line of code
				t.Errorf("handing over took up to %v", slowest)
			}
			if st := s.Stats()[0]; st.Bytes > 64<<20 || st.Dropped > 0 {
				t.Errorf("%+v", st)
			}
			select { // until it has met the trouble
			case <-m.met:
			case <-time.After(2 * time.Minute):
				t.Fatal("nothing came")
			}
			m.mood.Store("well")
			if mood == "hangs" {
				server.CloseClientConnections()
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			if err := s.Close(ctx); err != nil {
				t.Error(err)
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			if len(m.seen) != records {
				t.Errorf("%d of %d records arrived", len(m.seen), records)
			}
		})
	}
}
