package extproc

import (
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/status"
)

// history is what the status page's data has of the last requests.
func (h *house) history() string {
	h.t.Helper()
	text, _, err := status.NewBoard(func() status.Snapshot { return status.Snapshot{} }, h.runtime.Recent(), time.Now).Frame(0)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

// TestWhoHasNoKeyLeavesNoTrace: anybody could flush the history and fill the log.
func TestWhoHasNoKeyLeavesNoTrace(t *testing.T) {
	h := newHouse(t, twoSisters+"general_settings: {master_key: sk-master-key}\n")
	ask := func(path string, header ...string) {
		f := h.open(names.FilterRequest)
		f.ask(requestHeaders(true, append(set(begun(), ":path", path), header...)...))
		if err := f.close(); err != nil {
			t.Fatal(err)
		}
	}
	ask("/v1/chat/completions")
	h.runtime.unauthenticated.mu.Lock()
	h.runtime.unauthenticated.next = time.Now().Add(time.Hour) // however slow this machine is
	h.runtime.unauthenticated.mu.Unlock()
	for range 50 {
		ask("/openai/deployments/m/chat/completions")
		ask("/v1/chat/completions", "authorization", "Bearer wrong")
		ask("/nowhere")
		ask("/v1/models")
	}
	if n := strings.Count(h.log.String(), "msg=request"); n != 1 {
		t.Errorf("%d lines, want one", n)
	}
	ask("/nowhere", "authorization", "Bearer sk-master-key")
	page := h.history()
	if n := strings.Count(page, `"endpoint"`); n != 1 {
		t.Errorf("%d requests on the page, want that of the key: %s", n, page)
	}
	if n := strings.Count(h.log.String(), "msg=request"); n != 2 {
		t.Errorf("%d lines, want one more", n)
	}
	families, err := h.counts.Gather()
	if err != nil {
		t.Fatal(err)
	}
	refused := 0.0
	for _, f := range families {
		if f.GetName() == "isthmus_refused_total" {
			for _, m := range f.GetMetric() {
				refused += m.GetCounter().GetValue()
			}
		}
	}
	if refused != 202 {
		t.Errorf("%v refused requests are counted, want 202", refused)
	}
}
