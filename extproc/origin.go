package extproc

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Web pages, by their origin: which may read answers (CORS), and which may have a
// browser send what changes or spends something.

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
// another request. No key is asked for: a browser sends none with it.
func (s *requestStream) preflight(p apiPath) *wire.Answer {
	if s.shared == nil || s.header.Get(":method") != http.MethodOptions || s.header.Get("access-control-request-method") == "" {
		return nil
	}
	header := upstream.Header{
		{Name: "access-control-allow-methods", Value: p.method()},
		{Name: "access-control-max-age", Value: preflightAge},
	}
	if names := s.header.Get("access-control-request-headers"); fieldNames(names) {
		header = append(header, upstream.Field{Name: "access-control-allow-headers", Value: names})
	}
	s.exchange.probe = true
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

// A browser sends some requests of a page to any address that it reaches, without
// asking that address first: a POST of plain text needs no preflight. Where no key is
// asked for, such a request would be served. With a master key it is refused for
// want of the key, which no browser adds by itself: keys are read from headers only,
// never from cookies or the URL, and a page that sets such a header needs a preflight.

// refuseForeign refuses a request that changes or spends something, comes from a web
// page, and has no leave; nil: it may go on. It goes by what browsers say of
// themselves; other clients say nothing and pass.
func (g *Snapshot) refuseForeign(header upstream.Header) *upstream.Error {
	if g.auth.enabled || g.pages.any {
		return nil
	}
	switch header.Get(":method") {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	origin, site := header.Get("origin"), header.Get("sec-fetch-site")
	switch {
	case slices.Contains(g.pages.origins, origin), isApp(origin):
		return nil
	case origin == "" && (site == "" || site == "same-origin" || site == "none"):
		return nil
	case origin != "" && sameOrigin(origin, header.Get(":authority")) && (site == "" || site == "same-origin"):
		return nil
	}
	from := "from another site"
	if origin != "" {
		from = "of the origin " + upstream.Clip(origin, 128)
	}
	return &upstream.Error{
		Status: http.StatusForbidden, Type: "permission_error", Code: "cross_origin_request",
		Message: "a web page " + from + " may not ask here: name its origin in general_settings.cors_allow_origins, or set a master_key",
	}
}

// isApp reports whether an origin is that of an application or an extension that a
// person has installed (app://, vscode-webview://, chrome-extension://): no web page
// can have one. "null", which any page can have, is none.
func isApp(origin string) bool {
	scheme, _, ok := strings.Cut(origin, "://")
	return ok && scheme != "" && scheme != "http" && scheme != "https"
}

// sameOrigin reports whether a page was served under the authority that it asks. A
// DNS name proves nothing without TLS, since its owner can point it to this address
// (DNS rebinding).
func sameOrigin(origin, authority string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	own := strings.TrimSuffix(authority, map[string]string{"http": ":80", "https": ":443"}[u.Scheme])
	return strings.EqualFold(u.Host, own) && (u.Scheme == "https" || ownName(u.Hostname()))
}

// ownName reports whether a host is one that public DNS cannot point here:
// an address, localhost, or a name without a dot.
func ownName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return host != "" && (!strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost"))
}

// AdmitOperator returns nil for a request to the admin port that may see and change what is
// the operator's: one whose header has the master key. Where there is none, its Host must be one
// that a foreign page cannot have: an address, localhost, a name without a dot,
// or that of an allowed origin.
func (g *Snapshot) AdmitOperator(host string, header upstream.Header) *upstream.Error {
	if g.auth.enabled {
		return g.auth.check(header)
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if ownName(host) || slices.ContainsFunc(g.pages.origins, func(origin string) bool {
		u, err := url.Parse(origin)
		return err == nil && u.Host != "" && strings.EqualFold(u.Hostname(), host)
	}) {
		return nil
	}
	return &upstream.Error{
		Status: http.StatusForbidden, Type: "permission_error", Code: "unknown_host",
		Message: "the admin port is not known under the name " + upstream.Clip(host, 128) +
			": open it by its IP address or as localhost, name the origin in general_settings.cors_allow_origins, or set a master_key",
	}
}
