package wire

import (
	"testing"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// sentStream keeps what is sent on it, as Envoy would read it.
type sentStream struct {
	grpc.ServerStream
	t   *testing.T
	got []*extprocv3.ProcessingResponse
}

func (s *sentStream) Recv() (*extprocv3.ProcessingRequest, error) { return nil, nil }

func (s *sentStream) Send(m *extprocv3.ProcessingResponse) error { return s.SendMsg(m) }

func (s *sentStream) SendMsg(m any) error {
	text, err := Codec().Marshal(m)
	if err != nil {
		return err
	}
	got := &extprocv3.ProcessingResponse{}
	s.got = append(s.got, got)
	return proto.Unmarshal(text.Materialize(), got)
}

func TestNothingIsSentAfterAnImmediateResponse(t *testing.T) {
	stream := &sentStream{t: t}
	s := NewSender(stream)
	for _, a := range []*Answer{MoreTime(time.Second), Immediate(504, nil, nil, "isthmus_deadline"), PassRequestHeaders(nil)} {
		if err := s.Send(a); err != nil {
			t.Fatal(err)
		}
	}
	if len(stream.got) != 2 || stream.got[1].GetImmediateResponse().GetStatus().GetCode() != 504 || !s.Answered() {
		t.Errorf("sent %v, answered %t", stream.got, s.Answered())
	}
}

func TestNothingIsSentAfterClose(t *testing.T) {
	stream := &sentStream{t: t}
	s := NewSender(stream)
	s.Close()
	s.Close()
	if err := s.Send(PassRequestHeaders(nil)); err != nil || len(stream.got) != 0 || s.Answered() {
		t.Errorf("sent %v, %v", stream.got, err)
	}
}

func TestAddedHeadersGoWithWhatTheClientGets(t *testing.T) {
	edit := &HeaderMutation{}
	edit.Set("a", "1")
	large := make([]byte, LargeBody)
	for name, tc := range map[string]struct {
		answer *Answer
		read   func(*extprocv3.ProcessingResponse) *extprocv3.HeaderMutation
		want   []string
	}{
		"an immediate response": {Immediate(200, upstream.Header{{Name: "a", Value: "1"}}, nil, "x"),
			func(m *extprocv3.ProcessingResponse) *extprocv3.HeaderMutation {
				return m.GetImmediateResponse().GetHeaders()
			}, []string{"a=1", "origin=*"}},
		"one without headers": {Immediate(200, nil, nil, "x"),
			func(m *extprocv3.ProcessingResponse) *extprocv3.HeaderMutation {
				return m.GetImmediateResponse().GetHeaders()
			}, []string{"origin=*"}},
		"an answer's headers": {ReadResponse(edit, Streamed, nil),
			func(m *extprocv3.ProcessingResponse) *extprocv3.HeaderMutation {
				return m.GetResponseHeaders().GetResponse().GetHeaderMutation()
			}, []string{"a=1", "origin=*"}},
		"a request": {FirstAttempt(edit, &upstream.Call{Body: large[:10], Tail: [][]byte{large}}, nil),
			func(m *extprocv3.ProcessingResponse) *extprocv3.HeaderMutation {
				return m.GetRequestBody().GetResponse().GetHeaderMutation()
			}, []string{"a=1"}},
	} {
		t.Run(name, func(t *testing.T) {
			stream := &sentStream{t: t}
			s := NewSender(stream)
			s.AddToResponses(upstream.Header{{Name: "origin", Value: "*"}})
			if err := s.Send(tc.answer); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, h := range tc.read(stream.got[0]).GetSetHeaders() {
				got = append(got, h.GetHeader().GetKey()+"="+string(h.GetHeader().GetRawValue()))
			}
			if len(got) != len(tc.want) || got[0] != tc.want[0] || got[len(got)-1] != tc.want[len(tc.want)-1] {
				t.Errorf("headers %v, want %v", got, tc.want)
			}
		})
	}
}

// mutedStream panics where an immediate response is sent, for as long as it is told to.
type mutedStream struct {
	*sentStream
	panics bool
}

func (m *mutedStream) Send(a *extprocv3.ProcessingResponse) error {
	if m.panics && a.GetImmediateResponse() != nil {
		panic("a bug in the stream")
	}
	return m.sentStream.Send(a)
}

func TestAnImmediateResponseThatPanickedStaysUnsaidUntilAnotherIsSent(t *testing.T) {
	stream := &mutedStream{sentStream: &sentStream{t: t}, panics: true}
	s := NewSender(stream)
	answer := Immediate(504, nil, nil, "isthmus_deadline")
	func() {
		defer func() { _ = recover() }()
		_ = s.Send(answer)
	}()
	if err := s.Send(PassRequestHeaders(nil)); err != nil || len(stream.got) != 1 {
		t.Fatalf("sent %v, %v", stream.got, err)
	}
	if !s.Broken() || s.Answered() {
		t.Errorf("after another answer: broken %t, answered %t", s.Broken(), s.Answered())
	}
	stream.panics = false
	if err := s.Send(answer); err != nil || s.Broken() || !s.Answered() {
		t.Errorf("after an immediate response: %v, broken %t, answered %t", err, s.Broken(), s.Answered())
	}
}
