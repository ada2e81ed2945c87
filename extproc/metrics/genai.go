package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// genAI are the metrics of OpenTelemetry's GenAI conventions, as a Prometheus
// page names them. Requests that call no model are not counted.
type genAI struct{ usage, duration, firstToken, perToken *prometheus.HistogramVec }

func newGenAI(k *maker) genAI {
	labels := func(more ...string) []string {
		return append([]string{"gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_response_model"}, more...)
	}
	return genAI{
		usage: k.histogram("gen_ai_client_token_usage", "Tokens of one request, by type: input or output.", tokenBuckets(),
			labels("gen_ai_token_type")...),
		duration: k.histogram("gen_ai_server_request_duration_seconds",
			"From the request's headers to its end.", durationBuckets(), labels("error_type")...),
		firstToken: k.histogram("gen_ai_server_time_to_first_token_seconds",
			"From the request's headers to the first token of a streamed answer.", firstTokenBuckets(), labels()...),
		perToken: k.histogram("gen_ai_server_time_per_output_token_seconds",
			"Mean time between the tokens of a streamed answer, after the first.", perTokenBuckets(), labels()...),
	}
}

type genAISeries struct {
	input, output, duration, firstToken, perToken prometheus.Observer
}

func (g *genAI) series(k requestKey) genAISeries {
	var s genAISeries
	if k.operation == "" {
		return s
	}
	labels := func(more ...string) []string {
		return append([]string{k.operation, k.served.System, k.group(), k.served.Model}, more...)
	}
	s.duration = g.duration.WithLabelValues(labels(ErrorType(k.status, k.aborted, k.failed))...)
	if k.counted {
		s.input, s.output = g.usage.WithLabelValues(labels("input")...), g.usage.WithLabelValues(labels("output")...)
	}
	if k.stream && k.served.Deployment != "" {
		s.firstToken, s.perToken = g.firstToken.WithLabelValues(labels()...), g.perToken.WithLabelValues(labels()...)
	}
	return s
}

// ErrorType is the GenAI conventions' error.type of a request that ended so, with the
// meanings of [Request]'s fields; "" for a good answer.
func ErrorType(status int, aborted, failed bool) string {
	switch {
	case failed && (aborted || status < 400):
		return "stream_error"
	case aborted:
		return "aborted"
	case failed:
		return strconv.Itoa(status)
	}
	return ""
}

func (s *genAISeries) observe(r *Request) {
	if s.duration == nil {
		return
	}
	s.duration.Observe(r.Duration.Seconds())
	if s.input != nil {
		s.input.Observe(float64(r.Tokens.Prompt))
		s.output.Observe(float64(r.Tokens.Completion))
	}
	if s.firstToken == nil || r.FirstToken <= 0 {
		return
	}
	s.firstToken.Observe(r.FirstToken.Seconds())
	if n := r.Tokens.Completion; n > 1 {
		s.perToken.Observe((r.Duration - r.FirstToken).Seconds() / float64(n-1))
	}
}
