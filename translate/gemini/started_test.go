package gemini_test

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/translate/translatetest"
)

func TestAStreamStartsWithItsFirstContent(t *testing.T) {
	event := func(data string) string { return "data: " + data + "\r\n\r\n" }
	parts := func(parts string) string {
		return event(`{"candidates":[{"content":{"role":"model","parts":[` + parts + `]}}],"usageMetadata":{"promptTokenCount":3}}`)
	}
	silent := []string{
		": comment\r\n\r\n", event(`{"usageMetadata":{"promptTokenCount":3},"modelVersion":"g","responseId":"r"}`),
		event(`{"candidates":[{"content":{"role":"model"},"index":0}]}`), parts(`{"text":""}`), parts(``),
	}
	translatetest.Starts(t, suite, translatetest.Opening{Silent: silent, Carriers: []string{
		parts(`{"text":"a"}`), parts(`{"text":"a","thought":true}`), parts(`{"functionCall":{"name":"f"}}`),
		parts(`{"inlineData":{"mimeType":"image/png","data":"aa"}}`), event(`{"candidates":[{"finishReason":"STOP"}]}`),
		event(`{"promptFeedback":{"blockReason":"SAFETY"}}`),
	}})
	failed := append(silent, event(`{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}`))
	translatetest.Starts(t, suite, translatetest.Opening{Silent: failed})
}
