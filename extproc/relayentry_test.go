package extproc

import (
	"net"
	"testing"

	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
)

// entryFor is Envoy's entry of an exchange on a replica.
func entryFor(id, replica string) *datav3.HTTPAccessLogEntry {
	return &datav3.HTTPAccessLogEntry{CommonProperties: &datav3.AccessLogCommon{Metadata: namedAt(id, replica)}}
}

// TestAReplicaThatDoesNotAnswerHoldsNobodysLog gives entries for one that takes
// connections and says nothing, and for one that serves.
func TestAReplicaThatDoesNotAnswerHoldsNobodysLog(t *testing.T) {
	hole, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hole.Close() })
	a, b := newHouse(t, twoSisters), newHouse(t, twoSisters)
	at := a.listen()
	b.knows(at, hole.Addr().String())
	settled := make(chan *logEntry, 1)
	a.unsettled.expect("mine")
	a.unsettled.settle("mine", func(e *logEntry) { settled <- e })
	for range maxEntries + 500 { // returns at once: else the test would time out
		b.logged(entryFor("lost", hole.Addr().String()), false)
	}
	b.logged(entryFor("mine", at), false)
	b.logged(entryFor("lost", "192.0.2.1:9100"), false) // nobody's address
	<-settled
	b.entries.close() // what waits is given up
	asynctest.Await(t, "what had no room is counted", func() bool { return b.counter(t, "isthmus_access_log_relayed_entries_total") >= 500 })
	if n := len(b.entries.queues); n != 0 {
		t.Errorf("%d queues are left", n)
	}
}

func TestARelayedEntryGoesNoFurther(t *testing.T) {
	a, b := newHouse(t, twoSisters), newHouse(t, twoSisters)
	at := a.listen()
	b.knows(at)
	b.logged(entryFor("unknown", at), true)
	b.entries.close()
	if n := b.counter(t, "isthmus_access_log_relayed_entries_total"); n != 0 {
		t.Errorf("%v entries were handed on", n)
	}
}

// TestTheEntriesThatWaitAreBoundedHoweverManyReplicasAreSilent gives entries for more
// silent replicas than may have full queues at the same time.
func TestTheEntriesThatWaitAreBoundedHoweverManyReplicasAreSilent(t *testing.T) {
	const silent = 12
	h := newHouse(t, twoSisters)
	var addresses []string
	for range silent {
		hole, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = hole.Close() })
		addresses = append(addresses, hole.Addr().String())
	}
	h.knows(addresses...)
	for _, at := range addresses {
		for range maxEntries {
			h.logged(entryFor("lost", at), false)
		}
		h.entries.mu.Lock()
		if h.entries.waiting > maxAllEntries {
			t.Errorf("%d entries wait", h.entries.waiting)
		}
		h.entries.mu.Unlock()
	}
	h.entries.close()
	if n := h.entries.waiting; n != 0 {
		t.Errorf("%d entries wait after the end", n)
	}
}
