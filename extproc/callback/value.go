package callback

import (
	"math"
	"net/url"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Optional is text that is null in JSON when it is empty.
type Optional string

// MarshalJSONTo writes the text, or null.
func (o Optional) MarshalJSONTo(enc *jsontext.Encoder) error {
	if o == "" {
		return enc.WriteToken(jsontext.Null)
	}
	return enc.WriteToken(jsontext.String(string(o)))
}

// Epoch is a moment that JSON shows as seconds since 1970 with microseconds, as
// LiteLLM does; null when it is zero.
type Epoch struct{ time.Time }

// At makes an Epoch.
func At(t time.Time) Epoch { return Epoch{t} }

// MarshalJSONTo writes the seconds.
func (e Epoch) MarshalJSONTo(enc *jsontext.Encoder) error {
	if e.IsZero() {
		return enc.WriteToken(jsontext.Null)
	}
	return writeFixed(enc, float64(e.UnixMicro())/1e6, 6)
}

// UnmarshalJSONFrom reads what MarshalJSONTo wrote.
func (e *Epoch) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	seconds, null, err := readNumber(dec)
	if err != nil || null {
		*e = Epoch{}
		return err
	}
	*e = Epoch{time.UnixMicro(int64(math.Round(seconds * 1e6)))}
	return nil
}

// Seconds is a duration that JSON shows in seconds.
type Seconds time.Duration

// MarshalJSONTo writes the seconds.
func (s Seconds) MarshalJSONTo(enc *jsontext.Encoder) error {
	return writeFixed(enc, time.Duration(s).Seconds(), 6)
}

// UnmarshalJSONFrom reads what MarshalJSONTo wrote.
func (s *Seconds) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	seconds, _, err := readNumber(dec)
	*s = Seconds(math.Round(seconds*1e6) * float64(time.Microsecond))
	return err
}

// Millis is a duration that JSON shows in milliseconds.
type Millis time.Duration

// MarshalJSONTo writes the milliseconds.
func (m Millis) MarshalJSONTo(enc *jsontext.Encoder) error {
	return writeFixed(enc, float64(m)/float64(time.Millisecond), 3)
}

// UnmarshalJSONFrom reads what MarshalJSONTo wrote.
func (m *Millis) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	ms, _, err := readNumber(dec)
	*m = Millis(math.Round(ms*1e3) * float64(time.Microsecond))
	return err
}

// writeFixed writes a number with at most so many decimals and no exponent,
// which some receivers cannot read.
func writeFixed(enc *jsontext.Encoder, v float64, decimals int) error {
	text := strconv.AppendFloat(enc.AvailableBuffer(), v, 'f', decimals, 64)
	for text[len(text)-1] == '0' && text[len(text)-2] != '.' {
		text = text[:len(text)-1]
	}
	return enc.WriteValue(text)
}

func readNumber(dec *jsontext.Decoder) (v float64, null bool, err error) {
	value, err := dec.ReadValue()
	if err != nil || value.Kind() == 'n' {
		return 0, true, err
	}
	v, err = strconv.ParseFloat(string(value), 64)
	return v, false, err
}

// Origin is the scheme and host of a URL: all of an api_base that may be shown,
// for paths, queries and user info may hold keys. It is "" when there is none.
func Origin(base string) string {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
