package envoy

import (
	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	matchingv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/matching/v3"
	compositev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/composite/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	headerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	codecv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/upstream_codec/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	envoymatcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

// RequestFilter is the name of the downstream filter.
const RequestFilter = "isthmus"

// httpFilters are the filters of the listener, in order.
func (b *builder) httpFilters() []*hcmv3.HttpFilter {
	filters := []*hcmv3.HttpFilter{b.httpFilter(RequestFilter, b.requestFilter())}
	if b.reports() == names.LogUsage {
		filters = append(filters, b.usageFilter())
	}
	return append(filters, b.httpFilter("envoy.filters.http.router", &routerv3.Router{UpstreamHttpFilters: b.upstreamFilters()}))
}

func (b *builder) httpFilter(name string, config proto.Message) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: b.any(config)}}
}

// externalProcessor is what the ext_proc filters have in common. It fails closed:
// without the service no request reaches a provider with the client's own key.
func (b *builder) externalProcessor(filter string, mode *extprocv3.ProcessingMode) *extprocv3.ExternalProcessor {
	cluster := b.attempts
	if filter == names.FilterRequest {
		cluster = b.processor
	}
	service := b.grpcService(cluster)
	service.InitialMetadata, service.RetryPolicy = b.initialMetadata(filter), b.streamRetries()
	p := &extprocv3.ExternalProcessor{
		GrpcService:       service,
		ProcessingMode:    mode,
		AllowModeOverride: true,
		StatusOnError:     &typev3.HttpStatus{Code: typev3.StatusCode_ServiceUnavailable},
		MutationRules: &mutationv3.HeaderMutationRules{
			AllowAllRouting: wrapperspb.Bool(true), // :path, :authority
			AllowEnvoy:      wrapperspb.Bool(true), // x-envoy-max-retries and the timeouts
		},
	}
	b.processorTimeouts(p)
	return p
}

// streamRetries has a stream that no replica has answered opened again, at another one
// if there is one: the first was gone, or drains. What was answered is never sent twice.
// nil: the service is on this machine, alone.
func (b *builder) streamRetries() *corev3.RetryPolicy {
	if len(b.in.Processors) == 0 || b.in.Processors[0].Path != "" { // none: what a Dynamic Envoy asks for
		return nil
	}
	return &corev3.RetryPolicy{
		RetryOn:    "connect-failure,refused-stream,reset,unavailable",
		NumRetries: wrapperspb.UInt32(streamRetries),
		RetryBackOff: &corev3.BackoffStrategy{
			BaseInterval: durationpb.New(streamRetryInterval), MaxInterval: durationpb.New(streamRetryIntervalLimit),
		},
		RetryHostPredicate: []*corev3.RetryPolicy_RetryHostPredicate{{
			Name:       "envoy.retry_host_predicates.previous_hosts",
			ConfigType: &corev3.RetryPolicy_RetryHostPredicate_TypedConfig{TypedConfig: b.any(&previoushostsv3.PreviousHostsPredicate{})},
		}},
		HostSelectionRetryMaxAttempts: streamRetryHosts,
	}
}

const (
	streamRetries = 3
	// streamRetryHosts is how often another replica is looked for, for one retry: the
	// balancing may name the same several times.
	streamRetryHosts = 5
)

// initialMetadata is the gRPC metadata of a filter's streams: which filter, how this
// Envoy carries plans, what it logs to the service, and the shared secret.
func (b *builder) initialMetadata(filter string) []*corev3.HeaderValue {
	out := []*corev3.HeaderValue{{Key: names.KeyFilter, Value: filter}, {Key: names.KeyPlan, Value: b.in.Version.PlanName()}}
	if filter == names.FilterRequest {
		out = append(out, &corev3.HeaderValue{Key: names.KeyTimeouts, Value: names.TimeoutsOfClusters})
		if b.in.Version.retriesFromFilter() {
			out = append(out, &corev3.HeaderValue{Key: names.KeyOpening, Value: names.OpeningByRequest})
		}
	}
	if log := b.reports(); log != "" && filter == names.FilterRequest {
		out = append(out, &corev3.HeaderValue{Key: names.KeyLog, Value: log})
	}
	return append(out, b.secret()...)
}

// requestFilter is the downstream filter: the request with its whole body, and
// the final answer.
func (b *builder) requestFilter() *extprocv3.ExternalProcessor {
	p := b.externalProcessor(names.FilterRequest, &extprocv3.ProcessingMode{
		RequestHeaderMode: extprocv3.ProcessingMode_SEND, RequestBodyMode: extprocv3.ProcessingMode_BUFFERED,
		ResponseHeaderMode: extprocv3.ProcessingMode_SEND, ResponseBodyMode: extprocv3.ProcessingMode_NONE,
	})
	p.ResponseAttributes = []string{names.AttributeAttempt, names.AttributeDetails}
	p.MetadataOptions = &extprocv3.MetadataOptions{ReceivingNamespaces: untyped(names.NamespaceExchange, names.NamespacePlan,
		names.NamespaceAttempt)}
	return p
}

