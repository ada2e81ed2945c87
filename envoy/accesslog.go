package envoy

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filelogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

// fileLog writes one JSON line per request, with what isthmus says of it in the
// metadata namespace "isthmus". Neither headers nor bodies are in it.
func (b *builder) fileLog(path string) *accesslogv3.AccessLog {
	fields := map[string]*structpb.Value{}
	for name, format := range map[string]string{
		"start":          "%START_TIME%",
		"method":         "%REQ(:METHOD)%",
		"status":         "%RESPONSE_CODE%",
		"details":        "%RESPONSE_CODE_DETAILS%",
		"flags":          "%RESPONSE_FLAGS%",
		"bytes_received": "%BYTES_RECEIVED%",
		"bytes_sent":     "%BYTES_SENT%",
		"duration_ms":    "%DURATION%",
		"cluster":        "%UPSTREAM_CLUSTER%",
		"envoy_attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
	} {
		fields[name] = structpb.NewStringValue(format)
	}
	for _, key := range []string{
		names.FieldID, names.FieldModel, names.FieldModelGroup, names.FieldDeployment, names.FieldProvider, names.FieldAttempts,
		names.FieldPromptTokens, names.FieldCompletionTokens, names.FieldTotalTokens,
	} {
		fields[key] = structpb.NewStringValue("%DYNAMIC_METADATA(" + names.NamespaceExchange + ":" + key + ")%")
	}
	return &accesslogv3.AccessLog{
		Name: "envoy.access_loggers.file",
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: b.any(&filelogv3.FileAccessLog{
			Path: path,
			AccessLogFormat: &filelogv3.FileAccessLog_LogFormat{LogFormat: &corev3.SubstitutionFormatString{
				Format: &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: &structpb.Struct{Fields: fields}},
			}},
		})},
	}
}
