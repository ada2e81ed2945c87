package requests

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// TestAClientOfHTTP10IsServed: so speaks nginx to what is behind it.
func TestAClientOfHTTP10IsServed(t *testing.T) {
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", gatewaytest.NewProvider(t, gatewaytest.OpenAI).Base(), ""))
	for _, body := range []string{gatewaytest.Ask, gatewaytest.AskStream} {
		conn, err := net.DialTimeout("tcp", strings.TrimPrefix(s.URL, "http://"), 20*time.Second)
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
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ""))
	if got := s.Post("/v1/chat/completions", gatewaytest.Ask, "x_mine", "1"); got.Status != 200 {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if calls := p.Calls(); len(calls) != 1 || calls[0].Header["X_mine"] != nil {
		t.Errorf("the provider got %v", calls)
	}
}

// TestANameThatNoHeaderCanHoldIsRefusedBeforeItCosts anything: a wildcard would
// serve it, and the answer could not say for which name.
func TestANameThatNoHeaderCanHoldIsRefusedBeforeItCosts(t *testing.T) {
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n- {model_name: '*', litellm_params: {model: 'openai/*', api_key: k, api_base: '"+p.Base()+"'}}\n")
	for path, body := range map[string]string{
		"/v1/chat/completions":                          `{"model":"a\nb","messages":[]}`,
		"/openai/deployments/a%0D%0Ab/chat/completions": `{"messages":[]}`,
	} {
		got := s.Post(path, body)
		_, _, param, message := gatewaytest.ErrorOf(t, got)
		if got.Status != 400 || param != "model" || !strings.Contains(message, "control character") {
			t.Errorf("%s: %d %s", path, got.Status, got.Body)
		}
	}
	if n := len(p.Calls()); n != 0 {
		t.Errorf("the provider got %d calls", n)
	}
}