// retryFilter is entered by attempts that are not the first.
func (b *builder) retryFilter() *extprocv3.ExternalProcessor {
	p := b.externalProcessor(names.FilterRetry, &extprocv3.ProcessingMode{
		RequestHeaderMode: extprocv3.ProcessingMode_SEND, ResponseHeaderMode: extprocv3.ProcessingMode_SKIP,
	})
	p.RequestAttributes = []string{names.AttributeAttempt}
	if !b.in.Version.choosesPerAttempt() {
		// The route's cluster is a list; which of it serves, only the host says.
		p.RequestAttributes = append(p.RequestAttributes, names.AttributeDeployment)
	}
	p.MetadataOptions = &extprocv3.MetadataOptions{
		ForwardingNamespaces: untyped(names.NamespaceExchange), ReceivingNamespaces: untyped(names.NamespaceAttempt),
	}
	return p
}

// failureFilter is entered by answers that are not 2xx.
func (b *builder) failureFilter() *extprocv3.ExternalProcessor {
	mode := &extprocv3.ProcessingMode{
		RequestHeaderMode: extprocv3.ProcessingMode_SKIP, ResponseHeaderMode: extprocv3.ProcessingMode_SEND,
		ResponseBodyMode: extprocv3.ProcessingMode_BUFFERED,
	}
	p := b.externalProcessor(names.FilterFailure, mode)
	p.ResponseAttributes = []string{names.AttributeAttempt}
	p.MetadataOptions = &extprocv3.MetadataOptions{
		ForwardingNamespaces: untyped(names.NamespaceExchange), ReceivingNamespaces: untyped(names.NamespacePlan),
	}
	return p
}

// openingFilter is entered by attempts whose stream may still fail over. It shows the
// request's headers: the attempt goes to the provider when the service has answered
// them. An upstream ext_proc filter that is shown bodies can crash Envoy; this, and
// attemptsStream, prevent it. Of the answer it shows the headers and the first chunks,
// and holds them until the service has decided. Then the service ends its stream, and
// Envoy lets all that it holds, and what follows, pass by itself: it keeps a copy of
// each chunk for which it waits. When the service fails, everything passes too.
func (b *builder) openingFilter() *extprocv3.ExternalProcessor {
	p := b.externalProcessor(names.FilterOpening, &extprocv3.ProcessingMode{
		RequestHeaderMode: extprocv3.ProcessingMode_SEND, ResponseHeaderMode: extprocv3.ProcessingMode_SEND,
		ResponseBodyMode: extprocv3.ProcessingMode_STREAMED,
	})
	p.FailureModeAllow = true
	p.AllowModeOverride = false
	p.SendBodyWithoutWaitingForHeaderResponse = true
	p.MessageTimeout = durationpb.New(openingMessageTimeout)
	p.ResponseAttributes = []string{names.AttributeAttempt}
	p.MetadataOptions = &extprocv3.MetadataOptions{
		ForwardingNamespaces: untyped(names.NamespaceExchange), ReceivingNamespaces: untyped(names.NamespacePlan),
	}
	return p
}

func untyped(namespaces ...string) *extprocv3.MetadataOptions_MetadataNamespaces {
	return &extprocv3.MetadataOptions_MetadataNamespaces{Untyped: namespaces}
}

// upstreamFilters run for each attempt, in this order towards the provider and
// the other way back.
func (b *builder) upstreamFilters() []*hcmv3.HttpFilter {
	last := []*hcmv3.HttpFilter{
		b.httpFilter("envoy.filters.http.header_mutation", b.guard()),
		b.httpFilter("envoy.filters.http.upstream_codec", &codecv3.UpstreamCodec{}),
	}
	if !b.in.Version.retriesFromFilter() {
		return append([]*hcmv3.HttpFilter{b.httpFilter("isthmus.retry", b.retryFilter())}, last...)
	}
	retry := b.unless("isthmus.retry", b.retryFilter(), b.requestInput("x-envoy-attempt-count"),
		&xdsmatcherv3.StringMatcher{MatchPattern: &xdsmatcherv3.StringMatcher_Exact{Exact: "1"}})
	good := matches(b.responseInput(":status"), &xdsmatcherv3.StringMatcher{MatchPattern: &xdsmatcherv3.StringMatcher_Prefix{Prefix: "2"}})
	failure := b.where("isthmus.failure", b.failureFilter(), not(good))
	opening := b.when("isthmus.opening", b.openingFilter(), b.requestInput(names.HeaderOpening),
		&xdsmatcherv3.StringMatcher{MatchPattern: &xdsmatcherv3.StringMatcher_Exact{Exact: names.Opening}})
	// An answer passes the failure filter first: what the opening filter makes a
	// failure is judged.
	return append([]*hcmv3.HttpFilter{retry, opening, failure}, last...)
}

func (b *builder) requestInput(header string) *xdscorev3.TypedExtensionConfig {
	return &xdscorev3.TypedExtensionConfig{Name: "request-header",
		TypedConfig: b.any(&envoymatcherv3.HttpRequestHeaderMatchInput{HeaderName: header})}
}

