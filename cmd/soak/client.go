package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/soak/ending"
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
func (c *client) send(ctx context.Context, k kind) (ending.Ending, error) {
	ctx, cancel := context.WithTimeout(ctx, clientTime)
	defer cancel()
	if k.leaves {
		defer time.AfterFunc(time.Duration(c.dice.IntN(60))*time.Millisecond, cancel).Stop()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/v1/chat/completions", strings.NewReader(k.body(c.dice)))
	if err != nil {
		return ending.Unanswered, err
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
			return ending.Failed, nil
		}
		return c.cut(ctx, k, fmt.Errorf("status %d, then %w", resp.StatusCode, err))
	}
	return ending.Of(resp.StatusCode, k.stream, k.broken, text)
}

// cut is the ending of a request whose connection broke.
func (c *client) cut(ctx context.Context, k kind, err error) (ending.Ending, error) {
	if k.leaves && errors.Is(ctx.Err(), context.Canceled) {
		return ending.Left, nil
	}
	return ending.Unanswered, err
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
