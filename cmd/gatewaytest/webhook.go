package gatewaytest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
)

// Webhook is a receiver of records for `callbacks: [webhook]`: it keeps what is posted.
type Webhook struct {
	*httptest.Server
	mu      sync.Mutex
	paths   []string
	records []jsontext.Value
}

// NewWebhook serves until the test ends.
func NewWebhook(t testing.TB) *Webhook {
	t.Helper()
	b := &Webhook{}
	b.Server = httptest.NewServer(http.HandlerFunc(b.take))
	t.Cleanup(b.Close)
	return b
}

func (b *Webhook) take(w http.ResponseWriter, r *http.Request) {
	var records []jsontext.Value
	body, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(body, &records) != nil || r.Method != http.MethodPost ||
		r.Header.Get("Content-Type") != "application/json" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.paths = append(b.paths, r.URL.Path)
	b.records = append(b.records, records...)
}

// Records are the records that came so far, as JSON and as values. One with a member
// that a record does not have fails the test.
func (b *Webhook) Records(t testing.TB) ([]jsontext.Value, []callback.Record) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]callback.Record, len(b.records))
	for i, text := range b.records {
		if err := json.Unmarshal(text, &out[i], json.RejectUnknownMembers(true)); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	return slices.Clone(b.records), out
}

// Paths are the paths of what was posted so far.
func (b *Webhook) Paths() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.paths)
}

// CallIDs counts the records by their requests' ids.
func (b *Webhook) CallIDs(t testing.TB) map[string]int {
	t.Helper()
	_, records := b.Records(t)
	ids := map[string]int{}
	for _, r := range records {
		ids[r.CallID]++
	}
	return ids
}

// Fault is what a [FaultyWebhook] does.
type Fault string

// The faults, and none of them.
const (
	Answers500 Fault = "500"    // answers 500
	Floods     Fault = "floods" // answers 503 with 200 MiB
	Hangs      Fault = "hangs"  // reads the request and answers nothing
	Slow       Fault = "slow"   // keeps the records, 50 ms late: as one that is far away
	Well       Fault = "well"   // keeps the records
)

// FaultyWebhook is a webhook with a fault, until it is told otherwise.
type FaultyWebhook struct {
	*Webhook
	fault atomic.Value // Fault
	asked atomic.Bool
}

// NewFaultyWebhook serves until the test ends.
func NewFaultyWebhook(t testing.TB, fault Fault) *FaultyWebhook {
	t.Helper()
	m := &FaultyWebhook{Webhook: &Webhook{}}
	m.fault.Store(fault)
	m.Server = httptest.NewServer(http.HandlerFunc(m.take))
	t.Cleanup(func() {
		m.CloseClientConnections()
		m.Close()
	})
	return m
}

func (m *FaultyWebhook) take(w http.ResponseWriter, r *http.Request) {
	m.asked.Store(true)
	switch m.fault.Load() {
	case Answers500:
		w.WriteHeader(http.StatusInternalServerError)
	case Floods:
		w.WriteHeader(http.StatusServiceUnavailable)
		junk := make([]byte, 1<<20)
		for range 200 {
			if _, err := w.Write(junk); err != nil {
				return
			}
		}
	case Hangs:
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server see that the client is gone
		<-r.Context().Done()
	case Slow:
		time.Sleep(50 * time.Millisecond)
		m.Webhook.take(w, r)
	default:
		m.Webhook.take(w, r)
	}
}

// Asked reports whether a record has been posted, whatever became of it.
func (m *FaultyWebhook) Asked() bool { return m.asked.Load() }

// Recover ends the fault, also for those whose posts hang.
func (m *FaultyWebhook) Recover() {
	m.fault.Store(Well)
	m.CloseClientConnections()
}

// Config is a model config whose records go to the webhook, with the model m at this
// api_base.
func (m *FaultyWebhook) Config(base string) string {
	return "model_list:\n" + Entry("m", base, "") + fmt.Sprintf("general_settings: {callbacks: [webhook], webhook_url: %q}\n", m.URL)
}
