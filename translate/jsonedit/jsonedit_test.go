package jsonedit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

func TestParseRefusesWhatTwoParsersCouldReadDifferently(t *testing.T) {
	for name, tc := range map[string]struct{ text, reason, pointer string }{
		"a duplicate name":               {`{"model":"cheap","model":"dear"}`, "duplicate object member name", "/model"},
		"a duplicate name deep inside":   {`{"a":[{"b":1,"b":2}]}`, "duplicate object member name", "/a/0/b"},
		"text after the object":          {"{\"a\":1}\n{}", "text after the JSON object", ""},
		"invalid UTF-8":                  {"{\"a\":\"\xff\"}", "invalid UTF-8", ""},
		"an object that ends too early":  {`{"a":1`, "", ""},
		"an array instead of an object":  {`[1]`, "the body must be a JSON object", ""},
		"an empty text":                  {``, "the JSON text ends too early", ""},
		"a trailing comma":               {`{"a":1,}`, "", ""},
		"a number with a leading zero":   {`{"a":01}`, "", ""},
		"a lone surrogate in an escape":  {`{"a":"\ud800"}`, "", ""},
		"a member without a value":       {`{"a"}`, "", ""},
		"NaN, which JSON does not know":  {`{"a":NaN}`, "", ""},
		"a control character in a value": {"{\"a\":\"\x01\"}", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := jsonedit.Parse([]byte(tc.text))
			var syntax *jsonedit.SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("Parse(%q) = %v, want a *SyntaxError", tc.text, err)
			}
			if !strings.Contains(syntax.Reason, tc.reason) || !strings.Contains(syntax.Pointer, tc.pointer) {
				t.Errorf("got %q at %q, want %q at %q", syntax.Reason, syntax.Pointer, tc.reason, tc.pointer)
			}
		})
	}
}

func TestSyntaxErrorNamesLineAndColumn(t *testing.T) {
	_, err := jsonedit.Parse([]byte("{\n  \"a\": 1,\n  \"a\": 2\n}"))
	if err == nil || !strings.Contains(err.Error(), "line 3 column 3") {
		t.Errorf("error = %v, want line 3 column 3", err)
	}
}

