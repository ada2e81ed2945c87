package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/isthmus-proxy/isthmus/cmd/soak/ending"
)

// counts are endings of one kind of requests.
type counts [ending.Unanswered + 1]int

func (c counts) all() int {
	return c[ending.Answered] + c[ending.Failed] + c[ending.Left] + c[ending.Unanswered]
}

// tally counts the requests by kind. It is safe for concurrent use.
type tally struct {
	mu    sync.Mutex
	names []string // in the order of the mix
	kinds map[string]*counts
	why   map[string]string // the first reason of each kind that had an unanswered one
}

func newTally(kinds []kind) *tally {
	t := &tally{kinds: map[string]*counts{}, why: map[string]string{}}
	for _, k := range kinds {
		t.names = append(t.names, k.name)
		t.kinds[k.name] = &counts{}
	}
	return t
}

func (t *tally) add(k kind, e ending.Ending, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kinds[k.name][e]++
	if e == ending.Unanswered && t.why[k.name] == "" {
		t.why[k.name] = err.Error()
	}
}

// total is the sum over all kinds.
func (t *tally) total() (sum counts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.kinds {
		for e, n := range c {
			sum[e] += n
		}
	}
	return sum
}

// print writes the figures of each kind, and why requests were not answered.
func (t *tally) print(w io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(w, "%-26s %9s %9s %9s %9s %12s\n", "kind", "requests", "answered", "failed", "left", "not answered")
	for _, name := range t.names {
		c := t.kinds[name]
		fmt.Fprintf(w, "%-26s %9d %9d %9d %9d %12d\n", name, c.all(), c[ending.Answered], c[ending.Failed], c[ending.Left], c[ending.Unanswered])
	}
	for _, name := range slices.Sorted(maps.Keys(t.why)) {
		fmt.Fprintf(w, "not answered, %s: %s\n", name, t.why[name])
	}
}
