package chat_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/chat"
)

func TestDataURLsAreBase64OrEscapedText(t *testing.T) {
	for rest, want := range map[string]chat.DataURL{
		"image/png;base64,aGk=":              {MIME: "image/png", Data: "aGk=", Base64: true},
		"text/plain;charset=utf-8,a%20b,c":   {MIME: "text/plain", Data: "a b,c"},
		"Image/PNG;Charset=X;BASE64,aGk=":    {MIME: "image/png", Data: "aGk=", Base64: true},
		",a":                                 {Data: "a"},
		"text/csv;charset=utf-8;base64,aA==": {MIME: "text/csv", Data: "aA==", Base64: true},
	} {
		got, err := chat.ParseDataURL(rest)
		if err != nil {
			t.Errorf("%s: %v", rest, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", rest, diff)
		}
	}
	for _, rest := range []string{"image/png;base64", ",%zz"} {
		if _, err := chat.ParseDataURL(rest); err == nil {
			t.Errorf("%s: no error", rest)
		}
	}
}
