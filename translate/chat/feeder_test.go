package chat_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/chat"
)

func TestFeederCutsAnAnswerIntoWhatADecoderReads(t *testing.T) {
	tests := map[string]struct {
		form   chat.Form
		answer string
		want   []string
	}{
		"a body is one piece":              {chat.Whole, "{\"a\":\n1}", []string{"{\"a\":\n1}"}},
		"an empty body is a piece too":     {chat.Whole, "", []string{""}},
		"each event's data":                {chat.Events, "event: x\ndata: 1\n\ndata:2\r\n\r\n", []string{"1", "2"}},
		"several data lines are one piece": {chat.Events, "data: {\ndata: }\n\n", []string{"{\n}"}},
		"comments, empty events and OpenAI's terminator are no pieces": {
			chat.Events, ": hi\n\ndata:\n\ndata: 1\n\ndata: [DONE]\n\n: bye\n\n", []string{"1"},
		},
		"an event without its blank line": {chat.Events, "data: 1\n\ndata: 2", []string{"1", "2"}},
		"each line":                       {chat.Lines, "1\n\n2\r\n", []string{"1", "2"}},
		"a line without its end":          {chat.Lines, "1\n2", []string{"1", "2"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for size := range len(tt.answer) + 1 {
				got, ends := pieces(t, tt.form, tt.answer, size+1)
				if diff := cmp.Diff(tt.want, got); diff != "" || ends != 1 {
					t.Fatalf("%d bytes at a time: %d ends, pieces (-want +got):\n%s", size+1, ends, diff)
				}
			}
		})
	}
}

func TestFeederStopsWhereTheWriterDoes(t *testing.T) {
	w := chat.NewWriter(request(t))
	var read []string
	f := chat.NewFeeder(w, chat.Lines, func(piece []byte) {
		read = append(read, string(piece))
		w.Fail(chat.Unreadable())
	}, func() { t.Error("an answer that failed does not end") })
	f.Feed([]byte("1\n2\n"), true)
	if diff := cmp.Diff([]string{"1"}, read); diff != "" || !f.Failed() || f.Result().Failure.Code != "invalid_answer" {
		t.Errorf("failed %t, pieces (-want +got):\n%s", f.Failed(), diff)
	}
}

// pieces feeds an answer, so many bytes at a time, and returns what is read.
func pieces(t *testing.T, form chat.Form, answer string, size int) (read []string, ends int) {
	t.Helper()
	w := chat.NewWriter(request(t))
	f := chat.NewFeeder(w, form, func(piece []byte) { read = append(read, string(piece)) }, func() {
		ends++
		w.Close()
	})
	for len(answer) > size {
		f.Feed([]byte(answer[:size]), false)
		answer = answer[size:]
	}
	f.Feed([]byte(answer), true)
	f.Feed([]byte("data: late\n\n"), true)
	return read, ends
}

func request(t *testing.T) *chat.Request {
	t.Helper()
	req, err := chat.Parse(chat.Completions, []byte(`{"model":"m","messages":[]}`), "")
	if err != nil {
		t.Fatal(err)
	}
	return req
}
