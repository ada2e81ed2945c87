package gemini

import (
	"bytes"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// status is google.rpc.Status as JSON.
// https://cloud.google.com/apis/design/errors#error_model
type status struct {
	Error struct {
		Code    int          `json:"code"`
		Status  string       `json:"status"`
		Details []errorInfos `json:"details"`
	} `json:"error"`
}

// errorInfos are the members of the details read here: ErrorInfo's reason and
// RetryInfo's delay.
type errorInfos struct {
	Reason     string `json:"reason"`
	RetryDelay string `json:"retryDelay"` // seconds, as in "26.5s"
}

// Failure reads an error answer. A bad key is 401 for OpenAI's clients, although
// Google says 400, and a retry delay that only the body tells becomes a header.
func (tr *Translator) Failure(head upstream.Head, body []byte) *upstream.Error {
	return failure(head, body)
}

func failure(head upstream.Head, body []byte) *upstream.Error {
	e := upstream.ReadError(head, body)
	s := readStatus(body)
	if _, err := strconv.Atoi(e.Code); err == nil {
		e.Code = s.Error.Status // the number only repeats the status line
	}
	for _, d := range s.Error.Details {
		if d.Reason == "API_KEY_INVALID" {
			e.Status, e.Type, e.Code = http.StatusUnauthorized, upstream.TypeOf(http.StatusUnauthorized), "invalid_api_key"
		}
		if seconds := delay(d.RetryDelay); seconds != "" && e.Header.Get("retry-after") == "" {
			e.Header.Set("retry-after", seconds)
		}
	}
	e.Normalise()
	return e
}

// readStatus reads the error object, which may stand inside an array.
func readStatus(body []byte) status {
	var s status
	body = bytes.TrimSpace(body)
	if len(body) > 0 && body[0] == '[' {
		var list []status
		if json.Unmarshal(body, &list, lenient) == nil && len(list) > 0 {
			s = list[0]
		}
		return s
	}
	if json.Unmarshal(body, &s, lenient) != nil {
		return status{} // not Google's: a proxy in between
	}
	return s
}

// delay returns whole seconds, rounded up, or "".
func delay(text string) string {
	seconds, err := strconv.ParseFloat(strings.TrimSuffix(text, "s"), 64)
	if err != nil || seconds < 0 || seconds > 1e6 {
		return ""
	}
	return strconv.Itoa(int(math.Ceil(seconds)))
}

// streamed is the failure that an error event inside a 200 stream stands for.
func streamed(body []byte) *upstream.Error {
	code := readStatus(body).Error.Code
	if code < 400 || code > 599 {
		code = http.StatusBadGateway
	}
	return failure(upstream.Head{Status: code}, body)
}
