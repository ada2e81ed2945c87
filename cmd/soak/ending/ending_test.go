package ending

import "testing"

func TestOnlyAWholeAnswerIsAnsweredAndOnlyAnErrorHasFailedCleanly(t *testing.T) {
	const event = `data: {"choices":[]}` + "\n\n"
	const failure = `data: {"error":{"message":"x"}}` + "\n\n"
	const completed = "event: response.completed\n" + `data: {"type":"response.completed"}` + "\n\n"
	const failed = "event: response.failed\n" + `data: {"type":"response.failed","response":{"error":{"message":"x"}}}` + "\n\n"
	for name, tc := range map[string]struct {
		status         int
		stream, broken bool
		text           string
		want           Ending
	}{
		"a document":                       {200, false, false, `{"id":"x"}`, Answered},
		"half a document":                  {200, false, false, `{"id":`, Unanswered},
		"nothing":                          {200, false, false, ``, Unanswered},
		"an error":                         {503, false, false, `{"error":{"message":"x"}}`, Failed},
		"an error of another shape":        {503, false, false, `no healthy upstream`, Unanswered},
		"a stream":                         {200, true, false, event + "data: [DONE]\n\n", Answered},
		"a stream of Responses":            {200, true, false, event + completed, Answered},
		"one that is not over":             {200, true, false, completed + event, Unanswered},
		"a stream without an end":          {200, true, false, event, Unanswered},
		"an empty stream":                  {200, true, false, "", Unanswered},
		"a stream with an error at last":   {200, true, false, event + failure, Failed},
		"a stream of Responses that fails": {200, true, true, event + failed, Failed},
		"one that fails without an error":  {200, true, true, event + `data: {"type":"response.failed"}` + "\n\n", Unanswered},
		"and its end":                      {200, true, true, event + failure + "data: [DONE]\n\n", Failed},
		"a clean end of what was cut":      {200, true, true, event + "data: [DONE]\n\n", Unanswered},
	} {
		got, err := Of(tc.status, tc.stream, tc.broken, []byte(tc.text))
		if got != tc.want || (err != nil) != (tc.want == Unanswered) {
			t.Errorf("%s: %d, %v; want %d", name, got, err, tc.want)
		}
	}
}

func TestAnErrorIsKnownByItsCodeOrItsType(t *testing.T) {
	for text, want := range map[string]string{
		`{"error":{"message":"x","type":"a","code":"b"}}`:  "b",
		`{"error":{"message":"x","type":"a","code":null}}`: "a",
		`{"error":{"type":"a"}}`:                           "",
		`{"error":`:                                        "",
	} {
		if got, ok := Error([]byte(text)); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %t", text, got, ok)
		}
	}
}
