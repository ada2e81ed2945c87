package jsonedit_test

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// walk writes every value below the cursor in short.
func walk(c *jsonedit.Cursor, out *strings.Builder) {
	switch kind := c.Kind(); kind {
	case '{':
		out.WriteByte('{')
		for c.Open(); c.More(); {
			out.Write(c.Name())
			out.WriteByte('=')
			walk(c, out)
		}
		out.WriteByte('}')
	case '[':
		out.WriteByte('[')
		for c.Open(); c.More(); {
			walk(c, out)
		}
		out.WriteByte(']')
	case '"':
		out.Write(jsonedit.AppendUnescaped(nil, c.Text()))
		out.WriteByte(';')
	default:
		out.Write(c.Value())
		out.WriteByte(';')
	}
}

func TestACursorReadsEveryValueInOrder(t *testing.T) {
	c := jsonedit.NewCursor([]byte(` { "a" : [1, -2.5e3 ,"x\"y",[ ],{ }], "b\\":{"c":null},"d":true } `), 0)
	var got strings.Builder
	walk(&c, &got)
	if want := `{a=[1;-2.5e3;x"y;[]{}]b\\={c=null;}d=true;}`; got.String() != want {
		t.Errorf("read %s, want %s", got.String(), want)
	}
	if c.Kind() != 0 {
		t.Errorf("there is more at %d", c.Offset())
	}
}

func TestACopyOfACursorLooksAhead(t *testing.T) {
	c := jsonedit.NewCursor([]byte(`["first",2]`), 0)
	c.Open()
	c.More()
	ahead := c
	if got := string(ahead.Value()); got != `"first"` || string(c.Text()) != "first" {
		t.Errorf("the copy reads %s", got)
	}
	if c.Offset() != ahead.Offset() {
		t.Errorf("they stand at %d and %d", c.Offset(), ahead.Offset())
	}
}

func TestWhatACursorReturnsMayBeAppendedTo(t *testing.T) {
	text := []byte(`["a","b"]`)
	for element := range jsonedit.Elements(text) {
		_ = append(element, "XXXX"...)
	}
	if string(text) != `["a","b"]` {
		t.Errorf("the text has become %s", text)
	}
}

func TestMembersAreThoseOfAnObjectAlone(t *testing.T) {
	var got []string
	for name, value := range jsonedit.Members([]byte(`{"a":1,"b\u0041":{"c":2}}`)) {
		got = append(got, string(name)+"="+string(value))
	}
	if diff := cmp.Diff([]string{"a=1", `b\u0041={"c":2}`}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for name := range jsonedit.Members([]byte(`[{"a":1}]`)) {
		t.Errorf("a list has the member %s", name)
	}
}

func FuzzCursorEndsOnAnyText(f *testing.F) {
	for _, text := range []string{`{"a":[1,{"b":"c\""}]}`, `{"a"`, `[[[`, `}`, `{"a":}`, `[,]`, `"\`, `{:,}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := jsonedit.NewCursor([]byte(text), 0)
		for c.Kind() != 0 {
			before := c.Offset()
			if c.Value(); c.Offset() <= before || c.Offset() > len(text) {
				t.Fatalf("from %d to %d of %d", before, c.Offset(), len(text))
			}
		}
		c = jsonedit.NewCursor([]byte(text), 0)
		for n := 0; c.Kind() != 0; n++ {
			if n > 3*len(text)+3 {
				t.Fatal("the walk does not end")
			}
			for c.Open(); c.More(); {
				c.Name()
			}
		}
	})
}

// FuzzUnescapeAgreesWithJSONText: on valid text it is jsontext.AppendUnquote.
func FuzzUnescapeAgreesWithJSONText(f *testing.F) {
	for _, inside := range []string{`a\nb`, `\ud83d\ude00`, `\ud83d`, `\ude00\ud83d`, `\u00e4ö\/\\`, `\u12`, `\u+123`, `\`} {
		f.Add(inside)
	}
	f.Fuzz(func(t *testing.T, inside string) {
		got := string(jsonedit.AppendUnescaped(nil, []byte(inside)))
		want, err := jsontext.AppendUnquote(nil, `"`+inside+`"`)
		if err == nil && got != string(want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}
