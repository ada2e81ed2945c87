package envoy

import (
	"net/http"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	celv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/filters/cel/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

// localReplies gives the answers that Envoy makes without isthmus OpenAI's error
// shape. They are told by their details, never by their status alone: that would
// rewrite answers of isthmus and of providers too.
func (b *builder) localReplies() *hcmv3.LocalReplyConfig {
	return &hcmv3.LocalReplyConfig{Mappers: []*hcmv3.ResponseMapper{
		b.localReply("response.code_details.startsWith('ext_proc_error')",
			"the gateway's service did not answer; try again", "server_error", "gateway_unavailable"),
		b.localReply("response.code_details == 'request_payload_too_large'",
			"the request body exceeds the gateway's limit (general_settings.max_request_body_bytes)", "invalid_request_error", "request_too_large"),
		b.localReply("response.code_details == 'request_headers_too_large' || response.code_details.startsWith('http1.') || "+
			"response.code_details.startsWith('http2.')"+
			" || response.code_details in ['missing_host_header', 'missing_path_rejected', 'absolute_path_rejected', "+
			"'path_normalization_failed', 'low_version', 'request_header_timeout', 'upgrade_failed']",
			"the request is not valid HTTP for this gateway", "invalid_request_error", "bad_http_request"),
		// The provider broke off while isthmus held its headers: too late for the
		// response phase to give this answer its shape. Over HTTP/1 Envoy calls that a
		// protocol error, as it does what is no HTTP.
		withStatus(http.StatusBadGateway, b.localReply("response.code_details.startsWith('upstream_reset_after_response_started')",
			"the provider's answer broke off", "server_error", "incomplete_answer")),
		b.localReply("response.code_details.startsWith('upstream_reset') && response.code_details.contains('protocol_error')",
			"the provider's answer is not valid HTTP", "server_error", "invalid_answer"),
		b.localReply("response.code_details.startsWith('upstream_reset')"+
			" || response.code_details in ['no_healthy_upstream', 'cluster_not_found']",
			"the provider broke off its answer", "server_error", "upstream_unavailable"),
		b.localReply("response.code_details.startsWith('upstream_response_timeout') || response.code_details.startsWith('upstream_per_try')"+
			" || response.code_details == 'upstream_max_stream_duration_reached'",
			"the provider did not end its answer in time", "timeout_error", "upstream_timeout"),
		b.localReply("response.code_details == 'response_payload_too_large'",
			"the provider's answer is too large to be rewritten (general_settings.max_request_body_bytes)", "server_error", "answer_too_large"),
		b.localReply("response.code_details == 'request_overall_timeout'",
			"the request did not come to its end in time", "invalid_request_error", "request_timeout"),
		// Envoy does not take an answer of the service.
		b.localReply("response.code_details.contains('header_mutation') || response.code_details.startsWith('mismatch_between_content_length')",
			"internal error of the gateway", "server_error", "gateway_error"),
		b.localReply("response.code_details == 'overload'",
			"the gateway is overloaded; try again", "server_error", "gateway_overloaded"),
	}}
}

// withStatus gives the answers of a mapper this status.
func withStatus(status uint32, m *hcmv3.ResponseMapper) *hcmv3.ResponseMapper {
	m.StatusCode = wrapperspb.UInt32(status)
	return m
}

func (b *builder) localReply(condition, message, kind, code string) *hcmv3.ResponseMapper {
	if b.shared {
		condition = "xds.virtual_host_name == '" + virtualHostName + "' && (" + condition + ")"
	}
	text := func(s string) *structpb.Value { return structpb.NewStringValue(s) }
	body := &structpb.Struct{Fields: map[string]*structpb.Value{
		"error": structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{
			"message": text(message), "type": text(kind), "param": structpb.NewNullValue(), "code": text(code),
		}}),
	}}
	return &hcmv3.ResponseMapper{
		Filter: &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ExtensionFilter{
			ExtensionFilter: &accesslogv3.ExtensionFilter{
				Name:       "envoy.access_loggers.extension_filters.cel",
				ConfigType: &accesslogv3.ExtensionFilter_TypedConfig{TypedConfig: b.any(&celv3.ExpressionFilter{Expression: condition})},
			}}},
		BodyFormatOverride: &corev3.SubstitutionFormatString{
			Format:      &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: body},
			ContentType: "application/json",
		},
		HeadersToAdd: requestIDs(),
	}
}

// requestIDs are the response headers by which the service names a request. Of one that
// it does not know they are not sent: Envoy omits an empty header.
func requestIDs() []*corev3.HeaderValueOption {
	var out []*corev3.HeaderValueOption
	for _, name := range []string{names.HeaderRequestID, names.HeaderCallID} {
		out = append(out, &corev3.HeaderValueOption{
			Header:       &corev3.HeaderValue{Key: name, Value: "%DYNAMIC_METADATA(" + names.NamespaceExchange + ":" + names.FieldID + ")%"},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		})
	}
	return out
}
