package extproc

import (
	"strconv"
	"strings"
	"testing"

	modev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

// TestABriefAnswerIsLookedAtBeforeItsStatusGoesOn: some servers say 200 and mean an
// error; others break off, or are no API at all.
func TestABriefAnswerIsLookedAtBeforeItsStatusGoesOn(t *testing.T) {
	const good = ` {"id":"x","object":"chat.completion","choices":[{"message":{"content":"{\"error\":{}}"}}],` +
		`"error":null,"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}} `
	for name, tc := range map[string]struct {
		request, body  string
		status, answer string // "": the body and its status stay
	}{
		"a good one stays as it is": {question, good, "", ""},
		"an error object": {
			question, `{"error":{"message":"overloaded","type":"server_error"}}`, "502",
			`{"error":{"message":"overloaded","type":"server_error","param":null,"code":null}}`,
		},
		"one that names its status": {
			question, `{"error":{"message":"slow down","code":429}}`, "429",
			`{"error":{"message":"slow down","type":"rate_limit_error","param":null,"code":"429"}}`,
		},
		"a bare text": {
			question, `{"error":"not loaded"}`, "502", `{"error":{"message":"not loaded","type":"server_error","param":null,"code":null}}`,
		},
		"old vLLM's": {
			question, `{"object":"error","message":"bad"}`, "502", `{"error":{"message":"bad","type":"server_error","param":null,"code":null}}`,
		},
		"one in the place of a stream": {
			strings.Replace(question, "{", `{"stream":true,`, 1), `{"error":{"message":"no"}}`, "502", `"message":"no"`,
		},
		"an answer that breaks off": {question, `{"id":"x","choi`, "502", `"code":"incomplete_answer"`},
		"a list":                    {question, `[1]`, "502", `"code":"invalid_answer"`},
		"a text":                    {question, `hello`, "502", `"code":"invalid_answer"`},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, twoSisters)
			f := h.open(names.FilterRequest)
			h.begin(f, tc.request)
			head := f.ask(responseHead(1, false, ":status", "200", "content-type", "application/json", "content-length", "60"))
			if mode := head.GetModeOverride().GetResponseBodyMode(); mode != modev3.ProcessingMode_BUFFERED {
				t.Fatalf("body mode = %s", mode)
			}
			got := f.ask(responsePiece(tc.body, true)).GetResponseBody().GetResponse()
			set, _ := changes(got.GetHeaderMutation())
			if tc.answer == "" {
				if got.GetBodyMutation() != nil || len(set) > 0 {
					t.Errorf("it was touched: %v", got)
				}
				return
			}
			if body := string(got.GetBodyMutation().GetBody()); set[":status"] != tc.status || !strings.Contains(body, tc.answer) {
				t.Errorf("%s %s", set[":status"], body)
			}
			if err := f.close(); err != nil {
				t.Error(err)
			}
			if log := h.log.String(); !strings.Contains(log, "status="+tc.status) || !strings.Contains(log, "error=") {
				t.Errorf("log = %s", log)
			}
		})
	}
}

// TestAnAnswerWhoseHeadersSayThatItIsNoneIsAnError and counts against its
// deployment.
func TestAnAnswerWhoseHeadersSayThatItIsNoneIsAnError(t *testing.T) {
	for name, tc := range map[string]struct {
		ended bool
		kind  string
	}{
		"nothing":                   {true, "application/json"},
		"a proxy's page":            {false, "text/html; charset=utf-8"},
		"a stream nobody asked for": {false, "text/event-stream"},
	} {
		h := newHouse(t, twoSisters)
		f := h.open(names.FilterRequest)
		h.begin(f, question)
		answer := f.ask(responseHead(1, tc.ended, ":status", "200", "content-type", tc.kind)).GetImmediateResponse()
		if answer.GetStatus().GetCode() != 502 || !strings.Contains(string(answer.GetBody()), `"code":"invalid_answer"`) {
			t.Errorf("%s: %s", name, answer)
		}
		if n := h.router.State(h.router.Deployment("a")).Used.Failures; n != 1 {
			t.Errorf("%s: %d failures", name, n)
		}
	}
}

// TestAStatusThatIsNoneBecomes502, so that clients' libraries know what to make of
// it.
func TestAStatusThatIsNoneBecomes502(t *testing.T) {
	for _, status := range []int{302, 999} {
		h := newHouse(t, twoSisters)
		f := h.open(names.FilterRequest)
		_, id := h.begin(f, question)
		h.fail(id, 1, status, "")
		h.retry(id, 2)
		h.fail(id, 2, status, "")
		answer := f.ask(responseHead(2, true, ":status", strconv.Itoa(status)))
		if set, _ := changes(answer.GetResponseHeaders().GetResponse().GetHeaderMutation()); set[":status"] != "502" {
			t.Errorf("%d becomes %s", status, set[":status"])
		}
	}
}

func TestAFailedResponseStaysAsItIsAndIsAFailure(t *testing.T) {
	const failed = `{"id":"r","object":"response","status":"failed","error":{"code":"server_error","message":"boom"}}`
	events := []string{
		`event: response.created` + "\n" + `data: {"type":"response.created","response":{"id":"r"}}` + "\n\n",
		`event: response.failed` + "\n" + `data: {"type":"response.failed","response":` + failed + "}\n\n",
	}
	for name, tc := range map[string]struct {
		stream, kind string
		pieces       []string
	}{
		"blocking":  {"false", "application/json", []string{failed}},
		"streaming": {"true", eventStream, events},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, strings.Replace(twoSisters, "anthropic/up-b", "openai/up-b", 1)+"general_settings: {allowed_fails: 1}\n")
			f := h.open(names.FilterRequest)
			f.ask(requestHeaders(false, ":method", "POST", ":path", "/v1/responses", ":authority", "gateway", ":scheme", "http"))
			f.ask(requestBody(`{"model":"m","input":"hi","stream":` + tc.stream + `}`))
			f.ask(responseHead(1, false, ":status", "200", "content-type", tc.kind, "content-length", "96"))
			for i, piece := range tc.pieces {
				got := f.ask(responsePiece(piece, i == len(tc.pieces)-1)).GetResponseBody().GetResponse()
				body := string(got.GetBodyMutation().GetBody())
				if set, _ := changes(got.GetHeaderMutation()); body != "" && body != piece || set[":status"] != "" {
					t.Errorf("%s became %v", piece, got)
				}
			}
			if err := f.close(); err != nil {
				t.Error(err)
			}
			if log := h.log.String(); !strings.Contains(log, "status=200") || !strings.Contains(log, "code=server_error") {
				t.Errorf("the log says %s", log)
			}
			if health := h.router.State(h.router.Deployment("a")).Health; health != "cooling" {
				t.Errorf("its deployment is %s", health)
			}
		})
	}
}
