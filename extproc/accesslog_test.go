package extproc

import (
	"context"
	"io"
	"strings"
	"testing"

	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"
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

// entryStream is Envoy's stream of one message of entries.
type entryStream struct {
	grpc.ServerStream
	entries []*datav3.HTTPAccessLogEntry
	ended   bool // the service has ended it well
}

func (s *entryStream) Context() context.Context { return context.Background() }

func (s *entryStream) Recv() (*accesslogv3.StreamAccessLogsMessage, error) {
	if s.entries == nil {
		return nil, io.EOF
	}
	m := &accesslogv3.StreamAccessLogsMessage{LogEntries: &accesslogv3.StreamAccessLogsMessage_HttpLogs{
		HttpLogs: &accesslogv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: s.entries},
	}}
	s.entries = nil
	return m, nil
}

func (s *entryStream) SendAndClose(*accesslogv3.StreamAccessLogsResponse) error {
	s.ended = true
	return nil
}

func TestAPanicAtAnEntryCostsThatEntryAlone(t *testing.T) {
	h := newHouse(t, twoSisters)
	var heard bool
	h.unsettled.expect("bad")
	h.unsettled.settle("bad", func(*logEntry) { panic("a bug") })
	h.unsettled.expect("good")
	h.unsettled.settle("good", func(*logEntry) { heard = true })
	stream := &entryStream{entries: []*datav3.HTTPAccessLogEntry{entryFor("bad", ""), entryFor("good", "")}}
	if err := h.StreamAccessLogs(stream); err != nil || !stream.ended || !heard {
		t.Errorf("the stream ended with %v; the entry behind the bad one was heard: %t", err, heard)
	}
	if n := h.counter(t, "isthmus_panics_total"); n != 1 {
		t.Errorf("%v panics are counted", n)
	}
	h.nothingHeld()
}

// TestAnAnswerThatBreaksOffAfterItsLastEventIsWholeForAClientThatHasThat: Envoy counts
// the bytes that it has sent.
func TestAnAnswerThatBreaksOffAfterItsLastEventIsWholeForAClientThatHasThat(t *testing.T) {
	const pieces = contentChunk + finishChunk + "data: [DONE]\n\n"
	for name, tc := range map[string]struct {
		sent int // bytes, by Envoy's word
		want string
	}{
		"all of it":          {len(pieces), ""},
		"all but its end":    {len(pieces) - 1, "aborted=upstream"},
		"nothing but a head": {0, "aborted=upstream"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, twoSisters)
			f := h.openLogged()
			_, id := h.begin(f, askStream)
			f.ask(responseHead(1, false, ":status", "200", "content-type", "text/event-stream"))
			f.ask(responsePiece(pieces, false))
			entry := entrySaying(id, &datav3.ResponseFlags{UpstreamConnectionTermination: true})
			entry.Response = &datav3.HTTPResponseProperties{ResponseBodyBytes: uint64(tc.sent)}
			h.logged(entry, false)
			_ = f.close()
			if line := h.log.String(); strings.Contains(line, "aborted") != (tc.want != "") || !strings.Contains(line, tc.want) {
				t.Errorf("the line of the request: %s", line)
			}
			h.nothingHeld()
		})
	}
}
