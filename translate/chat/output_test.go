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
	counted.Usage(chat.Usage{Prompt: 1})
	if diff := cmp.Diff(chat.Output{}, counted.Result().Output); diff != "" {
		t.Errorf("output beside a usage (-want +got):\n%s", diff)
	}
}
