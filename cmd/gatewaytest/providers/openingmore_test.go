package providers

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

const (
	responseCreated = "event: response.created\n" +
		"data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"status\":\"in_progress\"}}\n\n"
	responseText = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"good\"}\n\n" +
		"event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"status\":\"completed\"," +
		"\"usage\":{\"input_tokens\":3,\"output_tokens\":2,\"total_tokens\":5}}}\n\n"
)

// TestAStreamOfAResponseFailsOverUntilItsFirstContent, whatever it fails with, and the
// client sees one stream.
func TestAStreamOfAResponseFailsOverUntilItsFirstContent(t *testing.T) {
	t.Parallel()
	good := gatewaytest.NewProvider(t, opens("text/event-stream", responseCreated, responseText))
	cases := map[string][]string{
		"error": {"event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"bad luck\"}\n\n"},
		"failed": {responseCreated, "event: response.failed\n" +
			"data: {\"type\":\"response.failed\",\"response\":{\"id\":\"r\",\"status\":\"failed\"," +
			"\"error\":{\"code\":\"server_error\",\"message\":\"bad luck\"}}}\n\n"},
		"created": {responseCreated},
		"empty":   nil,
	}
	config := "model_list:\n"
	for name, pieces := range cases {
		config += gatewaytest.Entry(name, gatewaytest.NewProvider(t, opens("text/event-stream", pieces...)).Base(), ", order: 1") +
			gatewaytest.Entry(name, good.Base(), ", order: 2")
	}
	s := gatewaytest.Start(t, config+"router_settings: {num_retries: 1}\n", "--concurrency", "1")
	for name := range cases {
		got := s.Post("/v1/responses", fmt.Sprintf(`{"model":%q,"stream":true,"input":"hi"}`, name))
		if got.Status != 200 || got.Err != nil || got.Header.Get("X-Isthmus-Attempts") != "2" || strings.Contains(got.Body, "bad luck") ||
			strings.Count(got.Body, "response.created") != 2 || !strings.Contains(got.Body, `"response.completed"`) {
			t.Errorf("%s: %d (%v) after %s attempts: %s", name, got.Status, got.Err, got.Header.Get("X-Isthmus-Attempts"), got.Body)
		}
	}
	s.Idle()
}

// TestAStreamOverHTTP2FailsOver: a stream that ends with a reset too.
func TestAStreamOverHTTP2FailsOver(t *testing.T) {
	ca := storetest.NewAuthority(t)
	cert, key := ca.Issue(t, "provider", "localhost")
	t.Setenv("SSL_CERT_FILE", ca.CAFile)
	served := make(chan string, 1)
	first := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served <- r.Proto
		opens("text/event-stream", ": wait\n\n")(w, r, "")
		panic(http.ErrAbortHandler)
	}))
	first.EnableHTTP2 = true
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	first.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	first.StartTLS()
	t.Cleanup(first.Close)
	base := strings.Replace(first.URL, "127.0.0.1", "localhost", 1) + "/v1"
	second := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, twoProviders("openai/up", base, second.Base())+"router_settings: {num_retries: 1}\n", "--concurrency", "1")
	got := s.Post("/v1/chat/completions", gatewaytest.AskStream)
	if got.Status != 200 || got.Err != nil || got.Header.Get("X-Isthmus-Attempts") != "2" || !strings.HasSuffix(got.Body, "data: [DONE]\n\n") {
		t.Errorf("%d (%v) after %s attempts: %s", got.Status, got.Err, got.Header.Get("X-Isthmus-Attempts"), got.Body)
	}
	if proto := <-served; proto != "HTTP/2.0" {
		t.Errorf("the provider was asked by %s", proto)
	}
	s.Idle()
}

// TestAStreamThatFellOverIsKeptAsWhatTheClientGot in the cache.
func TestAStreamThatFellOverIsKeptAsWhatTheClientGot(t *testing.T) {
	t.Parallel()
	first, second := gatewaytest.NewProvider(t, overloaded), gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, twoProviders("anthropic/claude", first.URL, second.Base())+gatewaytest.Cached, "--concurrency", "1")
	for i, want := range []string{"miss", "hit"} {
		got := s.Post("/v1/chat/completions", gatewaytest.UsageStream)
		if got.Status != 200 || got.Err != nil || got.Header.Get("X-Isthmus-Cache") != want || strings.Contains(got.Body, "verloaded") ||
			!strings.Contains(got.Body, `"Hel`) || !strings.HasSuffix(got.Body, "data: [DONE]\n\n") {
			t.Errorf("answer %d: %d (%v) %s %s", i+1, got.Status, got.Err, got.Header.Get("X-Isthmus-Cache"), got.Body)
		}
	}
	if n := len(second.Calls()); n != 1 {
		t.Errorf("the provider was asked %d times", n)
	}
}

// TestAConfigThatChangesDuringAnOpeningIsForTheNextRequest: the one whose stream is held
// goes on by its own plan.
func TestAConfigThatChangesDuringAnOpeningIsForTheNextRequest(t *testing.T) {
	t.Parallel()
	asked, goOn := make(chan struct{}), make(chan struct{})
	first := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		opens("text/event-stream", ": wait\n\n")(w, r, body)
		close(asked)
		<-goOn
		overloaded(w, r, body)
	})
	second, third := gatewaytest.NewProvider(t, gatewaytest.OpenAI), gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, twoProviders("anthropic/claude", first.URL, second.Base()), "--concurrency", "1")
	answer := make(chan *gatewaytest.Answer, 1)
	go func() { answer <- s.Post("/v1/chat/completions", gatewaytest.AskStream) }()
	asynctest.Await(t, "the stream is held", func() bool {
		select {
		case <-asked:
			return true
		default:
			return false
		}
	})
	s.Reconfigure("model_list:\n" + gatewaytest.Entry("m", second.Base(), "") + gatewaytest.Entry("other", third.Base(), ""))
	close(goOn)
	if got := <-answer; got.Status != 200 || got.Err != nil || got.Header.Get("X-Isthmus-Attempts") != "2" ||
		!strings.HasSuffix(got.Body, "data: [DONE]\n\n") {
		t.Errorf("%d (%v) after %s attempts: %s", got.Status, got.Err, got.Header.Get("X-Isthmus-Attempts"), got.Body)
	}
	if got := s.Post("/v1/chat/completions", gatewaytest.ForModel("other", gatewaytest.AskStream)); got.Status != 200 {
		t.Errorf("afterwards: %d %s", got.Status, got.Body)
	}
	s.Idle()
}
