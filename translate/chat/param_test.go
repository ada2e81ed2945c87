package chat_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func TestIdleParametersAreOpenAIsDefaults(t *testing.T) {
	for text, want := range map[string]bool{
		"temperature=1": true, "temperature=1.0": true, "temperature=1.01": false, "temperature=10": false,
		"presence_penalty=0": true, "presence_penalty=-0.0": true, "presence_penalty=0.1": false,
		"logit_bias={}": true, `logit_bias={"1":1}`: false, `modalities=["text"]`: true, `modalities=["text","audio"]`: false,
		"store=false": true, "store=true": false, "unknown=0": false,
	} {
		name, value, _ := strings.Cut(text, "=")
		if got := chat.Idle(upstream.Param{Name: name, Value: []byte(value)}); got != want {
			t.Errorf("%s idle: %v, want %v", text, got, want)
		}
	}
}

func TestTheFirstMemberOfANameHoldsAndNullIsNone(t *testing.T) {
	var m chat.Members
	m.Add("a", []byte("null"))
	m.Add("a", []byte("1"))
	m.Add("a", []byte("2"))
	m.Add("b", []byte("3"))
	got := string(m.AppendTo([]byte("{"), func(name string) bool { return name == "b" }))
	if diff := cmp.Diff(`{"a":1`, got); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}
