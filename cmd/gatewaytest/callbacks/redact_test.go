package callbacks

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// parrot answers with what it was told, and refuses with it when it is told to.
func parrot(w http.ResponseWriter, r *http.Request, body string) {
	said := body[strings.Index(body, "canary"):]
	said = said[:strings.IndexByte(said, '"')]
	switch {
	case strings.Contains(body, `"refuse"`):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(400)
		_, _ = fmt.Fprintf(w, `{"error":{"message":"no good: %s","type":"invalid_request_error","param":null,"code":null}}`, said)
	case strings.Contains(body, `"stream":true`):
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":%q}}]}\n\ndata: [DONE]\n\n", said)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w,
			`{"id":"c","object":"chat.completion","model":"up","choices":[{"index":0,"message":{"role":"assistant","content":%q},`+
				`"finish_reason":"stop"}]}`, said)
	}
}

// TestTextIsLoggedOnlyWhereItMayBe looks for the prompt, which the answers repeat,
// in the records of a webhook and in the events of a program (cat, whose output is
// in the log), for an answer, a stream and an error.
func TestTextIsLoggedOnlyWhereItMayBe(t *testing.T) {
	const everything = `exec:ISTHMUS_HOOKS=pre_api_call,post_api_call,stream_event,success_event,failure_event cat`
	for name, tc := range map[string]struct {
		setting      string
		more, header string
		shown        bool
	}{
		"nobody asks for redaction": {shown: true},
		"turn_off_message_logging":  {setting: ", turn_off_message_logging: true"},
		"turn_off_message_logging, and a client that wants it": {setting: ", turn_off_message_logging: true",
			header: "X-Litellm-Disable-Message-Redaction"},
		"a header":                     {header: "X-Litellm-Enable-Message-Redaction"},
		"a member of the body":         {more: `,"turn_off_message_logging":true`},
		"a member of the metadata":     {more: `,"metadata":{"turn_off_message_logging":true}`},
		"a member that says it is off": {more: `,"turn_off_message_logging":false`, shown: true},
	} {
		if tc.header == "" {
			tc.header = "X-Litellm-Other"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, p := gatewaytest.NewWebhook(t), gatewaytest.NewProvider(t, parrot)
			s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), "")+
				fmt.Sprintf("general_settings: {callbacks: [webhook, %q], webhook_url: %q%s}\n", everything, b.URL, tc.setting), "--concurrency", "1")
			prompt := gatewaytest.Canary("prompt")
			for _, more := range []string{"", `,"stream":true`, `,"stop":"refuse"`} {
				s.Post("/v1/chat/completions", fmt.Sprintf(`{"model":"m","messages":[{"role":"user","content":%q}]%s%s}`, prompt, more, tc.more),
					tc.header, "true")
			}
			asynctest.Await(t, "the three ends and a chunk are in the log",
				func() bool { return strings.Count(s.Stderr.String(), `_event\"`) == 4 })
			s.Stop()
			texts, records := b.Records(t)
			if len(records) != 3 {
				t.Fatalf("%d records", len(records))
			}
			for i, r := range records {
				if strings.Contains(string(texts[i]), prompt) != tc.shown || strings.Contains(string(texts[i]), "redacted-by-litellm") == tc.shown {
					t.Errorf("the record of %s shows %s", r.CallID, texts[i])
				}
			}
			if n := strings.Count(s.Stderr.String(), prompt); (n > 0) != tc.shown {
				t.Errorf("the events show the text %d times:\n%s", n, s.Stderr)
			}
		})
	}
}
