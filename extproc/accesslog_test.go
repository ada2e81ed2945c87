package extproc

import (
	"strings"
	"testing"

	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	grpcmetadata "google.golang.org/grpc/metadata"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

// openLogged opens the request's stream of an Envoy whose access log comes here.
func (h *house) openLogged() *filterStream {
	f := h.unopened(names.FilterRequest, "priority_group")
	md, _ := grpcmetadata.FromIncomingContext(f.ctx)
	f.ctx = grpcmetadata.NewIncomingContext(f.ctx, grpcmetadata.Join(md, grpcmetadata.Pairs(names.KeyLog, names.LogEndings)))
	go func() { f.err <- h.Process(f) }()
	return f
}

// entrySaying is Envoy's entry of an exchange of this replica, with these flags.
func entrySaying(id string, flags *datav3.ResponseFlags) *datav3.HTTPAccessLogEntry {
	e := entryFor(id, "")
	e.CommonProperties.ResponseFlags = flags
	return e
}

// TestEnvoysWordIsHeardWheneverItComes has the entry of an answer that the provider cut
// come at each moment from the plan on: it travels by another connection than the
// messages of the answer, and may be the first.
func TestEnvoysWordIsHeardWheneverItComes(t *testing.T) {
	cut := &datav3.ResponseFlags{UpstreamConnectionTermination: true}
	for name, at := range map[string]int{
		"before the answer's headers": 0, "after the answer's headers": 1, "after a piece of it": 2, "after the stream has closed": 3,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, twoSisters)
			f := h.openLogged()
			_, id := h.begin(f, question)
			steps := []func(){
				func() { f.ask(responseHead(1, false, ":status", "200", "content-type", "application/json")) },
				func() { f.ask(responsePiece(`{"id":`, false)) },
				func() { _ = f.close() },
				func() {},
			}
			for i, step := range steps {
				if i == at {
					h.logged(entrySaying(id, cut), false)
				}
				step()
			}
			if line := h.log.String(); !strings.Contains(line, "aborted=upstream") {
				t.Errorf("the line of the request: %s", line)
			}
			h.nothingHeld()
		})
	}
}

func TestAnEntryThatNothingWaitsForIsForgotten(t *testing.T) {
	h := newHouse(t, twoSisters)
	f := h.openLogged()
	_, id := h.begin(f, question)
	h.logged(entrySaying(id, &datav3.ResponseFlags{DownstreamConnectionTermination: true}), false)
	f.ask(responseHead(1, false, ":status", "200", "content-type", "application/json"))
	f.ask(responsePiece(`{"id":"c","choices":[]}`, true))
	_ = f.close()
	if line := h.log.String(); strings.Contains(line, "aborted") {
		t.Errorf("an answer that was read to its end: %s", line)
	}
	h.logged(entrySaying(id, &datav3.ResponseFlags{DownstreamConnectionTermination: true}), false)
	h.nothingHeld()
}
