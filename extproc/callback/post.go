package callback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// maxAnswer bounds what is read of a sink's answer, in bytes.
const maxAnswer = 64 << 10

// Poster is the HTTP client of the sinks. It follows a redirect only to the
// scheme and host it was sent to and only when that keeps method and body (307,
// 308), so that nobody can make it send records or keys elsewhere. Safe for
// concurrent use.
type Poster struct {
	client    *http.Client
	timeout   time.Duration
	userAgent string
}

// PosterConfig configures a [Poster].
type PosterConfig struct {
	Timeout   time.Duration // one request with its answer; default 20 s
	UserAgent string        // default "isthmus"
}

// NewPoster makes a Poster with connections of its own.
func NewPoster(c PosterConfig) *Poster {
	if c.Timeout <= 0 {
		c.Timeout = 20 * time.Second
	}
	if c.UserAgent == "" {
		c.UserAgent = "isthmus"
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     90 * time.Second,
		MaxIdleConnsPerHost: 2,
		ForceAttemptHTTP2:   true,
	}
	return &Poster{client: &http.Client{Transport: transport, CheckRedirect: sameHost}, timeout: c.Timeout, userAgent: c.UserAgent}
}

// sameHost is the rule for redirects.
func sameHost(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	keeps := next.Response != nil && (next.Response.StatusCode == http.StatusTemporaryRedirect ||
		next.Response.StatusCode == http.StatusPermanentRedirect)
	if !keeps || len(via) > 3 || next.URL.Scheme != first.Scheme || !strings.EqualFold(next.URL.Host, first.Host) {
		return http.ErrUseLastResponse
	}
	return nil
}

// Close ends idle connections.
func (p *Poster) Close() { p.client.CloseIdleConnections() }

// Post is one HTTP request of a sink.
type Post struct {
	Method      string // default POST
	URL         string
	ContentType string
	Header      []upstream.ExtraHeader
	Body        []byte
}

// Do sends a request and returns the body of a 2xx answer, at most 64 KiB of it.
// Any other answer is a [StatusError]; those that another try would meet again
// are [Permanent]. Errors name scheme and host of the URL and nothing else of
// it.
func (p *Poster) Do(ctx context.Context, post Post) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.timeout, fmt.Errorf("no answer within %v", p.timeout))
	defer cancel()
	if post.Method == "" {
		post.Method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, post.Method, post.URL, bytes.NewReader(post.Body))
	if err != nil {
		return nil, Permanent(fmt.Errorf("post to %s: not a valid URL", Origin(post.URL)))
	}
	req.Header.Set("User-Agent", p.userAgent)
	if post.ContentType != "" {
		req.Header.Set("Content-Type", post.ContentType)
	}
	for _, h := range post.Header {
		req.Header.Set(h.Name, h.Value.Reveal())
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("post to %s: %w", Origin(post.URL), plain(ctx, err))
	}
	return readAnswer(ctx, &post, resp)
}

// sent is all of a request that must not come back in an error.
func (p *Post) sent() [][]byte {
	all := [][]byte{p.Body, []byte(p.URL)}
	for _, h := range p.Header {
		all = append(all, []byte(h.Value.Reveal()))
	}
	return all
}

// PostJSON sends v as JSON and decodes the answer into answer, if that is not
// nil.
func (p *Poster) PostJSON(ctx context.Context, post Post, v, answer any) error {
	body, err := Encode(v)
	if err != nil {
		return err
	}
	post.Body, post.ContentType = body, "application/json"
	text, err := p.Do(ctx, post)
	if err != nil || answer == nil {
		return err
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("read the answer of %s: %w", Origin(post.URL), err)
	}
	return nil
}

// plain takes an error out of the net/http wrapper that shows the whole URL, and
// says why a deadline came.
func plain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func readAnswer(ctx context.Context, post *Post, resp *http.Response) ([]byte, error) {
	defer resp.Body.Close() // after a long answer this ends the connection: it is not read out
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		if err != nil {
			return nil, fmt.Errorf("read the answer of %s: %w", Origin(post.URL), plain(ctx, err))
		}
		return body, nil
	}
	status := &StatusError{
		Origin: Origin(post.URL), Status: resp.StatusCode,
		RetryAfter: min(upstream.RetryAfter(resp.Header, time.Now()), maxRetryAfter),
		Says:       WithoutEcho(excerpt(body), post.sent()...),
	}
	if status.passing() {
		return nil, status
	}
	return nil, Permanent(status)
}

// StatusError is an answer that is not 2xx.
type StatusError struct {
	Origin     string
	Status     int
	RetryAfter time.Duration // as the sink asks; 0: it does not
	Says       string        // the beginning of its answer, without what it repeats of the request
}

func (e *StatusError) Error() string {
	what := fmt.Sprintf("%s answered %d", e.Origin, e.Status)
	if e.Status >= 300 && e.Status < 400 {
		return what + ": a redirect to another host is not followed"
	}
	if e.Says != "" {
		what += ": " + e.Says
	}
	return what
}

// passing reports whether another try may be answered otherwise.
func (e *StatusError) passing() bool {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented:
		return false
	}
	return e.Status >= 500
}

// maxRetryAfter bounds how long a sink may ask to be left alone.
const maxRetryAfter = 5 * time.Minute

// maxExcerpt bounds what an error shows of an answer, in bytes.
const maxExcerpt = 512

// excerpt is the beginning of an answer as one line.
func excerpt(body []byte) string {
	return strings.Join(strings.Fields(upstream.Clip(string(body[:min(len(body), 2*maxExcerpt)]), maxExcerpt)), " ")
}
