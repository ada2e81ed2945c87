package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/isthmus-proxy/isthmus/translate/secret"
)

// SignatureHeader carries the signature.
const SignatureHeader = "X-Isthmus-Signature"

// Sign returns the header's value for a body that is sent now.
func Sign(key secret.Text, now time.Time, body []byte) string {
	at := strconv.FormatInt(now.Unix(), 10)
	return "t=" + at + ",v1=" + hex.EncodeToString(sum(key, at, body))
}

func sum(key secret.Text, at string, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte(at))
	mac.Write([]byte{'.'})
	mac.Write(body)
	return mac.Sum(nil)
}

// Tolerance is how old, or how far ahead, a signature may be.
const Tolerance = 5 * time.Minute

// Verify checks a signature as a receiver should: it belongs to this body and
// was made within [Tolerance] of now.
func Verify(key secret.Text, header string, now time.Time, body []byte) error {
	var at, signature string
	for part := range strings.SplitSeq(header, ",") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(part), "="); name {
		case "t":
			at = value
		case "v1":
			signature = value
		}
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return errors.New("the signature has no timestamp")
	}
	if got, err := hex.DecodeString(signature); err != nil || !hmac.Equal(got, sum(key, at, body)) {
		return errors.New("the signature is not of this body and secret")
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > Tolerance || age < -Tolerance {
		return errors.New("the signature is too old")
	}
	return nil
}
