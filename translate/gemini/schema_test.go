package gemini

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

func TestCleanSchema(t *testing.T) {
	tests := map[string]struct{ schema, want string }{
		"unknown keywords are left out": {
			`{"$schema":"x","$id":"y","type":"object","additionalProperties":false,"properties":{"a":{"type":"string","minLength":1,` +
				`"contentEncoding":"base64"}},"patternProperties":{}}`,
			`{"type":"object","properties":{"a":{"type":"string","minLength":1}}}`,
		},
		"a property may be called like a keyword": {
			`{"type":"object","properties":{"$ref":{"type":"string"},"type":{"type":"integer"}},"required":["type"]}`,
			`{"type":"object","properties":{"$ref":{"type":"string"},"type":{"type":"integer"}},"required":["type"]}`,
		},
		"only defined properties are required": {
			`{"type":"object","properties":{"a":{"type":"string"}},"required":["a","b"]}`,
			`{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}`,
		},
		"empty properties are left out": {`{"type":"object","properties":{}}`, `{"type":"object"}`},
		"null in a list of types":       {`{"type":["integer","null"]}`, `{"type":"integer","nullable":true}`},
		"several types": {
			`{"type":["string","array","null"],"items":{"type":"integer"},"description":"d"}`,
			`{"description":"d","anyOf":[{"type":"string","nullable":true},{"type":"array","items":{"type":"integer"},"nullable":true}]}`,
		},
		"a union has no title, a property has": {
			`{"type":"object","title":"Args","properties":{"a":{"title":"A","type":"string"},"b":{"title":"B","anyOf":[{"type":"string"},` +
				`{"type":"null"}]},"c":{"title":"C","type":["string","null"]},"d":{"title":"D","description":"d","anyOf":[{"type":"string"},` +
				`{"type":"integer","title":"E"}]}}}`,
			`{"title":"Args","type":"object","properties":{"a":{"title":"A","type":"string"},"b":{"type":"string","nullable":true},` +
				`"c":{"type":"string","nullable":true},"d":{"description":"d","anyOf":[{"type":"string"},{"title":"E","type":"integer"}]}}}`,
		},
		"null in a union": {
			`{"anyOf":[{"type":"string","title":"T"},{"type":"null"}],"description":"d","default":null}`,
			`{"description":"d","type":"string","nullable":true}`,
		},
		"a union of several": {
			`{"oneOf":[{"type":"string"},{"type":"integer"}],"title":"t","minLength":1}`, `{"anyOf":[{"type":"string"},{"type":"integer"}]}`,
		},
		"a union that only requires": {
			`{"type":"object","properties":{"a":{"type":"string"}},"anyOf":[{"required":["a"]}]}`,
			`{"type":"object","properties":{"a":{"type":"string"}}}`,
		},
		"a union that only narrows":    {`{"type":"string","anyOf":[{"format":"ipv4"},{"format":"ipv6"}]}`, `{"type":"string"}`},
		"null alone":                   {`{"type":"null"}`, `{"type":"string","nullable":true}`},
		"a constant is an enum of one": {`{"const":"a"}`, `{"type":"string","enum":["a"]}`},
		"enums of strings only, none empty": {
			`{"type":"object","properties":{"i":{"type":"integer","enum":[1]},"s":{"type":"string","enum":["","a",null]},` +
				`"e":{"type":"string","enum":[""]}}}`,
			`{"type":"object","properties":{"i":{"type":"integer"},"s":{"type":"string","enum":["a"],"nullable":true},"e":{"type":"string"}}}`,
		},
		"formats Gemini knows": {
			`{"anyOf":[{"type":"string","format":"date-time"},{"type":"string","format":"email"}]}`,
			`{"anyOf":[{"type":"string","format":"date-time"},{"type":"string"}]}`,
		},
		"arrays hold something": {`{"type":"array","minItems":1}`, `{"type":"array","minItems":1,"items":{"type":"object"}}`},
		"items of anything":     {`{"type":"array","items":{}}`, `{"type":"array","items":{"type":"object"}}`},
		"tuples hold any of their members": {
			`{"type":"array","prefixItems":[{"type":"string"},{"type":"integer"}]}`,
			`{"type":"array","items":{"anyOf":[{"type":"string"},{"type":"integer"}]}}`,
		},
		"the type is told by the keywords": {
			`{"properties":{"a":{"items":{"enum":["x"]}}}}`,
			`{"type":"object","properties":{"a":{"type":"array","items":{"type":"string","enum":["x"]}}}}`,
		},
		"types are spelt in any case": {`{"type":"STRING"}`, `{"type":"string"}`},
		"boolean schemas":             {`{"type":"object","properties":{"a":true}}`, `{"type":"object","properties":{"a":{}}}`},
		"references are written out, what stands beside them wins": {
			`{"type":"object","properties":{"a":{"$ref":"#/$defs/A~1B","description":"mine"}},"$defs":{"A/B":{"type":"string",` +
				`"description":"its"}}}`,
			`{"type":"object","properties":{"a":{"description":"mine","type":"string"}}}`,
		},
		"references of old drafts": {`{"$ref":"#/definitions/A","definitions":{"A":{"type":"string"}}}`, `{"type":"string"}`},
		"references to nowhere": {
			`{"type":"object","properties":{"a":{"$ref":"#/$defs/No"},"b":{"$ref":"http://x/y"}}}`,
			`{"type":"object","properties":{"a":{},"b":{}}}`,
		},
		"recursion ends": {
			`{"type":"object","properties":{"next":{"$ref":"#"},"v":{"type":"string"}}}`,
			`{"type":"object","properties":{"next":{"type":"object","properties":{"next":{"type":"object"},"v":{"type":"string"}}},` +
				`"v":{"type":"string"}}}`,
		},
		"allOf is one schema": {
			`{"allOf":[{"$ref":"#/$defs/A"},{"type":"object","properties":{"b":{"type":"string"}},"required":["b"]}],` +
				`"$defs":{"A":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}}}`,
			`{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}},"required":["a","b"]}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := cleanSchema(jsontext.Value(test.schema), false)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Errorf("schema (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCleanSchemaRefusesWhatGrowsWithoutEnd(t *testing.T) {
	doubling := func(unseen string) string {
		defs := make([]string, 40)
		for i := range defs {
			defs[i] = fmt.Sprintf(`"d%d":{"x":%q,"anyOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]}`, i, unseen, i+1, i+1)
		}
		return `{"$ref":"#/$defs/d0","$defs":{` + strings.Join(defs, ",") + `,"d40":{"type":"string"}}}`
	}
	tests := map[string]string{
		"references that double at each step":    doubling(""),
		"references to much that is not written": doubling(strings.Repeat("x", 20_000)),
		"nesting":                                strings.Repeat(`{"items":`, 100) + `{}` + strings.Repeat(`}`, 100),
	}
	for name, schema := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := cleanSchema(jsontext.Value(schema), false); !errors.Is(err, errSchemaTooLarge) {
				t.Errorf("got error %v", err)
			}
		})
	}
}

func TestCleanSchemaSurvivesAPointerOfSlashes(t *testing.T) {
	got, err := cleanSchema(jsontext.Value(`{"$ref":"#`+strings.Repeat("/a", 100_000)+`"}`), false)
	if err != nil || string(got) != "{}" {
		t.Errorf("got %s, %v", got, err)
	}
}

func FuzzCleanSchema(f *testing.F) {
	f.Add(`{"anyOf":[{"type":["string","null"]},{"$ref":"#/a"}],"a":{"allOf":[{"$ref":"#"}],"items":[{"const":1}]}}`)
	f.Fuzz(func(t *testing.T, schema string) {
		if !jsontext.Value(schema).IsValid() {
			t.Skip()
		}
		got, err := cleanSchema(jsontext.Value(schema), true)
		if err == nil && !jsontext.Value(got).IsValid() {
			t.Errorf("invalid: %s", got)
		}
	})
}
