package chat

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
)

// DataURL is a data: URL (RFC 2397). Its data is either base64 as it stands or
// text with its percent escapes undone.
type DataURL struct {
	MIME   string // in lower case and without parameters; "" when the URL names none
	Data   string
	Base64 bool
}

// ParseDataURL reads what follows "data:".
func ParseDataURL(rest string) (DataURL, error) {
	head, data, ok := strings.Cut(rest, ",")
	if !ok {
		return DataURL{}, fmt.Errorf("a data: URL needs a comma before its data")
	}
	head = strings.ToLower(head)
	u := DataURL{Data: data, Base64: strings.HasSuffix(head, ";base64")}
	u.MIME, _, _ = strings.Cut(head, ";")
	if u.Base64 {
		return u, nil
	}
	text, err := url.PathUnescape(data)
	if err != nil {
		return DataURL{}, fmt.Errorf("the data of a data: URL: %w", err)
	}
	u.Data = text
	return u, nil
}

// Encoded returns the data in base64.
func (u *DataURL) Encoded() string {
	if u.Base64 {
		return u.Data
	}
	return base64.StdEncoding.EncodeToString([]byte(u.Data))
}
