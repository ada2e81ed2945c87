package envoy

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previousv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/priority/previous_priorities/v3"
	groupv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/router/cluster_specifiers/priority_group/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

// routes is the route table of an Envoy of isthmus's own: every host and path, to the
// clusters of the request's plan.
func (b *builder) routes() *routev3.RouteConfiguration {
	return &routev3.RouteConfiguration{
		Name: routesName, VirtualHosts: []*routev3.VirtualHost{b.virtualHost([]string{"*"})},
		// Deployments may come by CDS later than the routes.
		ValidateClusters: wrapperspb.Bool(false),
	}
}

// routesName is the name of the route table, by which a Dynamic Envoy asks for it.
const routesName = "isthmus"

// virtualHostName names our virtual host in every route table.
const virtualHostName = "isthmus"

// virtualHost is the host whose requests isthmus answers.
func (b *builder) virtualHost(domains []string) *routev3.VirtualHost {
	host := &routev3.VirtualHost{
		Name:                          virtualHostName,
		Domains:                       domains,
		IncludeRequestAttemptCount:    true,
		IncludeAttemptCountInResponse: true,
		// The limit of a request body. The listener's own buffer stays small.
		RequestBodyBufferLimit: wrapperspb.UInt64(b.bufferLimit()),
	}
	host.Routes = b.idleRoutes()
	return host
}

// is matches a header with exactly this value.
func is(name, value string) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{
		Name: name,
		HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_Exact{Exact: value},
		}},
	}
}

// route is the route of requests with these headers. idle is the longest gap between
// bytes of an attempt; 0: nothing bounds that (timeout.go).
func (b *builder) route(idle time.Duration, with ...*routev3.HeaderMatcher) *routev3.Route {
	match := &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}, Headers: with}
	action := &routev3.RouteAction{
		RetryPolicy: b.retryPolicy(),
		// The filter must not set :authority itself: the route would be looked for
		// in another virtual host.
		HostRewriteSpecifier: &routev3.RouteAction_HostRewriteHeader{HostRewriteHeader: names.HeaderHost},
	}
	routeTimeouts(action, idle)
	b.chooseCluster(action)
	return &routev3.Route{Match: match, Action: &routev3.Route_Route{Route: action}}
}

// chooseCluster sets where the cluster of an attempt comes from: the plan in the
// request's metadata, or before 1.40 a header that names a fixed order.
func (b *builder) chooseCluster(action *routev3.RouteAction) {
	if !b.in.Version.choosesPerAttempt() {
		action.ClusterSpecifier = &routev3.RouteAction_ClusterHeader{ClusterHeader: names.HeaderCluster}
		return
	}
	// The default group is a cluster that does not exist: a request without a
	// plan goes nowhere.
	specifier := &groupv3.PriorityGroupClusterSpecifier{
		PriorityGroups: []*groupv3.PriorityGroup{{
			Name:     "end",
			Clusters: []*groupv3.ClusterWeight{{ClusterName: names.EndCluster, Weight: wrapperspb.UInt32(1)}},
		}},
		OverrideMetadataNamespace: names.NamespacePlan,
	}
	action.ClusterSpecifier = &routev3.RouteAction_InlineClusterSpecifierPlugin{InlineClusterSpecifierPlugin: &routev3.ClusterSpecifierPlugin{
		Extension: &corev3.TypedExtensionConfig{
			Name:        "envoy.router.cluster_specifier_plugin.priority_group",
			TypedConfig: b.any(specifier),
		},
	}}
}

// retryPolicy lets Envoy retry attempts that got no answer, and answers that the
// failure filter marks. Only where there is no failure filter does Envoy judge status
// codes itself. x-envoy-max-retries raises num_retries for each request.
func (b *builder) retryPolicy() *routev3.RetryPolicy {
	p := &routev3.RetryPolicy{
		RetryOn:    "connect-failure,refused-stream,reset,retriable-headers",
		NumRetries: wrapperspb.UInt32(0),
		RetriableHeaders: []*routev3.HeaderMatcher{{
			Name: names.HeaderRetry, HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: true},
		}},
	}
	retryPauses(p)
	if !b.in.Version.retriesFromFilter() {
		p.RetryOn += ",5xx,retriable-status-codes"
		p.RetriableStatusCodes = []uint32{401, 402, 403, 404, 408, 409, 429} // what another deployment may answer better
	}
	switch {
	case b.in.Version.choosesPerAttempt():
		p.RefreshClusterOnRetry = true
	case !b.in.Version.hasCompositeCluster():
		p.RetryPriority = &routev3.RetryPolicy_RetryPriority{
			Name: "envoy.retry_priorities.previous_priorities",
			ConfigType: &routev3.RetryPolicy_RetryPriority_TypedConfig{
				TypedConfig: b.any(&previousv3.PreviousPrioritiesConfig{UpdateFrequency: 1}),
			},
		}
	}
	return p
}
