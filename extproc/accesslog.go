package extproc

import (
	"errors"
	"io"
	"math"
	"strconv"
	"sync"
	"time"

	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/routing/guard"
	"github.com/isthmus-proxy/isthmus/translate/chat"
)

// How stream 1 closes says nothing: the client's leaving, the provider's and a
// timeout look alike, and an answer that passed unread says nothing of its
// tokens. Envoy's access log knows. Its entries of such requests, and only
// those, come to this service, up to a flush interval after the close.

// logEntry is what Envoy's access log says of one request.
type logEntry struct {
	ended  ending
	status int // that the client got; 0: none, or it is not known
	usage  chat.Usage
	known  bool  // usage was reported
	bytes  int64 // of the answer's body
	// firstBody is when the body of the answer began, from the request's begin; 0: it
	// is not known.
	firstBody time.Duration
}

// StreamAccessLogs receives Envoy's entries, until Envoy ends the stream or
// CloseAccessLogs does.
func (s *Server) StreamAccessLogs(stream accesslogv3.AccessLogService_StreamAccessLogsServer) error {
	err := s.unless(s.logsClosed, "a stream of the access log", func() error { return s.receiveEntries(stream) })
	if err != nil {
		return err
	}
	return stream.SendAndClose(&accesslogv3.StreamAccessLogsResponse{})
}

// CloseAccessLogs ends the streams of Envoy's access log, now and from now on: Envoy
// opens them where its next streams go.
func (s *Server) CloseAccessLogs() { s.closeLogs() }

func (s *Server) receiveEntries(stream accesslogv3.AccessLogService_StreamAccessLogsServer) error {
	relayed := metadataValue(stream.Context(), relayedKey) != ""
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range m.GetHttpLogs().GetLogEntry() {
			s.guard.Run("an entry of the access log", func() { s.logged(e, relayed) })
		}
	}
}

// logged tells the exchange of an entry, or the replica that has it.
func (s *Server) logged(e *datav3.HTTPAccessLogEntry, relayed bool) {
	namespaces := e.GetCommonProperties().GetMetadata().GetFilterMetadata()
	fields := namespaces[names.NamespaceExchange].GetFields()
	id := fields[names.FieldID].GetStringValue()
	if s.unsettled.deliver(id, readEntry(e, namespaces[names.NamespaceUsage])) {
		return
	}
	if replica := fields[names.FieldReplica].GetStringValue(); replica != "" && replica != s.replica && !relayed {
		s.entries.add(replica, e)
	}
}

func readEntry(e *datav3.HTTPAccessLogEntry, usage *structpb.Struct) logEntry {
	entry := logEntry{
		ended:  endingOf(e.GetCommonProperties().GetResponseFlags()),
		status: int(e.GetResponse().GetResponseCode().GetValue()),
	}
	fields := usage.GetFields()
	number := func(name string) int64 { return int64(fields[name].GetNumberValue()) }
	entry.usage = chat.Usage{
		Prompt: number(names.FieldPromptTokens), Completion: number(names.FieldCompletionTokens), Total: number(names.FieldTotalTokens),
	}
	entry.usage = entry.usage.Completed()
	entry.known = entry.usage.Total > 0
	entry.bytes = int64(min(e.GetResponse().GetResponseBodyBytes(), math.MaxInt64))
	if ms, err := strconv.ParseInt(e.GetCommonProperties().GetCustomTags()[names.TagFirstBody], 10, 32); err == nil && ms > 0 {
		entry.firstBody = time.Duration(ms) * time.Millisecond
	}
	return entry
}

func endingOf(f *datav3.ResponseFlags) ending {
	switch {
	case f.GetDownstreamConnectionTermination(), f.GetDownstreamRemoteReset(), f.GetDownstreamProtocolError():
		return endedClient
	case f.GetUpstreamRequestTimeout(), f.GetStreamIdleTimeout(), f.GetDurationTimeout(), f.GetUpstreamMaxStreamDurationReached():
		return endedTimeout
	case f.GetUpstreamConnectionTermination(), f.GetUpstreamRemoteReset(), f.GetUpstreamProtocolError(),
		f.GetLocalReset(), f.GetUpstreamConnectionFailure():
		return endedUpstream
	}
	return endedWhole
}

// entryWait is how long Envoy's entry is waited for: many flush intervals.
const entryWait = 2 * time.Second

// unsettled are the exchanges whose settling waits for Envoy's entry: they have
// finished, or have an entry already while their stream still closes. It is safe for
// concurrent use; byID is made when it is needed.
type unsettled struct {
	guard *guard.Guard
	mu    sync.Mutex
	byID  map[string]*unsettledExchange
}

type unsettledExchange struct {
	entry  *logEntry
	settle func(*logEntry) // nil until the exchange has finished
	timer  *time.Timer
}

// expect notes an exchange whose entry may come.
func (u *unsettled) expect(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.byID == nil {
		u.byID = map[string]*unsettledExchange{}
	}
	u.byID[id] = &unsettledExchange{}
}

// settle calls settle once: with the entry as soon as it is there, with an empty one
// after entryWait, or with nil when none is expected.
func (u *unsettled) settle(id string, settle func(*logEntry)) {
	if entry, known := u.await(id, settle); known {
		settle(entry)
	}
}

// await has settle called when the entry comes, or after entryWait. known: the entry
// is there already, or none is expected (nil).
func (u *unsettled) await(id string, settle func(*logEntry)) (entry *logEntry, known bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	each := u.byID[id]
	if each == nil {
		return nil, true
	}
	if each.entry != nil {
		delete(u.byID, id)
		return each.entry, true
	}
	each.settle = settle
	each.timer = u.guard.AfterFunc(entryWait, "a request that Envoy says nothing of", func() { u.deliver(id, logEntry{}) })
	return nil, false
}

// forget gives up on an exchange that needs no entry.
func (u *unsettled) forget(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.byID, id)
}

// deliver hands over an entry, and reports whether it is expected.
func (u *unsettled) deliver(id string, entry logEntry) bool {
	settle, expected := u.note(id, &entry)
	if settle != nil {
		settle(&entry)
	}
	return expected
}

// note keeps an entry. settle is what must be called with it: nil when its
// exchange has not finished.
func (u *unsettled) note(id string, entry *logEntry) (settle func(*logEntry), expected bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	each, ok := u.byID[id]
	if !ok {
		return nil, false
	}
	if each.settle == nil {
		each.entry = entry
		return nil, true
	}
	delete(u.byID, id)
	each.timer.Stop()
	return each.settle, true
}