func (b *builder) responseInput(header string) *xdscorev3.TypedExtensionConfig {
	return &xdscorev3.TypedExtensionConfig{Name: "response-header",
		TypedConfig: b.any(&envoymatcherv3.HttpResponseHeaderMatchInput{HeaderName: header})}
}

// unless wraps a filter so that it runs only where the input does not match: it
// costs nothing where it does.
func (b *builder) unless(name string, config proto.Message, input *xdscorev3.TypedExtensionConfig,
	value *xdsmatcherv3.StringMatcher) *hcmv3.HttpFilter {
	return b.where(name, config, not(matches(input, value)))
}

// when wraps a filter so that it runs only where the input matches.
func (b *builder) when(name string, config proto.Message, input *xdscorev3.TypedExtensionConfig,
	value *xdsmatcherv3.StringMatcher) *hcmv3.HttpFilter {
	return b.where(name, config, matches(input, value))
}

func not(p *xdsmatcherv3.Matcher_MatcherList_Predicate) *xdsmatcherv3.Matcher_MatcherList_Predicate {
	return &xdsmatcherv3.Matcher_MatcherList_Predicate{MatchType: &xdsmatcherv3.Matcher_MatcherList_Predicate_NotMatcher{NotMatcher: p}}
}

func matches(input *xdscorev3.TypedExtensionConfig, value *xdsmatcherv3.StringMatcher) *xdsmatcherv3.Matcher_MatcherList_Predicate {
	return &xdsmatcherv3.Matcher_MatcherList_Predicate{MatchType: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate_{
		SinglePredicate: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate{
			Input:   input,
			Matcher: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate_ValueMatch{ValueMatch: value},
		},
	}}
}

func (b *builder) where(name string, config proto.Message, predicate *xdsmatcherv3.Matcher_MatcherList_Predicate) *hcmv3.HttpFilter {
	action := b.any(&compositev3.ExecuteFilterAction{TypedConfig: &corev3.TypedExtensionConfig{Name: name, TypedConfig: b.any(config)}})
	matcher := &xdsmatcherv3.Matcher{MatcherType: &xdsmatcherv3.Matcher_MatcherList_{MatcherList: &xdsmatcherv3.Matcher_MatcherList{
		Matchers: []*xdsmatcherv3.Matcher_MatcherList_FieldMatcher{{
			Predicate: predicate,
			OnMatch: &xdsmatcherv3.Matcher_OnMatch{OnMatch: &xdsmatcherv3.Matcher_OnMatch_Action{
				Action: &xdscorev3.TypedExtensionConfig{Name: name, TypedConfig: action},
			}},
		}},
	}}}
	return b.httpFilter(name, &matchingv3.ExtensionWithMatcher{
		ExtensionConfig: &corev3.TypedExtensionConfig{Name: "envoy.filters.http.composite", TypedConfig: b.any(&compositev3.Composite{})},
		XdsMatcher:      matcher,
	})
}

// guard stands between the provider and our upstream filters. Towards the
// provider it takes away what is internal and gives retried attempts the
// content-length that ext_proc dropped; on the way back it takes away what only
// our own filters may say, and what keeps Envoy from retrying: a provider that sent
// x-isthmus-retry on a good answer would make Envoy throw the answer away.
func (b *builder) guard() *headerv3.HeaderMutation {
	return &headerv3.HeaderMutation{Mutations: &headerv3.Mutations{
		RequestMutations: []*mutationv3.HeaderMutation{
			removeHeader("x-envoy-attempt-count"),
			removeHeader("x-envoy-expected-rq-timeout-ms"),
			removeHeader("x-envoy-original-path"),
			removeHeader("x-envoy-original-host"),
			removeHeader("x-request-id"),
			removeHeader("x-forwarded-proto"),
			removeHeader(names.HeaderHost),
			removeHeader(names.HeaderIdle),
			removeHeader(names.HeaderUsage),
			removeHeader(names.HeaderCluster),
			removeHeader(names.HeaderOpening),
			setHeader("content-length", names.FieldLength),
		},
		ResponseMutations: []*mutationv3.HeaderMutation{
			removeHeader(names.HeaderRetry), removeHeader(names.HeaderBackoff),
			removeHeader(names.HeaderOpening),
			// An Envoy before the provider says these to Envoys of its own mesh: ours
			// would not retry.
			removeHeader("x-envoy-ratelimited"), removeHeader("x-envoy-overloaded"),
		},
	}}
}

func removeHeader(name string) *mutationv3.HeaderMutation {
	return &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Remove{Remove: name}}
}

// setHeader sets a header to a field of NamespaceAttempt, if that is there.
func setHeader(name, field string) *mutationv3.HeaderMutation {
	return &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Append{Append: &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, Value: "%DYNAMIC_METADATA(" + names.NamespaceAttempt + ":" + field + ")%"},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}}}
}
