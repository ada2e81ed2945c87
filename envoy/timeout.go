package envoy

import (
	"slices"
	"strconv"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

// This file has every timeout of Envoy's. What bounds what (decision 007):
//
//	the client's headers, its whole request   request_headers_timeout, request_timeout
//	waiting in the queue, the service's work  max_message_timeout, message_timeout
//	connecting to a provider                  connect_timeout
//	an attempt that does not stream, whole    max_stream_duration of the deployment's cluster (3)
//	a stream: its first byte and each gap     per_try_idle_timeout, by one route per value
//	the same, where another's time is longer  idle timeout of a TCP proxy (streamcluster.go)
//	an attempt whose client gave the time     x-envoy-upstream-rq-per-try-timeout-ms (1)
//	a request, all attempts, not streamed     x-envoy-upstream-rq-timeout-ms (1)
//	a request, all attempts, streamed         the service, until the answer begins (2)
//	a client that does not take its answer    stream_flush_timeout
//	the pause before a retry                  the service asks for it, at most maxBackoff
//	peers that vanish, unused connections     TCP keepalive, idle_timeout
//	a service that hangs                      message_timeout, connection_keepalive
//
// (1) and the header that picks the route of an attempt are set for each request in
// extproc's attemptHeaders; (2) is extproc/timeouts.go; (3) the header
// x-envoy-upstream-stream-duration-ms lifts it from streams and where the client gave
// the time. Timers that Envoy has by default and that would cut long answers are 0
// here, which turns them off.

// Of the clients' connections and requests.
const (
	requestHeadersTimeout = 30 * time.Second
	// requestTimeout is how long a client may take to send its request. It has
	// stopped before the request waits for anything.
	requestTimeout = 10 * time.Minute
	// streamFlushTimeout is how long a client may take nothing of an answer that
	// is complete on our side.
	streamFlushTimeout   = 5 * time.Minute
	clientIdleTimeout    = time.Hour       // of a connection without a request
	delayedCloseTimeout  = time.Second     // after an answer that ends its connection
	listenerDrainTimeout = 5 * time.Second // between HTTP/2's two GOAWAYs
)

// Of the connections to providers and to the service.
const (
	connectTimeout      = 5 * time.Second
	upstreamIdleTimeout = 5 * time.Minute // of a connection without a request
	keepaliveTime       = time.Minute     // without a byte until the first probe
	keepaliveInterval   = 15 * time.Second
	keepaliveProbes     = 4 // unanswered: a peer is found gone after two minutes
)

// Of the health checks of the service, where it has replicas. A replica that says that
// it does not serve is left healthInterval and healthEdgeInterval later, or with the
// first stream that it answers after that; one that is silent after two healthTimeouts
// more.
const (
	healthInterval     = 2 * time.Second
	healthEdgeInterval = 500 * time.Millisecond // after a first failure
	healthTimeout      = time.Second
	healthJitter       = 10 // percent of an interval
)

// Of retries. The failure filter asks for a pause in whole seconds (names.HeaderBackoff);
// without it Envoy pauses between the other two.
const (
	maxBackoff         = 300 * time.Second
	retryBaseInterval  = time.Millisecond
	retryIntervalLimit = 10 * time.Millisecond
	// Before a stream to the service is opened again.
	streamRetryInterval      = 10 * time.Millisecond
	streamRetryIntervalLimit = 250 * time.Millisecond
)

// Of the service.
const (
	// initialFetchTimeout is how long Envoy waits for its first clusters and routes
	// before it goes on without them.
	initialFetchTimeout = 30 * time.Second
	// processorPing and processorPingTimeout: a service that hangs is found by HTTP/2's
	// PING, and its streams are cut. No message timeout bounds the answer to a piece of
	// a stream that is read in full duplex.
	processorPing        = 10 * time.Second
	processorPingTimeout = 15 * time.Second

	// accessLogFlush is how late an entry of the access log may come.
	accessLogFlush = 100 * time.Millisecond

	// openingMessageTimeout bounds the opening filter's wait for the service to decide
	// about an answer, from each chunk on. Envoy takes no longer one. The attempt's own
	// timer runs on meanwhile.
	openingMessageTimeout = time.Hour

	defaultMessageTimeout = 10 * time.Second
	defaultQueueTimeout   = 30 * time.Second
	defaultIdleTimeout    = 10 * time.Minute
)

// setTimeouts fills the timeouts that the input leaves out.
func (in *Input) setTimeouts() {
	if in.MessageTimeout == 0 {
		in.MessageTimeout = defaultMessageTimeout
	}
	if in.QueueTimeout == 0 {
		in.QueueTimeout = defaultQueueTimeout
	}
	if len(in.IdleTimeouts) == 0 {
		in.IdleTimeouts = []time.Duration{defaultIdleTimeout}
	}
}

// processorTimeouts bound the service's answer to a message. Once a message the
// service may ask for more time, which a request in the queue needs.
func (b *builder) processorTimeouts(p *extprocv3.ExternalProcessor) {
	p.MessageTimeout = durationpb.New(b.in.MessageTimeout)
	p.MaxMessageTimeout = durationpb.New(b.in.QueueTimeout + b.in.MessageTimeout)
}

// clientTimeouts are those of the connection manager.
func clientTimeouts(m *hcmv3.HttpConnectionManager) {
	m.RequestHeadersTimeout = durationpb.New(requestHeadersTimeout)
	m.RequestTimeout = durationpb.New(requestTimeout)
	// Off: five minutes of silence are normal for a model that thinks, and the timer
	// runs while a request waits in the queue too.
	m.StreamIdleTimeout = durationpb.New(0)
	m.StreamFlushTimeout = durationpb.New(streamFlushTimeout)
	m.DelayedCloseTimeout = durationpb.New(delayedCloseTimeout)
	m.DrainTimeout = durationpb.New(listenerDrainTimeout)
	m.CommonHttpProtocolOptions.IdleTimeout = durationpb.New(clientIdleTimeout)
}

// idleRoutes are the routes of the virtual host. per_try_idle_timeout cannot be set
// for a request, so there is one route for each value, which the request filter
// picks by names.HeaderIdle before the route is chosen again. The last one is for a time
// that the client gives: it may be longer than all of these, so that route has no
// idle timer, and the per-try timer bounds the attempts.
func (b *builder) idleRoutes() []*routev3.Route {
	var routes []*routev3.Route
	for _, d := range slices.Sorted(slices.Values(b.in.IdleTimeouts)) {
		routes = append(routes, b.route(d, is(names.HeaderIdle, strconv.FormatInt(d.Milliseconds(), 10))))
	}
	return append(routes, b.route(0))
}

// routeTimeouts turn off the timers that would cut a running answer, and set the
// longest gap between bytes of an attempt; 0: nothing bounds that.
func routeTimeouts(action *routev3.RouteAction, idle time.Duration) {
	action.Timeout = durationpb.New(0)     // Envoy's default is 15 s; set per request by header
	action.IdleTimeout = durationpb.New(0) // of an Envoy with other traffic: its stream_idle_timeout
	if idle > 0 {
		action.RetryPolicy.PerTryIdleTimeout = durationpb.New(idle)
	}
}

// attemptTimeout bounds the attempts on a deployment that do not stream: Envoy reads it
// from the cluster of each attempt, and retries what got no answer in that time.
func attemptTimeout(u Upstream) *corev3.HttpProtocolOptions {
	options := &corev3.HttpProtocolOptions{IdleTimeout: durationpb.New(upstreamIdleTimeout)}
	if u.Timeout > 0 {
		options.MaxStreamDuration = durationpb.New(u.Timeout)
	}
	return options
}

// retryPauses set the pauses between attempts.
func retryPauses(p *routev3.RetryPolicy) {
	p.RetryBackOff = &routev3.RetryPolicy_RetryBackOff{
		BaseInterval: durationpb.New(retryBaseInterval), MaxInterval: durationpb.New(retryIntervalLimit),
	}
	p.RateLimitedRetryBackOff = &routev3.RetryPolicy_RateLimitedRetryBackOff{
		ResetHeaders: []*routev3.RetryPolicy_ResetHeader{{Name: names.HeaderBackoff, Format: routev3.RetryPolicy_SECONDS}},
		MaxInterval:  durationpb.New(maxBackoff),
	}
}

// keepalive finds a peer that is gone within two minutes.
func keepalive() *corev3.TcpKeepalive {
	return &corev3.TcpKeepalive{
		KeepaliveTime:     wrapperspb.UInt32(uint32(keepaliveTime / time.Second)),
		KeepaliveInterval: wrapperspb.UInt32(uint32(keepaliveInterval / time.Second)),
		KeepaliveProbes:   wrapperspb.UInt32(keepaliveProbes),
	}
}
