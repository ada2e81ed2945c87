package status

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"strings"
)

//go:embed page
var files embed.FS

// page is the document: the parts of the folder page put into one, and the
// policy under which a browser shows it.
type page struct {
	text   []byte
	policy string
}

// scripts are the parts of the page's script, in the order in which they stand.
var scripts = []string{"format.js", "dom.js", "deployments.js", "requests.js", "panels.js", "feed.js", "main.js"}

func newPage() page {
	style := read("page.css")
	var b strings.Builder
	b.WriteString("\"use strict\";\n")
	for _, name := range scripts {
		b.WriteString(read(name))
	}
	script := b.String()
	text := strings.NewReplacer("{{style}}", style, "{{script}}", script).Replace(read("page.html"))
	return page{
		text: []byte(text),
		policy: strings.Join([]string{
			"default-src 'none'", "script-src " + digest(script), "style-src " + digest(style), "connect-src 'self'", "img-src data:",
			"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
		}, "; "),
	}
}

// read returns an embedded file; a test shows that all are there.
func read(name string) string {
	text, err := fs.ReadFile(files, "page/"+name)
	if err != nil {
		return ""
	}
	return string(text)
}

// digest is how a content security policy names a text.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func (p page) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.policy)
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	_, _ = w.Write(p.text)
}
