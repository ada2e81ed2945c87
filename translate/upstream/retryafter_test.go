package upstream_test

import (
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func TestAHeaderSaysHowLongToWait(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for name, tc := range map[string]struct {
		header []string // name, value, name, value …
		want   time.Duration
	}{
		"milliseconds win":   {[]string{"retry-after", "2", "retry-after-ms", "1800"}, 1800 * time.Millisecond},
		"seconds":            {[]string{"retry-after", "7"}, 7 * time.Second},
		"a fraction":         {[]string{"retry-after", "0.5"}, 500 * time.Millisecond},
		"a date":             {[]string{"retry-after", at(9 * time.Second)}, 9 * time.Second},
		"a date in the past": {[]string{"retry-after", at(-time.Hour)}, 0},
		"a date by a clock that is an hour ahead": {
			[]string{"retry-after", at(time.Hour + 9*time.Second), "date", at(time.Hour)}, 9 * time.Second,
		},
		"a date beside an unreadable one": {[]string{"retry-after", at(9 * time.Second), "date", "today"}, 9 * time.Second},
		"the exhausted quota": {
			[]string{
				"x-ratelimit-remaining-requests", "0", "x-ratelimit-reset-requests", "1m2s",
				"x-ratelimit-remaining-tokens", "9", "x-ratelimit-reset-tokens", "5m",
			}, 62 * time.Second,
		},
		"a quota in seconds": {[]string{"x-ratelimit-remaining-tokens", "0", "x-ratelimit-reset-tokens", "12"}, 12 * time.Second},
		"a quota by the clock": {
			[]string{"x-ratelimit-remaining-tokens", "0", "x-ratelimit-reset-tokens", strconv.FormatInt(now.Unix()+30, 10)}, 30 * time.Second,
		},
		"more than a day":      {[]string{"retry-after", "1e300"}, 24 * time.Hour},
		"not a number":         {[]string{"retry-after", "NaN"}, 0},
		"less than nothing":    {[]string{"retry-after", "-5"}, 0},
		"nothing":              {nil, 0},
		"something unreadable": {[]string{"retry-after", "soon"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var provider upstream.Header
			sink := http.Header{}
			for pair := range slices.Chunk(tc.header, 2) {
				provider.Set(pair[0], pair[1])
				sink.Set(pair[0], pair[1])
			}
			if got := upstream.RetryAfter(provider, now); got != tc.want {
				t.Errorf("a provider's: %v, want %v", got, tc.want)
			}
			if got := upstream.RetryAfter(sink, now); got != tc.want {
				t.Errorf("an http.Header: %v, want %v", got, tc.want)
			}
		})
	}
}

func TestAnErrorSaysHowLongToWait(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		header upstream.Header
		body   string
		want   time.Duration
		field  string // retry-after as the client gets it
	}{
		"the header": {429, upstream.Header{{Name: "retry-after", Value: "7"}}, `{"error":{"message":"slow down"}}`, 7 * time.Second, "7"},
		"the header before the message": {
			429, upstream.Header{{Name: "retry-after", Value: "7"}}, `{"error":{"message":"Please try again in 20s."}}`, 7 * time.Second, "7",
		},
		"an exhausted quota, which clients can read themselves": {
			429, upstream.Header{{Name: "x-ratelimit-remaining-requests", Value: "0"}, {Name: "x-ratelimit-reset-requests", Value: "12s"}},
			`{}`, 12 * time.Second, "",
		},
		"Google's RetryInfo, whatever the status": {
			500, nil, `{"error":{"message":"m","details":[{"reason":"R"},"x",{"retryDelay":"26.5s"}]}}`, 26500 * time.Millisecond, "27",
		},
		"RetryInfo in a list": {429, nil, `[{"error":{"message":"m","details":[{"retryDelay":"3s"}]}}]`, 3 * time.Second, "3"},
		"RetryInfo beside an unreadable header": {
			429, upstream.Header{{Name: "retry-after", Value: "soon"}}, `{"error":{"details":[{"retryDelay":"3s"}]}}`, 3 * time.Second, "3",
		},
		"details that are none of Google's": {429, nil, `{"error":{"message":"m","details":{"retryDelay":"3s"}}}`, 0, ""},
		"a delay that is none":              {429, nil, `{"error":{"message":"m","details":[{"retryDelay":"soon"},{"retryDelay":3}]}}`, 0, ""},
		"OpenAI's words": {
			429, nil, `{"error":{"message":"Limit 3, Used 3. Please try again in 20s. Visit"}}`, 20 * time.Second, "20",
		},
		"OpenAI's milliseconds": {429, nil, `{"error":{"message":"Please try again in 250ms."}}`, 250 * time.Millisecond, "1"},
		"Groq's words": {
			429, nil, `{"error":{"message":"Please try again in 7m12.5s."}}`, 7*time.Minute + 12500*time.Millisecond, "433",
		},
		"Google's words": {429, nil, `{"error":{"message":"Please retry in 1.5s."}}`, 1500 * time.Millisecond, "2"},
		"Azure's words":  {429, nil, `{"error":{"message":"Please retry after 9 seconds."}}`, 9 * time.Second, "9"},
		"Azure's gateway": {
			429, nil, `{"statusCode":429,"message":"Rate limit is exceeded. Try again in 1 second."}`, time.Second, "1",
		},
		"minutes, of a busy server":       {503, nil, `busy: try again in 2 minutes`, 2 * time.Minute, "120"},
		"a number without a unit":         {429, nil, `{"error":{"message":"try again in 5"}}`, 0, ""},
		"the same words of a bad request": {400, nil, `{"error":{"message":"try again in 20s"}}`, 0, ""},
		"too long":                        {429, nil, `{"error":{"message":"try again in 9999h"}}`, 24 * time.Hour, "86400"},
	} {
		t.Run(name, func(t *testing.T) {
			e := upstream.ReadError(upstream.Head{Status: tc.status, Header: tc.header}, []byte(tc.body))
			if e.RetryAfter != tc.want || e.Header.Get("retry-after") != tc.field {
				t.Errorf("%v and retry-after %q, want %v and %q", e.RetryAfter, e.Header.Get("retry-after"), tc.want, tc.field)
			}
		})
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("2", "0.5", "1m", "try again in 3s")
	f.Add("", "Mon, 23 Nov 2026 10:00:09 GMT", "1e9", "retry after 9 seconds")
	f.Add("-1", "NaN", "Inf", "try again in 9e99s")
	f.Fuzz(func(t *testing.T, ms, after, reset, message string) {
		h := upstream.Header{{Name: "retry-after-ms", Value: ms}, {Name: "retry-after", Value: after},
			{Name: "x-ratelimit-remaining-requests", Value: "0"}, {Name: "x-ratelimit-reset-requests", Value: reset}}
		body, _ := json.Marshal(map[string]any{"message": message, "details": []any{map[string]any{"retryDelay": reset}}})
		e := upstream.ReadError(upstream.Head{Status: 429, Header: h}, body)
		if e.RetryAfter < 0 || e.RetryAfter > upstream.MaxRetryAfter {
			t.Errorf("%s", e.RetryAfter)
		}
	})
}
