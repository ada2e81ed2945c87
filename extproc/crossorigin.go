package extproc

import (
	"net/http"
	"slices"
	"strings"

	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// crossOrigin says which web pages may read answers in a browser, by their origin
// (https://fetch.spec.whatwg.org/#http-cors-protocol). The zero value is none: a
// page must not spend the keys of a gateway that the browser happens to reach.
type crossOrigin struct {
	any     bool
	origins []string
}

func newCrossOrigin(origins []string) crossOrigin {
	return crossOrigin{any: slices.Contains(origins, "*"), origins: origins}
}

// allows returns what an answer says to a page of this origin; nil: nothing, and
// the browser keeps the answer from it.
func (c crossOrigin) allows(origin string) upstream.Header {
	switch {
	case origin == "":
		return nil
	case c.any:
		origin = "*"
	case !slices.Contains(c.origins, origin):
		return nil
	}
	header := upstream.Header{
		{Name: "access-control-allow-origin", Value: origin},
		{Name: "access-control-expose-headers", Value: "*"}, // x-isthmus-*, x-ratelimit-*, retry-after
	}
	if !c.any {
		header = append(header, upstream.Field{Name: "vary", Value: "origin"})
	}
	return header
}

// share has the client's page told that it may read the answer, if it may.
func (s *requestStream) share(g *Snapshot) {
	if s.shared = g.pages.allows(s.header.Get("origin")); s.shared != nil && s.out != nil {
		s.out.AddToResponses(s.shared)
	}
}

// preflightAge is how long a browser may go by the answer to a preflight, in
// seconds; browsers cap it.
const preflightAge = "7200"

// preflight answers a browser that asks what a page may send, or returns nil: it is
// another request. Nobody is asked for a key: a browser sends none with it.
func (s *requestStream) preflight(r route) *wire.Answer {
	if s.shared == nil || s.header.Get(":method") != http.MethodOptions || s.header.Get("access-control-request-method") == "" {
		return nil
	}
	header := upstream.Header{
		{Name: "access-control-allow-methods", Value: r.method()},
		{Name: "access-control-max-age", Value: preflightAge},
	}
	if names := s.header.Get("access-control-request-headers"); fieldNames(names) {
		header = append(header, upstream.Field{Name: "access-control-allow-headers", Value: names})
	}
	s.exchange.quiet = true
	if !s.exchange.outcome.local(http.StatusNoContent) {
		return nil
	}
	return wire.Immediate(http.StatusNoContent, header, nil, "isthmus_preflight")
}

// maxFieldNames bounds the list of names that is said back, in bytes.
const maxFieldNames = 4096

// fieldNames reports whether a text is a list of names of header fields.
func fieldNames(list string) bool {
	return list != "" && len(list) <= maxFieldNames && !strings.ContainsFunc(list, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.*, ", r))
	})
}
