package upstream_test

import (
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// TestACompressedErrorSaysNothing: nobody could read its bytes as a message.
func TestACompressedErrorSaysNothing(t *testing.T) {
	head := upstream.Head{Status: 500, Header: upstream.Header{{Name: "content-encoding", Value: "gzip"}}}
	if e := upstream.ReadError(head, []byte("\x1f\x8b\x08\x00")); e.Message != "the provider answered 500 Internal Server Error" {
		t.Errorf("message %q", e.Message)
	}
}

// TestALongPlainErrorIsCutBetweenWordsAndCharacters: half a key is a secret that no
// redactor finds, and half a character is no text.
func TestALongPlainErrorIsCutBetweenWordsAndCharacters(t *testing.T) {
	const (
		key     = "sk-0123456789abcdef"
		longest = 16 << 10 // of a message, in bytes
	)
	for name, body := range map[string]string{
		"a key at the cut":       strings.Repeat("é", longest/2-5) + " " + key + " and more",
		"a key after white text": "\n\t " + strings.Repeat("x", longest-9) + " " + key + " and more",
		"a character at the cut": " " + strings.Repeat("x", longest-1) + "é",
	} {
		t.Run(name, func(t *testing.T) {
			e := upstream.ReadError(upstream.Head{Status: 500}, []byte(body))
			if strings.Contains(e.Message, "sk-") || strings.Contains(e.Message, "\uFFFD") || len(e.Message) > longest+len("…") {
				t.Errorf("the message of %d bytes ends in %q", len(e.Message), e.Message[len(e.Message)-40:])
			}
		})
	}
}
