package extproc

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/translate/tokens"
)

// otpmHouse is a house whose one deployment has a limit of output tokens. Its clock
// stands still: the minute never ends.
type otpmHouse struct {
	*house
	says  streamsOf
	store limit.Store
	key   string
}

const otpm = 2000

func newOTPMHouse(t *testing.T, says streamsOf) *otpmHouse {
	t.Helper()
	h := newHouse(t, "model_list: [{model_name: m, litellm_params: {"+says.params+", api_key: k}}]\n")
	now := func() time.Time { return epoch }
	shared := store.NewShared(store.SharedOptions{Now: now, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { _ = shared.Close() })
	id := h.router.Deployments()[0].ID
	l := limit.New(limit.Options{
		Store: shared, Now: now, Guard: h.guard, Deployments: []limit.Deployment{{ID: id, Group: "m", Budget: limit.Budget{OTPM: otpm}}},
	})
	t.Cleanup(l.Close)
	h.runtime.Use(h.router, Settings{Limiter: l, Tokens: tokens.New()})
	return &otpmHouse{house: h, says: says, store: shared, key: "d/" + id + "/otpm"}
}

// charged is what the limit has been charged.
func (h *otpmHouse) charged() int64 {
	h.t.Helper()
	peers, err := h.store.Beat(context.Background(), store.Beat{Watch: []string{h.key}})
	if err != nil || len(peers.Used) != 1 {
		h.t.Fatalf("the store says %v, %v", peers.Used, err)
	}
	return peers.Used[0]
}

// take begins a stream and reads a thousand tokens of it; nil: it is refused.
func (h *otpmHouse) take() *filterStream {
	h.t.Helper()
	f := h.open(names.FilterRequest)
	answer, _ := h.says.begin(h.house, f)
	if refusal := answer.GetImmediateResponse(); refusal != nil {
		if code := refusal.GetStatus().GetCode(); code != 429 {
			h.t.Fatalf("it is refused with %d", code)
		}
		_ = f.close()
		return nil
	}
	f.ask(responseHead(1, false, ":status", "200", "content-type", h.says.contentType))
	// The token of the streams is the string "a".
	f.feed(responsePiece(strings.Join(h.says.opening, "")+strings.Repeat(strings.ReplaceAll(h.says.token, `"a"`, `" word"`), 1000), false))
	return f
}

// leave has the client leave a stream; when that is counted, so much is charged.
func (h *otpmHouse) leave(f *filterStream, charged int64) {
	h.t.Helper()
	if err := f.close(); err != nil {
		h.t.Errorf("the stream ended with %v", err)
	}
	asynctest.Await(h.t, "what was left is charged", func() bool { return h.charged() == charged })
}

// TestAClientThatLeavesEachStreamIsHeldToItsTokens: one after the other, the limit is
// passed by the last one alone.
func TestAClientThatLeavesEachStreamIsHeldToItsTokens(t *testing.T) {
	for name, says := range streams() {
		t.Run(name, func(t *testing.T) {
			h := newOTPMHouse(t, says)
			taken := int64(0)
			for f := h.take(); f != nil; f = h.take() {
				taken += 1000
				if h.leave(f, taken); taken > 2*otpm {
					break
				}
			}
			if taken < 1000 || taken > otpm+1000 {
				t.Errorf("%d tokens were taken within the minute, the limit is %d", taken, otpm)
			}
		})
	}
}

// TestClientsThatLeaveAtTheSameTimeExceedTheirTokensByTheEstimatesAlone: what runs at
// the same time was admitted by what it was expected to use.
func TestClientsThatLeaveAtTheSameTimeExceedTheirTokensByTheEstimatesAlone(t *testing.T) {
	for name, says := range streams() {
		t.Run(name, func(t *testing.T) {
			h := newOTPMHouse(t, says)
			var running []*filterStream
			for f := h.take(); f != nil && len(running) < 10; f = h.take() {
				running = append(running, f)
			}
			expected := h.charged()
			if expected > otpm || len(running) == 0 {
				t.Errorf("%d streams run, which are expected to use %d", len(running), expected)
			}
			each := expected / int64(len(running))
			for n, f := range running {
				h.leave(f, expected+int64(n+1)*(1000-each))
			}
			if h.take() != nil {
				t.Errorf("another stream is admitted when %d of %d tokens were taken", h.charged(), otpm)
			}
		})
	}
}
