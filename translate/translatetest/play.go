package translatetest

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/isthmus-proxy/isthmus/translate"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Answer is what the client gets.
type Answer struct {
	Status int
	Header upstream.Header
	Body   []byte
}

func failed(e *upstream.Error) Answer {
	return Answer{
		Status: e.Status, Header: append(upstream.Header{{Name: "content-type", Value: "application/json"}}, e.Header...), Body: e.JSON(),
	}
}

// Parsed returns the client's request, or the error it would get.
func (x *Exchange) Parsed() (*chat.Request, error) {
	return chat.Parse(x.Endpoint, x.Request, "")
}

// Play answers the request as the provider of the golden exchange does, in
// pieces that end at cuts, and returns what the client gets.
func (x *Exchange) Play(t *translate.Bound, req *chat.Request, cuts []int) Answer {
	a := x.answer
	if a.head.Status < 200 || a.head.Status > 299 {
		return failed(t.Failure(a.head, a.body))
	}
	d := t.Decoder(req, a.head)
	var out []byte
	from := 0
	for _, cut := range cuts {
		out = append(out, d.Feed(a.body[from:cut:cut], false)...)
		from = cut
	}
	out = append(out, d.Feed(slices.Clone(a.body[from:]), true)...)
	if e := d.Result().Failure; e != nil && !req.Stream {
		return failed(e)
	}
	header := append(slices.Clone(a.head.Header), upstream.RateLimits(a.head.Header)...)
	header.Set("content-type", "application/json") // as extproc does
	if req.Stream {
		header.Set("content-type", "text/event-stream")
	}
	return Answer{Status: a.head.Status, Header: header, Body: out}
}

// replays are the ways to cut the answer at which the client must get the same:
// as the case says, at every byte, byte by byte, and at random.
func (x *Exchange) replays() [][]int {
	size := len(x.answer.body)
	list := [][]int{x.answer.cuts, every(1, size)}
	for i := 1; i < size; i++ {
		list = append(list, []int{i})
	}
	dice := rand.New(rand.NewPCG(1, uint64(size)))
	for range 20 {
		var cuts []int
		for at := 1 + dice.IntN(40); at < size; at += 1 + dice.IntN(40) {
			cuts = append(cuts, at)
		}
		list = append(list, cuts)
	}
	return list
}

// every returns the multiples of n below size.
func every(n, size int) []int {
	var offsets []int
	for i := n; i < size; i += n {
		offsets = append(offsets, i)
	}
	return offsets
}

// steady blanks out what is made up for each answer (ids, the time), so that two
// replays of one answer can be compared byte by byte; what is left of JSON is
// JSON. It runs for every cut of every answer, so it is no regular expression.
func steady(body []byte) string {
	var out strings.Builder
	for len(body) > 0 {
		i, size := madeUp(body)
		if i < 0 {
			break
		}
		out.Write(body[:i])
		if body[i] == '"' {
			out.WriteString(`"created":0`)
		} else {
			out.WriteByte('*')
		}
		body = body[i+size:]
	}
	out.Write(body)
	return out.String()
}

// madeUp finds the first made-up part of text.
func madeUp(text []byte) (at, size int) {
	at = -1
	for _, mark := range []struct {
		prefix string
		tail   func(byte) bool
	}{
		{"chatcmpl-", idByte}, {"cmpl-", idByte}, {"call_", idByte}, {`"created":`, func(c byte) bool { return c >= '0' && c <= '9' }},
	} {
		i := bytes.Index(text, []byte(mark.prefix))
		if i < 0 || at >= 0 && i >= at {
			continue
		}
		end := i + len(mark.prefix)
		for end < len(text) && mark.tail(text[end]) {
			end++
		}
		at, size = i, end-i
	}
	return at, size
}

// idByte is an alphabet that rand.Text stays in.
func idByte(c byte) bool { return c >= 'A' && c <= 'Z' || c >= '2' && c <= '7' }
