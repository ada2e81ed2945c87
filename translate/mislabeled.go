package translate

import (
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/sse"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

const eventStream = "text/event-stream"

// mayBeMislabeled reports whether an answer that is relayed may be a stream of events
// although its content-type says nothing of it: many small servers give none, or
// text/plain.
func (b *Bound) mayBeMislabeled(req *chat.Request, head upstream.Head) bool {
	switch req.Endpoint {
	case chat.Completions, chat.TextCompletions, chat.Responses:
		return req.Stream && b.Relays(req) && head.Header.Get("content-encoding") == "" &&
			!strings.HasPrefix(head.Header.Get("content-type"), eventStream)
	}
	return false
}

// labelingDecoder reads an answer as what its first bytes show it to be.
type labelingDecoder struct {
	Decoder // nil until that is known
	open    func(upstream.Head) Decoder
	head    upstream.Head
	begin   []byte // of the answer, while it is not known
}

func (d *labelingDecoder) Feed(chunk []byte, last bool) []byte {
	if d.Decoder != nil {
		return d.Decoder.Feed(chunk, last)
	}
	if len(d.begin) > 0 {
		chunk = append(d.begin, chunk...)
	}
	events, known := sse.Begins(chunk)
	if !known && !last {
		d.begin = append([]byte(nil), chunk...)
		return nil
	}
	d.label(events)
	return d.Decoder.Feed(chunk, last)
}

func (d *labelingDecoder) label(events bool) {
	head := d.head
	if events {
		head.Header = upstream.Header{{Name: "content-type", Value: eventStream}}
	}
	d.Decoder, d.begin = d.open(head), nil
}

func (d *labelingDecoder) Abort(e *upstream.Error) []byte {
	if d.Decoder == nil {
		d.label(true)
	}
	return d.Decoder.Abort(e)
}

func (d *labelingDecoder) Failed() bool { return d.Decoder != nil && d.Decoder.Failed() }

func (d *labelingDecoder) Started() bool { return d.Decoder != nil && d.Decoder.Started() }

func (d *labelingDecoder) Complete() bool { return d.Decoder != nil && d.Decoder.Complete() }

func (d *labelingDecoder) Result() chat.Result {
	if d.Decoder == nil {
		return chat.Result{}
	}
	return d.Decoder.Result()
}