func TestApplyChangesOnlyWhatIsAsked(t *testing.T) {
	const source = "{ \"model\" : \"gpt\",\n \"seed\":1.0e2 , \"x\":{\"model\":\"inner\"},\"last\":[1, 2] }\n"
	for name, tc := range map[string]struct {
		edit func(*jsonedit.Edits)
		want string
	}{
		"nothing": {func(*jsonedit.Edits) {}, source},
		"a value in its place": {
			func(e *jsonedit.Edits) { e.SetString("model", "a\"b") },
			"{ \"model\" : \"a\\\"b\",\n \"seed\":1.0e2, \"x\":{\"model\":\"inner\"},\"last\":[1, 2] }\n",
		},
		"a new member goes to the end": {
			func(e *jsonedit.Edits) { e.Set("stream", jsontext.Value("true")) },
			"{ \"model\" : \"gpt\",\n \"seed\":1.0e2, \"x\":{\"model\":\"inner\"},\"last\":[1, 2],\"stream\":true }\n",
		},
		"the first member goes": {
			func(e *jsonedit.Edits) { e.Delete("model") },
			"{\n \"seed\":1.0e2, \"x\":{\"model\":\"inner\"},\"last\":[1, 2] }\n",
		},
		"the last member goes": {
			func(e *jsonedit.Edits) { e.Delete("last"); e.Delete("absent") },
			"{ \"model\" : \"gpt\",\n \"seed\":1.0e2, \"x\":{\"model\":\"inner\"} }\n",
		},
		"a name changes and its value stays": {
			func(e *jsonedit.Edits) { e.Rename("seed", "random_seed") },
			"{ \"model\" : \"gpt\",\"random_seed\":1.0e2, \"x\":{\"model\":\"inner\"},\"last\":[1, 2] }\n",
		},
		"the later call for a name wins": {
			func(e *jsonedit.Edits) { e.Delete("x"); e.Set("x", jsontext.Value("0")) },
			"{ \"model\" : \"gpt\",\n \"seed\":1.0e2, \"x\":0,\"last\":[1, 2] }\n",
		},
		"every member goes": {
			func(e *jsonedit.Edits) {
				for _, n := range []string{"model", "seed", "x", "last"} {
					e.Delete(n)
				}
			},
			"{ }\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			object, err := jsonedit.Parse([]byte(source))
			if err != nil {
				t.Fatal(err)
			}
			var edits jsonedit.Edits
			tc.edit(&edits)
			if diff := cmp.Diff(tc.want, string(object.Apply(&edits))); diff != "" {
				t.Errorf("Apply differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEditsThatChangeNothingGiveTheSourceItself(t *testing.T) {
	source := []byte(`{"model": "gpt", "stream":true}`)
	object, err := jsonedit.Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	var edits jsonedit.Edits
	edits.SetString("model", "gpt")
	edits.Set("stream", jsontext.Value("true"))
	edits.Delete("absent")
	edits.Rename("max_tokens", "max_completion_tokens")
	if got := object.Apply(&edits); &got[0] != &source[0] || len(got) != len(source) {
		t.Errorf("Apply made a copy: %s", got)
	}
	edits.Set("stream", jsontext.Value("false"))
	if got := string(object.Apply(&edits)); got != `{"model": "gpt", "stream":false}` {
		t.Errorf("Apply = %s", got)
	}
}

func TestALargeBodyIsEditedInPiecesThatShareItsText(t *testing.T) {
	messages := `[{"content":"` + strings.Repeat("x", 20<<10) + `"}]`
	source := []byte(`{"model":"gpt","messages":` + messages + `,"n":1,"x":["` + strings.Repeat("y", 20<<10) + `"]}`)
	object, err := jsonedit.Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	var edits jsonedit.Edits
	edits.SetString("model", "gpt-4")
	edits.Delete("n")
	edits.Rename("x", "y")
	edits.Set("stream", jsontext.Value("true"))
	pieces := object.ApplyLarge(&edits)
	if diff := cmp.Diff(string(object.Apply(&edits)), string(slices.Concat(pieces...))); diff != "" {
		t.Errorf("the pieces are another text (-want +got):\n%s", diff)
	}
	copied := 0
	for _, p := range pieces {
		if start := bytes.Index(source, p); start < 0 || &source[start] != &p[0] {
			copied += len(p)
		}
	}
	if copied > 100 {
		t.Errorf("%d bytes were copied into %d pieces", copied, len(pieces))
	}
}

func TestScannerFindsTopLevelMembersHoweverTheTextIsCut(t *testing.T) {
	const text = `{"id":"x\"\\","choices":[{"message":{"content":"\"usage\":{\"no\":1}","usage":9},"n":[{}]}],
		"usage" : {"prompt_tokens": 3, "s":"}\"]", "d":{"a":[1]}} ,"model":"m","tail":null} `
	for cut := 0; cut <= len(text); cut++ {
		s := jsonedit.NewScanner("usage", "model", "id", "absent")
		s.Feed([]byte(text[:cut]))
		s.Feed([]byte(text[cut:]))
		for name, want := range map[string]string{
			"usage": `{"prompt_tokens": 3, "s":"}\"]", "d":{"a":[1]}}`, "model": `"m"`, "id": `"x\"\\"`,
		} {
			if got, _ := s.Get(name); string(got) != want {
				t.Fatalf("cut at %d: %s = %s, want %s", cut, name, got, want)
			}
		}
		if _, ok := s.Get("absent"); ok {
			t.Fatalf("cut at %d: a member that is not there was found", cut)
		}
	}
}

func TestScannerSeesWhetherAListHasElementsHoweverTheTextIsCut(t *testing.T) {
	for text, want := range map[string][2]bool{
		`{"a":1,"list":[{"b":1}]}`: {true, true}, `{"list": [ "x" ] }`: {true, true}, `{"list":[[]]}`: {true, true},
		`{"list":[]}`: {true, false}, `{"list" : [ ] ,"a":{"list":[{}]}}`: {true, false}, `{"list":null,"a":[{}]}`: {false, false},
		`{"list":{"b":[{}]}}`: {false, false}, `{"list":"[{}]"}`: {false, false}, `{"a":{"list":[{}]}}`: {false, false},
		`[{"list":[{}]}]`: {false, false},
		`{}`:              {false, false}, "": {false, false},
	} {
		for cut := range len(text) + 1 {
			s := jsonedit.NewScanner("a")
			s.WatchList("list")
			s.Feed([]byte(text[:cut]))
			s.Feed([]byte(text[cut:]))
			if present, filled := s.List(); present != want[0] || filled != want[1] {
				t.Errorf("%s, cut at %d: there %t, filled %t, want %v", text, cut, present, filled, want)
			}
		}
	}
}

func FuzzScannerAgreesWithADecoder(f *testing.F) {
	f.Add([]byte(`{"usage":{"a":1},"b":"c"}`), 3)
	f.Add([]byte(`{"b":[{"usage":1}],"usage":null}`), 9)
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		s := jsonedit.NewScanner("usage")
		cut = min(max(cut, 0), len(text))
		s.Feed(text[:cut])
		s.Feed(text[cut:])
		object, err := jsonedit.Parse(text)
		if err != nil {
			return
		}
		want, ok := object.Get("usage")
		for _, m := range object.Members() {
			if raw := string(text); m.Name == "usage" && !strings.Contains(raw, `"usage"`) {
				return // the name is spelt with escapes, which the scanner does not read
			}
		}
		got, found := s.Get("usage")
		if found != ok || string(got) != string(want) {
			t.Errorf("Scanner = %q %v, Parse = %q %v", got, found, want, ok)
		}
	})
}

func FuzzApplyKeepsJSONValid(f *testing.F) {
	f.Add([]byte(`{"model":"a","b":[1,2]}`))
	f.Add([]byte(` { } `))
	f.Fuzz(func(t *testing.T, text []byte) {
		object, err := jsonedit.Parse(text)
		if err != nil {
			return
		}
		var edits jsonedit.Edits
		edits.SetString("model", "new")
		edits.Delete("b")
		out := object.Apply(&edits)
		again, err := jsonedit.Parse(out)
		if err != nil {
			t.Fatalf("Apply(%q) = %q: %v", text, out, err)
		}
		if model, _ := again.Get("model"); string(model) != `"new"` {
			t.Errorf("model = %s", model)
		}
	})
}

func BenchmarkParseAndSetModel(b *testing.B) {
	for name, size := range map[string]int{"1KB": 1 << 10, "32KB": 32 << 10, "1MB": 1 << 20} {
		content, _ := json.Marshal(strings.Repeat("What is the capital? \n", size/22))
		body := []byte(`{"model":"gpt-4o","messages":[{"role":"user","content":` + string(content) + `}],"temperature":0.7}`)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				object, err := jsonedit.Parse(body)
				if err != nil {
					b.Fatal(err)
				}
				var edits jsonedit.Edits
				edits.SetString("model", "gpt-4o-2024")
				object.Apply(&edits)
			}
		})
	}
}

