package cli

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestAClientOfHTTP10IsServed: so speaks nginx to what is behind it.
func TestAClientOfHTTP10IsServed(t *testing.T) {
	s := startStack(t, "model_list:\n"+entry("m", newProvider(t, openAI).base(), ""))
	for _, body := range []string{ask, askStream} {
		conn, err := net.DialTimeout("tcp", strings.TrimPrefix(s.url, "http://"), 20*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
}

// TestAHeaderWithAnUnderscoreIsNoReasonToRefuse the request that has it.
func TestAHeaderWithAnUnderscoreIsNoReasonToRefuse(t *testing.T) {
	p := newProvider(t, openAI)
	s := startStack(t, "model_list:\n"+entry("m", p.base(), ""))
	if got := s.post("/v1/chat/completions", ask, "x_mine", "1"); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if calls := p.calls(); len(calls) != 1 || calls[0].header["X_mine"] != nil {
		t.Errorf("the provider got %v", calls)
	}
}

// TestANameThatNoHeaderCanHoldIsRefusedBeforeItCosts anything: a wildcard would
// serve it, and the answer could not say for which name.
func TestANameThatNoHeaderCanHoldIsRefusedBeforeItCosts(t *testing.T) {
	p := newProvider(t, openAI)
	s := startStack(t, "model_list:\n- {model_name: '*', litellm_params: {model: 'openai/*', api_key: k, api_base: '"+p.base()+"'}}\n")
	for path, body := range map[string]string{
		"/v1/chat/completions":                          `{"model":"a\nb","messages":[]}`,
		"/openai/deployments/a%0D%0Ab/chat/completions": `{"messages":[]}`,
	} {
		got := s.post(path, body)
		if _, _, param, message := errorOf(t, got); got.status != 400 || param != "model" || !strings.Contains(message, "control character") {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if n := len(p.calls()); n != 0 {
		t.Errorf("the provider got %d calls", n)
	}
}
