package extproc

import (
	"errors"
	"io"

	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/translate/chat"
)

// How stream 1 closes says nothing: the client's leaving, the provider's and a
// timeout look alike, and an answer that passed unread says nothing of its
// tokens. Envoy's access log knows. Its entries of such requests, and only
// those, come to this service, up to a flush interval after the close.

// logEntry is what Envoy's access log says of one request.
type logEntry struct {
	ended ending
	usage chat.Usage
	known bool // usage was reported
}

// StreamAccessLogs receives Envoy's entries.
func (s *Server) StreamAccessLogs(stream accesslogv3.AccessLogService_StreamAccessLogsServer) error {
	relayed := metadataValue(stream.Context(), relayedKey) != ""
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&accesslogv3.StreamAccessLogsResponse{})
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
	if s.ended.log(id, readEntry(e, namespaces[names.NamespaceUsage])) {
		return
	}
	if replica := fields[names.FieldReplica].GetStringValue(); replica != "" && replica != s.replica && !relayed {
		s.entries.add(replica, e)
	}
}

func readEntry(e *datav3.HTTPAccessLogEntry, usage *structpb.Struct) logEntry {
	entry := logEntry{ended: endingOf(e.GetCommonProperties().GetResponseFlags())}
	fields := usage.GetFields()
	number := func(name string) int64 { return int64(fields[name].GetNumberValue()) }
	entry.usage = chat.Usage{
		Prompt: number(names.FieldPromptTokens), Completion: number(names.FieldCompletionTokens), Total: number(names.FieldTotalTokens),
	}
	entry.known = entry.usage.Total > 0
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
