package chat_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/chat"
)

func TestAMeterKeepsTheSizeAndTheBeginning(t *testing.T) {
	var m chat.Meter
	m.Add("hello ")
	m.Add("world")
	if diff := cmp.Diff(chat.Output{Bytes: 11, Sample: "hello world"}, m.Output()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	for range 3000 {
		m.Add("日本")
	}
	o := m.Output()
	if o.Bytes != 11+3000*6 {
		t.Errorf("%d bytes", o.Bytes)
	}
	if len(o.Sample) > 4<<10 || len(o.Sample) < 4<<10-3 || !strings.HasSuffix(o.Sample, "日") && !strings.HasSuffix(o.Sample, "本") {
		t.Errorf("a sample of %d bytes ends in %q", len(o.Sample), o.Sample[len(o.Sample)-3:])
	}
}

func TestAWriterMeasuresOnlyWhatIsNotCounted(t *testing.T) {
	req, err := chat.Parse(chat.Completions, []byte(`{"model":"m","messages":[],"stream":true}`), "")
	if err != nil {
		t.Fatal(err)
	}
	write := func() *chat.Writer {
		w := chat.NewWriter(req)
		w.Reasoning(0, "hm ")
		w.Text(0, "ho ")
		n := w.ToolCall(0, chat.Call{ID: "1", Name: "f "})
		w.Arguments(0, n, "{}")
		return w
	}
	if diff := cmp.Diff(chat.Output{Bytes: 10, Sample: "hm ho f {}"}, write().Result().Output); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	counted := write()
	counted.Usage(chat.Usage{Prompt: 1, Completion: 4})
	if diff := cmp.Diff(chat.Output{}, counted.Result().Output); diff != "" {
		t.Errorf("output beside a usage (-want +got):\n%s", diff)
	}
	for name, count := range map[string]func(*chat.Writer){
		"none of the completion":     func(w *chat.Writer) { w.Usage(chat.Usage{Prompt: 1}) },
		"what is so far":             func(w *chat.Writer) { w.UsageSoFar(chat.Usage{Prompt: 1, Completion: 4}) },
		"nothing, as all of it is 0": func(w *chat.Writer) { w.Usage(chat.Usage{}) },
	} {
		w := write()
		if count(w); w.Result().HasUsage || w.Result().Output.Bytes != 10 {
			t.Errorf("a report of %s counts the text: %+v", name, w.Result())
		}
	}
}

func TestAZeroInALaterReportWipesNothing(t *testing.T) {
	first := chat.Usage{Prompt: 5, Completion: 7, Total: 12, Cached: 3, Reasoning: 2}
	for later, want := range map[chat.Usage]chat.Usage{
		{}:                                   first,
		{Prompt: 5, Total: 5}:                first,
		{Completion: 9}:                      {Prompt: 5, Completion: 9, Total: 14, Cached: 3, Reasoning: 2},
		{Prompt: 5, Completion: 1, Total: 6}: {Prompt: 5, Completion: 1, Total: 6, Cached: 3, Reasoning: 2},
	} {
		if got := first.Updated(later); got != want {
			t.Errorf("%+v and then %+v are %+v, want %+v", first, later, got, want)
		}
	}
}
