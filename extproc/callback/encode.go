package callback

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ErrEncode marks the error of something that has no JSON form.
var ErrEncode = errors.New("no JSON form")

// Encode returns v as JSON with its names in a fixed order. Clients choose some
// of the text in a record (headers, tags): what is no UTF-8 is mended, for one
// client must not cost others their records. The error is [Permanent].
func Encode(v any) ([]byte, error) {
	out, err := json.Marshal(v, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return nil, Permanent(fmt.Errorf("%w: %w", ErrEncode, err))
	}
	return out, nil
}
