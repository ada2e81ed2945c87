package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The table stands between these lines of routing.md.
const (
	tableBegin = "<!-- written by make simulate: begin -->\n"
	tableEnd   = "<!-- written by make simulate: end -->\n"
)

// table is the comparison for people, in Markdown.
func table(results []*result) string {
	var b strings.Builder
	b.WriteString("| Strategy | median | 95 % within | 99 % within | 99.9 % within | tokens beyond a quota | price per million tokens |\n")
	b.WriteString("|---|---|---|---|---|---|---|\n")
	for _, r := range results {
		fmt.Fprintf(&b, "| `%s` | %.2f s | %.2f s | %.2f s | %.2f s | %.2f %% | %.2f |\n", r.strategy,
			r.percentile(.5), r.percentile(.95), r.percentile(.99), r.percentile(.999), 100*r.overshoot, r.cost)
	}
	return b.String()
}

// sampleRequests is the length of the short run whose fingerprint stands beside
// the table: when it is another one today, the table is out of date.
const sampleRequests = 10_000

// fingerprint tells whether the strategies still choose as they did when the
// table was written, without running all of it.
func fingerprint(sample []*result) string {
	sum := sha256.Sum256([]byte(table(sample)))
	return fmt.Sprintf("<!-- fingerprint %x -->\n", sum[:8])
}

// write brings routing.md and routing.svg up to date.
func write(docs string, results []*result) error {
	path := filepath.Join(docs, "routing.md")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(text, []byte(tableBegin))
	_, after, ended := bytes.Cut(rest, []byte(tableEnd))
	if !ok || !ended {
		return fmt.Errorf("%s has no place for the table: want the lines %q and %q", path, tableBegin, tableEnd)
	}
	sample, err := compare(sampleRequests)
	if err != nil {
		return err
	}
	text = fmt.Appendf(nil, "%s%s%s%s%s%s", before, tableBegin, table(results), fingerprint(sample), tableEnd, after)
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(docs, "routing.svg"), plot(results), 0o644)
}
