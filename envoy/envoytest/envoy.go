package envoytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"gopkg.in/yaml.v3"

	"github.com/isthmus-proxy/isthmus/cmd/testring"
	"github.com/isthmus-proxy/isthmus/envoy"
	"github.com/isthmus-proxy/isthmus/envoy/process"
)

// Releases is the Envoy of each supported line that the tests run.
func Releases() []string { return []string{"1.36.4", "1.37.0", "1.38.3", "1.39.3", "1.40.0"} }

// Release is the Envoy of a line.
func Release(t testing.TB, v envoy.Version) process.Binary {
	t.Helper()
	for _, r := range Releases() {
		if line, err := envoy.ParseVersion(r); err == nil && line == v {
			return Envoy(t, r)
		}
	}
	t.Fatalf("no Envoy release of %s is known", v)
	return process.Binary{}
}

// finders find the Envoy of each release once for the process: to read a binary of 100
// MB and to compare its digest takes longer than to start it.
var finders = func() map[string]func() (process.Binary, error) {
	all := map[string]func() (process.Binary, error){}
	for _, release := range Releases() {
		all[release] = sync.OnceValues(finder(release))
	}
	return all
}()

func finder(release string) func() (process.Binary, error) {
	return func() (process.Binary, error) {
		return process.Finder{Fetch: true, Version: release}.Find(context.Background())
	}
}

// Envoy fetches a release, once for all tests of this user.
func Envoy(t testing.TB, release string) process.Binary {
	t.Helper()
	find, ok := finders[release]
	if !ok { // a soak may be told of another
		find = finder(release)
	}
	b, err := find()
	if err != nil {
		testring.Lacks(t, "Envoy "+release+" ("+err.Error()+")")
	}
	return b
}

// Documents splits a YAML stream.
func Documents(t testing.TB, text []byte) []map[string]any {
	t.Helper()
	var out []map[string]any
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var doc map[string]any
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("not YAML: %v\n%s", err, text)
		}
		out = append(out, doc)
	}
}

// Message reads a part of a YAML document as one of Envoy's messages; unknown
// fields fail the test.
func Message[M proto.Message](t testing.TB, part any, m M) M {
	t.Helper()
	text, err := json.Marshal(part)
	if err != nil {
		t.Fatal(err)
	}
	if err := protojson.Unmarshal(text, m); err != nil {
		t.Fatalf("%T: %v\n%s", m, err, text)
	}
	return m
}

// Bootstrap reads a whole configuration.
func Bootstrap(t testing.TB, text []byte) *bootstrapv3.Bootstrap {
	t.Helper()
	docs := Documents(t, text)
	if len(docs) != 1 {
		t.Fatalf("%d documents, want 1", len(docs))
	}
	return Message(t, docs[0], &bootstrapv3.Bootstrap{})
}

// YAML writes a configuration.
func YAML(t testing.TB, m proto.Message) []byte {
	t.Helper()
	text, err := envoy.YAML(m)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
