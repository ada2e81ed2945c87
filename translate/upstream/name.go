package upstream

import (
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName bounds a name that a client gives, in bytes. A wildcard serves any
// name, and headers, metadata and logs tell which it was.
const MaxName = 1024

// CheckLabel refuses a text of a client's that goes into headers, metadata and
// records: tags and callers. Envoy refuses a message with invalid UTF-8 in it, and
// a control character ends a header or a line of a log. param is the member or
// header to blame; the error is an *Error.
func CheckLabel(param, text string) error {
	if len(text) > MaxName || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return BadRequest(param, "'"+param+"' must be valid UTF-8 without control characters, and "+strconv.Itoa(MaxName)+" bytes at most")
	}
	return nil
}

// CheckName is [CheckLabel] for a model's name, which may become a part of a
// provider's path: a segment of it must not lead out of the provider's folder,
// however it is written. The error is an *Error.
func CheckName(param, name string) error {
	if err := CheckLabel(param, name); err != nil {
		return err
	}
	if HasDotSegment(name) {
		return BadRequest(param, "'"+param+"' must have no '.' or '..' between slashes")
	}
	return nil
}

// HasDotSegment reports whether a name has a segment that is "." or "..": between
// slashes of either kind, percent-encoded or not, once or several times, since one
// of the servers behind may decode again.
func HasDotSegment(name string) bool {
	if !strings.ContainsAny(name, ".%") {
		return false
	}
	for plain := decodeDots(name); plain != name; plain = decodeDots(name) {
		name = plain
	}
	for segment := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '/' || r == '\\' }) {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// decodeDots decodes once what matters to segments: dots, slashes of either kind,
// and the percent sign itself. What comes out is shorter, or the same.
func decodeDots(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	return strings.NewReplacer("%2e", ".", "%2E", ".", "%2f", "/", "%2F", "/", "%5c", `\`, "%5C", `\`, "%25", "%").Replace(s)
}

// PathSegment is a model's name as one segment of a provider's path, its slashes
// escaped. The error, an *Error, says that the name would lead elsewhere: one that
// the configuration's wildcards put together is checked nowhere else.
func PathSegment(name string) (string, error) {
	if err := CheckName("model", name); err != nil {
		return "", err
	}
	return url.PathEscape(name), nil
}
