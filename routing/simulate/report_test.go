package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// sample is one short run, which the tests share.
var sample = sync.OnceValues(func() ([]*result, error) { return compare(sampleRequests) })

// TestTheTableInTheDocsIsUpToDate runs a short simulation. Its result changes
// with any change to how strategies choose: then `make simulate` has to run.
func TestTheTableInTheDocsIsUpToDate(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("other processors round a fused multiply-add otherwise")
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "routing.md"))
	if err != nil {
		t.Fatal(err)
	}
	results, err := sample()
	if err != nil {
		t.Fatal(err)
	}
	mark := fingerprint(results)
	if !strings.Contains(string(text), mark) {
		t.Errorf("docs/routing.md is out of date: the fingerprint is %s; run `make simulate`", strings.TrimSpace(mark))
	}
}

func TestStrategiesKeepTheirPromisesInTheSimulation(t *testing.T) {
	results, err := sample()
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]*result{}
	for _, r := range results {
		if len(r.latencies) != sampleRequests {
			t.Errorf("%s answered %d of %d requests", r.strategy, len(r.latencies), sampleRequests)
		}
		by[r.strategy] = r
	}
	shuffle := by["simple-shuffle"]
	for _, faster := range []string{"least-busy", "latency-based"} {
		if got, than := by[faster].percentile(.5), shuffle.percentile(.5); got >= than {
			t.Errorf("the median of %s is %.2f s, that of simple-shuffle %.2f s", faster, got, than)
		}
	}
	if got := by["cost-based"].cost; got >= shuffle.cost {
		t.Errorf("cost-based costs %.2f, simple-shuffle %.2f", got, shuffle.cost)
	}
}

func TestThePlotIsWellFormed(t *testing.T) {
	results, err := sample()
	if err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(string(plot(results))))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
