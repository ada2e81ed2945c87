package load

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

func TestSoakTheMemoryOfABigBodyIsGivenBack(t *testing.T) {
	testring.Soak(t, "judges memory")
	const megabyte = 1 << 10 // in /proc's kB
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	url, pid := gatewaytest.StartProgram(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ""))
	memory := func(field string) (kB int) {
		status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(status), field+":")
		_, _ = fmt.Sscan(rest, &kB)
		return kB
	}
	before := memory("VmRSS")
	body := `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("x", 50<<20) + `"}]}`
	resp, err := http.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("status %d", resp.StatusCode)
	}
	peak := memory("VmHWM") - before
	t.Logf("50 MB cost %d MB at most", peak/megabyte)
	if peak > 3*50*megabyte {
		t.Errorf("50 MB cost %d MB", peak/megabyte)
	}
	asynctest.Await(t, "the memory is given back", func() bool { return memory("VmRSS") < before+40*megabyte })
}

func TestManyStreamsAtOnce(t *testing.T) {
	t.Parallel()
	const clients = 1500
	var gather sync.WaitGroup
	gather.Add(clients)
	p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n")
		gatewaytest.Flush(w)
		gather.Done()
		gather.Wait() // all are open at once, or the test does not end well
		gatewaytest.OpenAI(w, r, body)
	})
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ""))
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}, Timeout: 3 * time.Minute}
	defer client.CloseIdleConnections()
	results := make(chan string, clients)
	for range clients {
		go func() {
			resp, err := client.Post(s.URL+"/v1/chat/completions", "application/json", strings.NewReader(gatewaytest.AskStream))
			if err != nil {
				results <- err.Error()
				return
			}
			defer func() { _ = resp.Body.Close() }()
			text, err := io.ReadAll(resp.Body)
			switch {
			case err != nil:
				results <- err.Error()
			case resp.StatusCode != 200 || !strings.HasSuffix(string(text), "data: [DONE]\n\n"):
				results <- strconv.Itoa(resp.StatusCode) + " " + string(text)
			default:
				results <- ""
			}
		}()
	}
	for range clients {
		if problem := <-results; problem != "" {
			t.Fatal(problem)
		}
	}
	s.Idle()
}
