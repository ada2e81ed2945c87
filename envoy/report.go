package envoy

import (
	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	grpclogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	contentv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/content_parsers/json/v3"
	jsonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/json_to_metadata/v3"
	ssev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/sse_to_metadata/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	tracingv3 "github.com/envoyproxy/go-control-plane/envoy/type/tracing/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

// reports is what this Envoy logs to the service by gRPC: names.LogEndings,
// names.LogUsage, or "" for an Envoy with other traffic, whose access logs are its
// owner's.
func (b *builder) reports() string {
	switch {
	case b.shared:
		return ""
	case b.in.Version.hasSSEToMetadata():
		return names.LogUsage
	}
	return names.LogEndings
}

// endingFlags are the response flags of an answer that did not end well: the
// client left, the provider broke off, a timer ran out.
func endingFlags() []string {
	return []string{"DC", "DR", "DPE", "UC", "UR", "UPE", "LR", "UF", "UT", "SI", "DT", "UMSDR"}
}

// reportLog sends the service an entry of each request that did not end well, or
// whose answer it has not read; of no other.
func (b *builder) reportLog() *accesslogv3.AccessLog {
	filter := &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ResponseFlagFilter{
		ResponseFlagFilter: &accesslogv3.ResponseFlagFilter{Flags: endingFlags()},
	}}
	if b.reports() == names.LogUsage {
		filter = &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_OrFilter{
			OrFilter: &accesslogv3.OrFilter{Filters: []*accesslogv3.AccessLogFilter{filter, answersUnread()}},
		}}
	}
	service := b.grpcService(b.processor)
	service.InitialMetadata = b.secret()
	return &accesslogv3.AccessLog{
		Name:   "envoy.access_loggers.http_grpc",
		Filter: filter,
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: b.any(&grpclogv3.HttpGrpcAccessLogConfig{
			CommonConfig: &grpclogv3.CommonGrpcAccessLogConfig{
				LogName:             "isthmus",
				TransportApiVersion: corev3.ApiVersion_V3,
				GrpcService:         service,
				BufferFlushInterval: durationpb.New(accessLogFlush),
				CustomTags:          b.reportTags(),
			},
		})},
	}
}

// reportTags are what an entry says of an answer that the service has not read: when its
// body began.
func (b *builder) reportTags() []*tracingv3.CustomTag {
	if b.reports() != names.LogUsage {
		return nil
	}
	return []*tracingv3.CustomTag{{
		Tag: names.TagFirstBody, Type: &tracingv3.CustomTag_Value{Value: "%COMMON_DURATION(DS_RX_BEG:US_RX_BODY_BEG:ms)%"},
	}}
}

// answersUnread matches requests whose answer the service does not read, which it marks in
// their metadata.
func answersUnread() *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_MetadataFilter{
		MetadataFilter: &accesslogv3.MetadataFilter{
			Matcher: &matcherv3.MetadataMatcher{
				Filter: names.NamespaceExchange,
				Path:   []*matcherv3.MetadataMatcher_PathSegment{{Segment: &matcherv3.MetadataMatcher_PathSegment_Key{Key: names.FieldUnread}}},
				Value: &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{
					MatchPattern: &matcherv3.StringMatcher_Exact{Exact: names.Unread},
				}}},
			},
			MatchIfKeyNotFound: wrapperspb.Bool(false),
		}}}
}

// usageFilterName names the filter that reads the usage of a stream.
const usageFilterName = "isthmus.usage"

// usageFilter reads the usage out of an OpenAI stream into metadata, for the
// access log. It runs only for the streams that the request filter marks, which
// the service does not read itself. (A filter that routes switch on would not do:
// Envoy looks at that before the route is chosen again.)
func (b *builder) usageFilter() *hcmv3.HttpFilter {
	filter := &ssev3.SseToMetadata{ResponseRules: &ssev3.SseToMetadata_ProcessingRules{
		MaxEventSize: wrapperspb.UInt32(maxEvent),
		ContentParser: &corev3.TypedExtensionConfig{
			Name:        "envoy.content_parsers.json",
			TypedConfig: b.any(&contentv3.JsonContentParser{Rules: usageRules()}),
		},
	}}
	return b.when(usageFilterName, filter, b.requestInput(names.HeaderUsage),
		&xdsmatcherv3.StringMatcher{MatchPattern: &xdsmatcherv3.StringMatcher_Exact{Exact: names.UsageByEnvoy}})
}

// maxEvent is the largest event that is read, in bytes.
const maxEvent = 1 << 20

func usageRules() []*contentv3.JsonContentParser_RuleConfig {
	var rules []*contentv3.JsonContentParser_RuleConfig
	for _, name := range []string{names.FieldPromptTokens, names.FieldCompletionTokens, names.FieldTotalTokens} {
		rules = append(rules, &contentv3.JsonContentParser_RuleConfig{Rule: &jsonv3.JsonToMetadata_Rule{
			Selectors: []*jsonv3.JsonToMetadata_Selector{selector("usage"), selector(name)},
			OnPresent: &jsonv3.JsonToMetadata_KeyValuePair{MetadataNamespace: names.NamespaceUsage, Key: name, Type: jsonv3.JsonToMetadata_NUMBER},
		}})
	}
	return rules
}

func selector(name string) *jsonv3.JsonToMetadata_Selector {
	return &jsonv3.JsonToMetadata_Selector{Selector: &jsonv3.JsonToMetadata_Selector_Key{Key: name}}
}
