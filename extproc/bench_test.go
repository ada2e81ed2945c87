package extproc

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	grpcmetadata "google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/wire"
)

// script is a stream that plays its messages and encodes the answers, as gRPC
// would.
type script struct {
	grpc.ServerStream
	ctx      context.Context
	messages []*extprocv3.ProcessingRequest
	buffer   []byte
}

func (s *script) Context() context.Context { return s.ctx }

func (s *script) Recv() (*extprocv3.ProcessingRequest, error) {
	if len(s.messages) == 0 {
		return nil, io.EOF
	}
	m := s.messages[0]
	s.messages = s.messages[1:]
	return m, nil
}

func (s *script) Send(m *extprocv3.ProcessingResponse) (err error) {
	s.buffer, err = proto.MarshalOptions{}.MarshalAppend(s.buffer[:0], m)
	return err
}

func (s *script) SendMsg(m any) error {
	_, err := wire.Codec().Marshal(m)
	return err
}

// BenchmarkExchange is all of the service's own work for one clean request: four
// messages, without gRPC and without Envoy.
func BenchmarkExchange(b *testing.B) {
	kilobyte := strings.Repeat("All the world is a stage. ", 35)
	answer := `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"up","choices":[{"index":0,"message":{"role":"assistant",` +
		`"content":"` + kilobyte +
		`"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`
	for name, size := range map[string]int{"1 KB": 1, "32 KB": 32, "1 MB": 1024} {
		b.Run(name, func(b *testing.B) {
			h := newHouse(b, `model_list: [{model_name: m, litellm_params: {model: openai/up, api_base: "http://a.test/v1", api_key: sk-a}}]`)
			h.runtime.log = slog.New(slog.NewJSONHandler(io.Discard, nil)) // the house's log would grow without end
			body := `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat(kilobyte, size) + `"}],"temperature":0.5}`
			messages := []*extprocv3.ProcessingRequest{
				requestHeaders(false, ":method", "POST", ":path", "/v1/chat/completions", ":authority", "gateway", ":scheme", "http",
					"content-type", "application/json", "content-length", "1000", "user-agent", "bench", "accept", "*/*", "accept-encoding", "gzip",
					"authorization", "Bearer client", "x-forwarded-for", "10.0.0.1", "x-forwarded-proto", "http", "x-request-id", "1", "x-envoy-internal",
					"true"),
				requestBody(body),
				responseHead(1, false, ":status", "200", "content-type", "application/json", "content-length", "900", "date", "today",
					"x-envoy-upstream-service-time", "1"),
				responsePiece(answer, true),
			}
			ctx := grpcmetadata.NewIncomingContext(context.Background(),
				grpcmetadata.Pairs(names.KeyFilter, names.FilterRequest, names.KeyPlan, "priority_group"))
			s := &script{ctx: ctx}
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				s.messages = messages
				if err := h.Process(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkStream is the same for a stream of 100 pieces that is read, and for a stream
// that is translated.
func BenchmarkStream(b *testing.B) {
	const asked = `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`
	for name, tc := range map[string]struct{ model, first, piece, last string }{
		"relayed": {
			model: `openai/up, api_base: "http://a.test/v1"`,
			piece: `data: {"id":"c","object":"chat.completion.chunk","model":"up","choices":[{"index":0,"delta":{"content":"word "}}]}` + "\n\n",
			last: `data: {"id":"c","object":"chat.completion.chunk","model":"up","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` +
				"\n\ndata: [DONE]\n\n",
		},
		"translated": {
			model: `anthropic/up, api_base: "http://a.test"`,
			first: `data: {"type":"message_start","message":{"id":"m","model":"up","usage":{"input_tokens":3,"output_tokens":1}}}` + "\n\n" +
				`data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}` + "\n\n",
			piece: `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"word "}}` + "\n\n",
			last: `data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":100}}` + "\n\n" +
				`data: {"type":"message_stop"}` + "\n\n",
		},
	} {
		b.Run(name, func(b *testing.B) {
			h := newHouse(b, `model_list: [{model_name: m, litellm_params: {model: `+tc.model+`, api_key: sk-a}}]`)
			h.runtime.log = slog.New(slog.NewJSONHandler(io.Discard, nil))
			messages := []*extprocv3.ProcessingRequest{
				requestHeaders(false, begun()...), requestBody(asked),
				responseHead(1, false, ":status", "200", "content-type", "text/event-stream"),
			}
			for i := range 100 {
				piece := tc.piece
				if i == 0 {
					piece = tc.first + piece
				}
				messages = append(messages, responsePiece(piece, false))
			}
			messages = append(messages, responsePiece(tc.last, true))
			s := &script{ctx: grpcmetadata.NewIncomingContext(context.Background(),
				grpcmetadata.Pairs(names.KeyFilter, names.FilterRequest, names.KeyPlan, names.PlanPriorityGroup))}
			b.ReportAllocs()
			for b.Loop() {
				s.messages = messages
				if err := h.Process(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
