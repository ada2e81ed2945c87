package upstream_test

import (
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
