package extproc

import (
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// readCall reads what a client may say about the routing of its request: in
// members of the body that never reach a provider, or in x-litellm-* headers.
// The body wins over the headers.
func readCall(req *chat.Request, header upstream.Header) (*routing.Call, error) {
	call := &routing.Call{Request: req}
	if v := header.Get("x-litellm-num-retries"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			return nil, upstream.BadRequest("", "header x-litellm-num-retries must be an integer")
		}
		call.NumRetries = &n
	}
	if err := readTimeout(&call.Timeout, header, "x-litellm-timeout"); err != nil {
		return nil, err
	}
	if err := readTimeout(&call.StreamTimeout, header, "x-litellm-stream-timeout"); err != nil {
		return nil, err
	}
	if v := header.Get("x-litellm-tags"); v != "" {
		for tag := range strings.SplitSeq(v, ",") {
			call.Tags = append(call.Tags, strings.TrimSpace(tag))
		}
	}
	for _, m := range req.Body.Members() {
		if err := readSteering(call, m.Name, req.Body.Value(m)); err != nil {
			return nil, err
		}
	}
	for _, tag := range call.Tags {
		if err := upstream.CheckLabel("tags", tag); err != nil {
			return nil, err
		}
	}
	return call, nil
}

// readTimeout reads a header that holds seconds, where there is one.
func readTimeout(into *time.Duration, header upstream.Header, name string) error {
	v := header.Get(name)
	if v == "" {
		return nil
	}
	seconds, err := strconv.ParseFloat(v, 64)
	if err != nil || !goodSeconds(seconds) {
		return upstream.BadRequest("", "header "+name+" must be a number of seconds, a millisecond at least and a day at most")
	}
	*into = time.Duration(seconds * float64(time.Second))
	return nil
}

// readSteering reads one member of the body, if it speaks to routing.
func readSteering(call *routing.Call, name string, value jsontext.Value) error {
	if value.Kind() == 'n' {
		return nil
	}
	switch name {
	case "num_retries":
		call.NumRetries = new(int)
		return decode(name, value, call.NumRetries, "an integer")
	case "timeout", "request_timeout":
		return readSeconds(&call.Timeout, name, value)
	case "stream_timeout":
		return readSeconds(&call.StreamTimeout, name, value)
	case "disable_fallbacks":
		return decode(name, value, &call.DisableFallbacks, "a boolean")
	case "fallbacks":
		return readFallbacks(call, value)
	case "tags":
		return decode(name, value, &call.Tags, "a list of strings")
	case "metadata":
		var metadata struct {
			Tags jsontext.Value `json:"tags"`
		}
		if json.Unmarshal(value, &metadata) == nil && metadata.Tags.Kind() == '[' {
			return decode("metadata.tags", metadata.Tags, &call.Tags, "a list of strings")
		}
	}
	return nil
}

// minSeconds and maxSeconds bound a time that a client may set: what is shorter or
// longer is a mistake.
const minSeconds, maxSeconds = 0.001, 24 * 3600

func goodSeconds(s float64) bool { return s >= minSeconds && s <= maxSeconds } // NaN is not

func readSeconds(into *time.Duration, name string, value jsontext.Value) error {
	var seconds float64
	if err := decode(name, value, &seconds, "a number of seconds"); err != nil {
		return err
	}
	if !goodSeconds(seconds) {
		return upstream.BadRequest(name, "'"+name+"' must be a millisecond (0.001) at least, and a day at most")
	}
	*into = time.Duration(seconds * float64(time.Second))
	return nil
}

// readFallbacks reads the request's own fallbacks: model names, or objects with
// a model as LiteLLM takes them.
func readFallbacks(call *routing.Call, value jsontext.Value) error {
	const want = "a list of model names"
	var items []jsontext.Value
	if err := decode("fallbacks", value, &items, want); err != nil {
		return err
	}
	for _, item := range items {
		var name string
		if item.Kind() == '{' {
			var object struct {
				Model string `json:"model"`
			}
			if err := decode("fallbacks", item, &object, want); err != nil {
				return err
			}
			name = object.Model
		} else if err := decode("fallbacks", item, &name, want); err != nil {
			return err
		}
		if name == "" {
			return upstream.BadRequest("fallbacks", "'fallbacks' must be "+want)
		}
		if err := upstream.CheckName("fallbacks", name); err != nil {
			return err
		}
		call.Fallbacks = append(call.Fallbacks, name)
	}
	return nil
}

func decode(name string, value jsontext.Value, into any, want string) error {
	if err := json.Unmarshal(value, into); err != nil {
		return upstream.BadRequest(name, "'"+name+"' must be "+want)
	}
	return nil
}
