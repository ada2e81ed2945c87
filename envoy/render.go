package envoy

import (
	"bytes"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"gopkg.in/yaml.v3"
)

// YAML writes a message as Envoy's configuration files have it.
func YAML(m proto.Message) ([]byte, error) {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write the Envoy configuration: %w", err)
	}
	var tree any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&tree); err != nil {
		return nil, fmt.Errorf("write the Envoy configuration: %w", err)
	}
	return yaml.Marshal(plainNumbers(tree)) // keys sorted: the same input gives the same text
}

// plainNumbers makes whole numbers integers: YAML would write a large float as
// 1.048576e+06, which Envoy does not take for one.
func plainNumbers(tree any) any {
	switch t := tree.(type) {
	case map[string]any:
		for name, value := range t {
			t[name] = plainNumbers(value)
		}
	case []any:
		for i, value := range t {
			t[i] = plainNumbers(value)
		}
	case json.Number:
		if n, err := t.Int64(); err == nil {
			return n
		}
		f, _ := t.Float64() // protojson writes no other numbers
		return f
	}
	return tree
}