func BenchmarkScanner(b *testing.B) {
	content, _ := json.Marshal(strings.Repeat("The capital is \"Lisboa\". ", 40_000))
	body := []byte(`{"choices":[{"message":{"content":` + string(content) + `}}],"usage":{"total_tokens":3}}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		jsonedit.NewScanner("usage").Feed(body)
	}
}

func TestMapArrayChangesOnlyTheElementsAsked(t *testing.T) {
	source := jsontext.Value(`[ 1, {"a":2} ,3]`)
	got, err := jsonedit.MapArray(source, func(v jsontext.Value) (jsontext.Value, error) {
		if v.Kind() == '{' {
			return jsontext.Value(`{}`), nil
		}
		return v, nil
	})
	if err != nil || string(got) != `[ 1, {} ,3]` {
		t.Errorf("MapArray = %s, %v", got, err)
	}
	same, err := jsonedit.MapArray(source, func(v jsontext.Value) (jsontext.Value, error) { return v, nil })
	if err != nil || &same[0] != &source[0] {
		t.Errorf("an unchanged array was copied (%v)", err)
	}
}

func TestFindSeesNamesAndNotText(t *testing.T) {
	for text, want := range map[string]int{
		`{"usage":1}`:               9,
		`{"a":{"usage" : 1}}`:       16,
		`{"a":"usage"}`:             -1,
		`{"a":"\"usage\":1"}`:       -1,
		`{"a":["usage"],"usage":2}`: 23,
	} {
		if got := jsonedit.Find([]byte(text), "usage"); got != want {
			t.Errorf("Find(%s) = %d, want %d", text, got, want)
		}
	}
}

func TestFilterArrayRemovesElements(t *testing.T) {
	tests := []struct{ name, array, want string }{
		{"all stay, in their own text", `[ 1 , "x", {} ]`, `[ 1 , "x", {} ]`},
		{"the first goes", `[null, 1]`, `[1]`},
		{"the last goes", `[1, null ]`, `[1]`},
		{"all go", `[null,null]`, `[]`},
		{"an empty array stays", `[ ]`, `[ ]`},
		{"what is no array stays", `{"a":null}`, `{"a":null}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := jsonedit.FilterArray([]byte(tt.array), func(v jsontext.Value) bool { return v.Kind() != 'n' })
			if err != nil || string(got) != tt.want {
				t.Errorf("got %s, %v; want %s", got, err, tt.want)
			}
		})
	}
}
