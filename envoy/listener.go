package envoy

import (
	"math"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// connectionBuffer is the per-connection buffer limit in bytes. Whole request bodies
// have the virtual host's limit instead.
const connectionBuffer = 256 << 10

// listener is where the clients come in.
func (b *builder) listener() *listenerv3.Listener {
	return &listenerv3.Listener{
		Name:                          "isthmus",
		Address:                       b.in.Listen.proto(),
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(b.connectionBuffer()),
		TcpKeepalive:                  b.listenerKeepalive(),
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name:       "envoy.filters.network.http_connection_manager",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: b.any(b.connectionManager())},
		}}}},
	}
}

// listenerKeepalive finds clients that have vanished: a request may be silent for
// long, and holds its slots meanwhile. Nil where Envoy has no such setting.
func (b *builder) listenerKeepalive() *corev3.TcpKeepalive {
	if !b.in.Version.hasListenerKeepalive() {
		return nil
	}
	return keepalive()
}

// connectionBuffer is the listener's buffer limit in bytes. Before 1.37 it bounds a
// filter's buffer too, so that it must be that of a request body.
func (b *builder) connectionBuffer() uint32 {
	if b.in.Version.limitsBodyByHost() {
		return connectionBuffer
	}
	return uint32(min(b.bufferLimit(), math.MaxUint32))
}

func (b *builder) connectionManager() *hcmv3.HttpConnectionManager {
	m := &hcmv3.HttpConnectionManager{
		StatPrefix:  "isthmus",
		CodecType:   hcmv3.HttpConnectionManager_AUTO,
		HttpFilters: b.httpFilters(),
		AccessLog:   b.accessLogs(),
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{
			// Such names are no risk here, and no reason to refuse a client.
			HeadersWithUnderscoresAction: corev3.HttpProtocolOptions_DROP_HEADER,
		},
		// nginx speaks HTTP/1.0 to what is behind it unless it is told otherwise.
		HttpProtocolOptions: &corev3.Http1ProtocolOptions{AcceptHttp_10: true, DefaultHostForHttp_10: "isthmus"},
		Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
			MaxConcurrentStreams:        wrapperspb.UInt32(1000),
			InitialStreamWindowSize:     wrapperspb.UInt32(1 << 20),
			InitialConnectionWindowSize: wrapperspb.UInt32(16 << 20),
		},
		UseRemoteAddress:             wrapperspb.Bool(true), // an edge: x-envoy-* of clients mean nothing
		NormalizePath:                wrapperspb.Bool(true),
		MergeSlashes:                 true,
		GenerateRequestId:            wrapperspb.Bool(true),
		ServerName:                   "isthmus",
		LocalReplyConfig:             b.localReplies(),
		PathWithEscapedSlashesAction: hcmv3.HttpConnectionManager_KEEP_UNCHANGED,
	}
	clientTimeouts(m)
	b.routeSource(m)
	return m
}

func (b *builder) accessLogs() []*accesslogv3.AccessLog {
	logs := []*accesslogv3.AccessLog{b.reportLog()}
	if b.in.AccessLog != "" {
		logs = append(logs, b.fileLog(b.in.AccessLog))
	}
	return logs
}

// bufferLimit is the limit of a request body, in bytes, as this Envoy counts it.
// The service refuses what is larger than it should be.
func (b *builder) bufferLimit() uint64 {
	if b.in.Version.countsBodyTwice() {
		return 2 * b.in.MaxBody
	}
	return b.in.MaxBody
}
