package translatetest

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Exchange is one golden case.
type Exchange struct {
	Name     string
	Provider string
	Config   jsontext.Value // litellm_params
	Endpoint chat.Endpoint
	Request  []byte // what the client posts

	call   *goldenCall // nil: the provider must not be asked
	answer *upstreamAnswer
	want   goldenAnswer
	rules  rules
}

// goldenCall is what the provider must get.
type goldenCall struct {
	method string
	url    *url.URL
	header upstream.Header
	absent []string
	body   any
}

// upstreamAnswer is what the provider says.
type upstreamAnswer struct {
	head upstream.Head
	body []byte
	cuts []int // offsets of body at which its pieces end
}

// goldenAnswer is what the client must get: a whole body, the sum of a stream's
// chunks, or an error.
type goldenAnswer struct {
	status      []int // one of these
	header      upstream.Header
	body        any
	stream      bool // body is what the chunks add up to
	fault       *goldenError
	streamFault *goldenError // the stream ends with this error
}

// goldenError is what an error must say. Empty lists demand nothing.
type goldenError struct {
	Contains []string         `json:"message_contains"`
	Types    []string         `json:"type_in"`
	Codes    []jsontext.Value `json:"code_in"` // strings, numbers or null
}

// Load reads all exchanges of a folder.
func Load(dir string) ([]*Exchange, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no exchanges in %s", dir)
	}
	list := make([]*Exchange, len(names))
	for i, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if list[i], err = Parse(strings.TrimSuffix(filepath.Base(name), ".txtar"), text); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return list, nil
}

// Parse reads one exchange.
func Parse(name string, text []byte) (*Exchange, error) {
	comment, sections := parseSections(text)
	x := &Exchange{Name: name, rules: rules{lenient: map[string]string{}, alternatives: map[string][]any{}}}
	if strings.TrimSpace(comment) == "" {
		return nil, fmt.Errorf("no comment says what the case shows")
	}
	for _, s := range sections {
		if err := x.section(s.name, s.data); err != nil {
			return nil, fmt.Errorf("section %s: %w", s.name, err)
		}
	}
	if x.Config == nil || x.Request == nil || len(x.want.status) == 0 {
		return nil, fmt.Errorf("config, request or answer is missing")
	}
	if (x.call == nil) != (x.answer == nil) {
		return nil, fmt.Errorf("upstream-request and upstream-answer go together")
	}
	return x, nil
}

func (x *Exchange) section(name string, data []byte) error {
	switch name {
	case "config":
		var head struct {
			Model string `json:"model"`
		}
		x.Config = data
		err := json.Unmarshal(data, &head)
		x.Provider, _, _ = strings.Cut(head.Model, "/")
		return err
	case "request":
		line, body, _ := strings.Cut(string(data), "\n")
		x.Endpoint = chat.Endpoint(strings.TrimPrefix(line, "POST /v1/"))
		x.Request = []byte(strings.TrimSpace(body))
		return nil
	case "upstream-request":
		return x.readCall(data)
	case "upstream-answer":
		return x.readUpstreamAnswer(data)
	case "answer", "answer-stream", "answer-error":
		return x.readAnswer(name, data)
	case "stream-error":
		x.want.streamFault = &goldenError{}
		return json.Unmarshal(data, x.want.streamFault)
	case "lenient":
		return x.rules.readLenient(data)
	}
	pointer, ok := strings.CutPrefix(name, "or ")
	if !ok {
		return fmt.Errorf("not a section of an exchange")
	}
	var value any
	err := json.Unmarshal(data, &value)
	x.rules.alternatives[pointer] = append(x.rules.alternatives[pointer], value)
	return err
}

// block is a first line, header lines and a body, as in HTTP.
type block struct {
	first      string
	header     upstream.Header
	absent     []string // "!name"
	directives []string // "@…"
	body       []byte
}

func readBlock(data []byte) block {
	head, body, _ := bytes.Cut(data, []byte("\n\n"))
	lines := strings.Split(strings.TrimSpace(string(head)), "\n")
	b := block{first: lines[0], body: body}
	for _, line := range lines[1:] {
		switch line[0] {
		case '!':
			b.absent = append(b.absent, line[1:])
		case '@':
			b.directives = append(b.directives, line[1:])
		default:
			name, value, _ := strings.Cut(line, ":")
			b.header = append(b.header, upstream.Field{Name: name, Value: strings.TrimSpace(value)})
		}
	}
	return b
}

func (x *Exchange) readCall(data []byte) error {
	b := readBlock(data)
	if b.first == "none" {
		return nil
	}
	method, target, _ := strings.Cut(b.first, " ")
	u, err := url.Parse(target)
	if err != nil {
		return err
	}
	x.call = &goldenCall{method: method, url: u, header: b.header, absent: b.absent}
	return json.Unmarshal(b.body, &x.call.body)
}

func (x *Exchange) readUpstreamAnswer(data []byte) error {
	b := readBlock(data)
	status, err := strconv.Atoi(b.first)
	if err != nil {
		return err
	}
	a := &upstreamAnswer{head: upstream.Head{Status: status, Header: b.header}, body: b.body}
	x.answer = a
	for _, d := range b.directives {
		switch {
		case d == "crlf":
			a.body = bytes.ReplaceAll(a.body, []byte("\n"), []byte("\r\n"))
		case d == "no final newline":
			a.body = bytes.TrimSuffix(a.body, []byte("\n"))
		case strings.HasPrefix(d, "cut "):
			if a.cuts, err = cutOffsets(strings.Fields(d)[1:], len(a.body)); err != nil {
				return err
			}
		default:
			return fmt.Errorf("@%s is no directive", d)
		}
	}
	return nil
}

// cutOffsets reads "every 13" or "at 10 11 200".
func cutOffsets(words []string, size int) ([]int, error) {
	var offsets []int
	for _, word := range words[1:] {
		n, err := strconv.Atoi(word)
		if err != nil || n <= 0 || n >= size {
			return nil, fmt.Errorf("no place for a cut in %d bytes: %q", size, word)
		}
		offsets = append(offsets, n)
	}
	if words[0] == "every" && len(offsets) == 1 {
		return every(offsets[0], size), nil
	}
	return offsets, nil
}

func (x *Exchange) readAnswer(kind string, data []byte) error {
	b := readBlock(data)
	for word := range strings.FieldsSeq(b.first) {
		status, err := strconv.Atoi(word)
		if err != nil {
			return err
		}
		x.want.status = append(x.want.status, status)
	}
	x.want.header = b.header
	if kind == "answer-error" {
		x.want.fault = &goldenError{}
		return json.Unmarshal(b.body, x.want.fault)
	}
	x.want.stream = kind == "answer-stream"
	return json.Unmarshal(b.body, &x.want.body)
}
