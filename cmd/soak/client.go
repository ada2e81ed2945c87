package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"
)

// ending is how a request ended for its client.
type ending int

const (
	answered   ending = iota
	failed            // cleanly: a whole error in OpenAI's shape, an error event, or the visible end of what the provider cut off
	left              // the client went away, as it should
	unanswered        // anything else
)

// clientTime bounds a request. Nothing in the mix takes nearly as long, however
// busy the machine is.
const clientTime = 90 * time.Second

// client makes requests one after another.
type client struct {
	http *http.Client
	url  string
	dice *rand.Rand
}

// newClient speaks HTTP/2 when its number is odd, else HTTP/1.1.
func newClient(url string, number int) *client {
	t := &http.Transport{MaxIdleConnsPerHost: 1, DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext}
	if number%2 == 1 {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetUnencryptedHTTP2(true)
	}
	return &client{http: &http.Client{Transport: t}, url: url, dice: rand.New(rand.NewPCG(uint64(number), 11))}
}

// body is a request of a kind.
func (k kind) body(dice *rand.Rand) string {
	prompt := k.script(dice).String()
	if k.prompt != nil {
		prompt = filler(k.prompt(dice)) + prompt
	}
	stream := ""
	if k.stream {
		stream = `"stream":true,`
	}
	return fmt.Sprintf(`{%s"model":%q,"messages":[{"role":"user","content":%q}]}`, stream, k.model, prompt)
}

// send makes one request; the error says what was wrong with one that is
// unanswered.
func (c *client) send(ctx context.Context, k kind) (ending, error) {
	ctx, cancel := context.WithTimeout(ctx, clientTime)
	defer cancel()
	if k.leaves {
		defer time.AfterFunc(time.Duration(c.dice.IntN(60))*time.Millisecond, cancel).Stop()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/v1/chat/completions", strings.NewReader(k.body(c.dice)))
	if err != nil {
		return unanswered, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return c.cut(ctx, k, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := c.read(resp.Body, k)
	if err != nil {
		if k.broken && resp.StatusCode == http.StatusOK {
			return failed, nil
		}
		return c.cut(ctx, k, fmt.Errorf("status %d, then %w", resp.StatusCode, err))
	}
	return judge(resp.StatusCode, k, text)
}

// cut is the ending of a request whose connection broke.
func (c *client) cut(ctx context.Context, k kind, err error) (ending, error) {
	if k.leaves && errors.Is(ctx.Err(), context.Canceled) {
		return left, nil
	}
	return unanswered, err
}

// read reads the whole body; a slow reader takes a pause now and then.
func (c *client) read(r io.Reader, k kind) ([]byte, error) {
	if !k.slow {
		return io.ReadAll(r)
	}
	var all bytes.Buffer
	for {
		_, err := io.CopyN(&all, r, 128<<10)
		if errors.Is(err, io.EOF) {
			return all.Bytes(), nil
		}
		if err != nil {
			return nil, err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// judge tells what a body that came whole is.
func judge(status int, k kind, text []byte) (ending, error) {
	switch {
	case status != http.StatusOK:
		if isError(text) {
			return failed, nil
		}
		return unanswered, fmt.Errorf("status %d: %s", status, clip(text))
	case !k.stream:
		if json.Valid(text) && len(text) > 0 {
			return answered, nil
		}
		return unanswered, fmt.Errorf("a 200 of %d bytes that is no whole JSON: …%s", len(text), clip(text[max(0, len(text)-100):]))
	case bytes.HasSuffix(text, []byte("data: [DONE]\n\n")) && !k.broken:
		return answered, nil
	case isErrorEvent(text):
		return failed, nil
	}
	return unanswered, fmt.Errorf("a stream that ends with %q", clip(text[max(0, len(text)-100):]))
}

func isError(text []byte) bool {
	var body struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	return json.Unmarshal(text, &body) == nil && body.Error.Message != ""
}

// isErrorEvent reports whether a stream's last event but [DONE] is an error.
func isErrorEvent(text []byte) bool {
	text = bytes.TrimSuffix(bytes.TrimSpace(text), []byte("data: [DONE]"))
	text = bytes.TrimSpace(text)
	last := text[bytes.LastIndex(text, []byte("data: "))+1:]
	_, data, ok := bytes.Cut(last, []byte(": "))
	return ok && isError(data)
}

func clip(text []byte) string { return string(text[:min(len(text), 200)]) }
