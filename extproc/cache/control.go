package cache

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Controls are what one request asks of the cache. The zero value asks for
// nothing special.
type Controls struct {
	NoCache   bool          // do not look it up; the new answer is stored
	NoStore   bool          // do not store the answer
	UseCache  bool          // use the cache though it is off by default (mode: default_off)
	TTL       time.Duration // how long the answer is kept; 0 is the configured time
	MaxAge    time.Duration // the oldest entry that will do; 0 is any
	Namespace string        // below the configured one; "" is none
}

// Off reports whether the request neither reads nor writes the cache.
func (c Controls) Off() bool { return c.NoCache && c.NoStore }

// ReadControls reads a request's controls: the members cache and caching of the
// body and the Cache-Control header. All of them hold together; where two give
// an age, the lower. The error is an *upstream.Error with status 400 that names
// the member.
func ReadControls(req *chat.Request, header upstream.Header) (Controls, error) {
	var c Controls
	if err := c.header(header.Get("cache-control")); err != nil {
		return Controls{}, err
	}
	if v, ok := req.Body.Get("caching"); ok && !isNull(v) {
		var on bool
		if err := json.Unmarshal(v, &on); err != nil {
			return Controls{}, badControl("caching", "true or false")
		}
		c.onOff(on)
	}
	v, ok := req.Body.Get("cache")
	if !ok {
		return c, nil
	}
	if err := c.cache(v); err != nil {
		return Controls{}, err
	}
	return c, nil
}

func badControl(name, want string) *upstream.Error {
	return upstream.BadRequest(name, "'"+name+"' must be "+want)
}

func (c *Controls) onOff(on bool) {
	if on {
		c.UseCache = true
		return
	}
	c.NoCache, c.NoStore = true, true
}

// cache reads the member cache: a boolean, or an object as LiteLLM has it.
func (c *Controls) cache(v jsontext.Value) error {
	switch v.Kind() {
	case 'n':
		return nil
	case 't', 'f':
		c.onOff(v.Kind() == 't')
		return nil
	case '{':
	default:
		return badControl("cache", "true, false or an object")
	}
	object, err := jsonedit.Parse(v)
	if err != nil {
		return badControl("cache", "true, false or an object")
	}
	for _, m := range object.Members() {
		if err := c.member(m.Name, object.Value(m)); err != nil {
			return err
		}
	}
	return nil
}

// member reads one member of the object cache.
func (c *Controls) member(name string, v jsontext.Value) error {
	full := "cache." + name
	if isNull(v) {
		return nil
	}
	switch name {
	case "no-cache":
		return flag(full, v, &c.NoCache)
	case "no-store":
		return flag(full, v, &c.NoStore)
	case "use-cache":
		return flag(full, v, &c.UseCache)
	case "ttl":
		seconds, ok := secondsOf(string(v))
		if !ok || seconds < time.Millisecond {
			return badControl(full, "a number of seconds, a millisecond (0.001) at least")
		}
		c.TTL = seconds
	case "s-maxage", "s-max-age":
		seconds, ok := secondsOf(string(v))
		if !ok {
			return badControl(full, "a number of seconds")
		}
		c.limitAge(seconds)
	case "namespace":
		return c.namespace(full, v)
	default:
		return upstream.BadRequest(full, "'"+full+"' is unknown: cache takes no-cache, no-store, use-cache, ttl, s-maxage and namespace")
	}
	return nil
}

func flag(name string, v jsontext.Value, into *bool) error {
	var on bool
	if err := json.Unmarshal(v, &on); err != nil {
		return badControl(name, "true or false")
	}
	*into = *into || on
	return nil
}

// maxNamespace is the longest namespace a request may name, in bytes.
const maxNamespace = 128

func (c *Controls) namespace(name string, v jsontext.Value) error {
	var s string
	if err := json.Unmarshal(v, &s); err != nil || s == "" || len(s) > maxNamespace || strings.ContainsFunc(s, unprintable) {
		return badControl(name, "a printable string of 1 to "+strconv.Itoa(maxNamespace)+" bytes without spaces")
	}
	c.Namespace = s
	return nil
}

func unprintable(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }

// limitAge sets the greatest age of an entry, unless a smaller one is set. 0 means
// that no stored entry may be used.
func (c *Controls) limitAge(age time.Duration) {
	switch {
	case age == 0:
		c.NoCache = true
	case c.MaxAge == 0 || age < c.MaxAge:
		c.MaxAge = age
	}
}

// maxSeconds bounds times that clients give: a hundred years.
const maxSeconds = 100 * 365 * 24 * 3600

// secondsOf reads a number of seconds, not negative.
func secondsOf(text string) (time.Duration, bool) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f < 0 || math.IsNaN(f) {
		return 0, false
	}
	return time.Duration(min(f, maxSeconds) * float64(time.Second)), true
}

// header reads Cache-Control, as RFC 9111 has it for requests. Directives that
// do not speak to this cache are passed over.
func (c *Controls) header(text string) error {
	for directive := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "no-cache":
			c.NoCache = true
		case "no-store":
			c.NoStore = true
		case "max-age", "s-maxage":
			seconds, ok := secondsOf(strings.Trim(strings.TrimSpace(value), `"`))
			if !ok {
				return upstream.BadRequest("", "header cache-control: "+strings.ToLower(name)+" must be a number of seconds")
			}
			c.limitAge(seconds)
		}
	}
	return nil
}
