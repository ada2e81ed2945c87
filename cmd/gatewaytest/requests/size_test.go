package requests

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

func TestBigBodiesArriveWhole(t *testing.T) {
	t.Parallel()
	p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, _ *http.Request, body string) {
		w.Header().Set("Content-Type", "application/json")
		sum := sha256.Sum256([]byte(body))
		fmt.Fprintf(w, `{"id":"x","choices":[{}],"length":%d,"sum":"%x"}`, len(body), sum)
	})
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", gatewaytest.NewProvider(t, gatewaytest.FailWith(500)).Base(),
		", order: 1")+gatewaytest.Entry("m", p.Base(), ", order: 2"))
	sizes := []int{10}
	if testring.JudgesTimes() { // on a busy machine 50 MB take longer than Envoy waits for an answer to a message
		sizes = append(sizes, 50)
	}
	for _, megabytes := range sizes {
		content := strings.Repeat("0123456789abcdef", megabytes<<20/16)
		body := `{"model":"up","messages":[{"role":"user","content":"` + content + `"}]}`
		got := s.Post("/v1/chat/completions", strings.Replace(body, `"up"`, `"m"`, 1))
		want := fmt.Sprintf(`{"id":"x","choices":[{}],"length":%d,"sum":"%x"}`, len(body), sha256.Sum256([]byte(body)))
		if got.Status != 200 || got.Body != want || got.Header.Get("X-Isthmus-Attempts") != "2" {
			t.Errorf("%d MB, at the second attempt: %d %s, want %s", megabytes, got.Status, got.Body, want)
		}
	}
}

func TestABigAnswerArrivesWhole(t *testing.T) {
	answer := `{"id":"x","choices":[{}],"data":"` + strings.Repeat("0123456789abcdef", 20<<20/16) +
		`","usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`
	p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	})
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ""))
	got := s.Post("/v1/chat/completions", gatewaytest.Ask)
	if got.Status != 200 || got.Err != nil || got.Body != answer {
		t.Errorf("status %d, %d bytes of %d, %v", got.Status, len(got.Body), len(answer), got.Err)
	}
	asynctest.Await(t, "the usage after 20 MB is counted", func() bool {
		return strings.Contains(s.AdminGet("/metrics"), `kind="completion",model_group="m"} 2`)
	})
}

func TestALongStreamLosesNothing(t *testing.T) {
	const chunks = 10_000
	var want strings.Builder
	for i := range chunks {
		fmt.Fprintf(&want, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"é%d\"}}]}\n\n", i)
	}
	want.WriteString("data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
	p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i, text := 0, want.String(); len(text) > 0; i++ {
			n := min(len(text), 40+i%90) // cut anywhere
			_, _ = io.WriteString(w, text[:n])
			text = text[n:]
			gatewaytest.Flush(w)
		}
	})
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ""))
	if got := s.Post("/v1/chat/completions", gatewaytest.AskStream); got.Body != want.String() || got.Err != nil {
		t.Errorf("%d bytes of %d, %v", len(got.Body), want.Len(), got.Err)
	}
}

func TestAFirstTokenDoesNotWaitForTheSecond(t *testing.T) {
	release := make(chan struct{})
	p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, _ string) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"first\"}}]}\n\n")
		gatewaytest.Flush(w)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ""))
	resp, err := http.Post(s.URL+"/v1/chat/completions", "application/json", strings.NewReader(gatewaytest.AskStream))
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	if err != nil || !strings.Contains(line, "first") {
		t.Errorf("before the second token: %q, %v", line, err)
	}
	close(release)
	_ = resp.Body.Close()
}
