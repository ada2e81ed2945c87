package chaos

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// faulty is one request that a provider does not answer as it should.
type faulty struct {
	w      http.ResponseWriter
	r      *http.Request
	answer *answer // what would be right
	roll   int     // chooses among the ways of a fault; any number from 0
}

// fault is a way in which a provider fails. It may have several variants: roll chooses.
type fault func(*faulty)

// dice are safe for concurrent use; the zero value is ready.
type dice struct {
	mu   sync.Mutex
	dice *rand.Rand
}

func (d *dice) roll() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dice == nil {
		d.dice = rand.New(rand.NewPCG(13, 13))
	}
	return d.dice.IntN(1 << 30)
}

// variant runs one of several.
func (f *faulty) variant(ways ...func()) { ways[f.roll%len(ways)]() }

// head is the status line and headers of the answer, with these headers besides, each
// with its line break.
func (f *faulty) head(more string) string {
	return "HTTP/1.1 200 OK\r\ncontent-type: " + f.answer.kind + "\r\n" + more + "\r\n"
}

// chunk is a piece of a chunked body.
func chunk(text string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(text), text) }

// raw takes the connection from the server.
func (f *faulty) raw(use func(*net.TCPConn)) {
	c, _, err := http.NewResponseController(f.w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if tcp, ok := c.(*net.TCPConn); ok {
		use(tcp)
	}
}

// half is the first half of the answer, in chunks after its headers.
func (f *faulty) half() string {
	text := f.answer.text()
	return f.head("transfer-encoding: chunked\r\n") + chunk(text[:len(text)/2])
}

// counted is the whole answer with a length that is off by so many bytes.
func (f *faulty) counted(off int) string {
	text := f.answer.text()
	return f.head("content-length: "+strconv.Itoa(len(text)+off)+"\r\n") + text
}

func hangs(f *faulty) { gatewaytest.Hang(f.w, f.r, "") }

// resets ends the connection with a TCP reset: before the answer, after its headers, in
// its middle.
func resets(f *faulty) {
	f.raw(func(c *net.TCPConn) {
		f.variant(
			func() {},
			func() { _, _ = io.WriteString(c, f.head("transfer-encoding: chunked\r\n")) },
			func() { _, _ = io.WriteString(c, f.half()) },
		)
		time.Sleep(10 * time.Millisecond) // a reset overtakes what was written
		_ = c.SetLinger(0)
	})
}

// halfCloses ends its side of the connection, and goes on to read: without an answer, or
// in the middle of one.
func halfCloses(f *faulty) {
	f.raw(func(c *net.TCPConn) {
		f.variant(
			func() {},
			func() { _, _ = io.WriteString(c, f.half()) },
			func() { _, _ = io.WriteString(c, f.counted(100)) },
		)
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, c)
	})
}

// drips sends the answer byte by byte, the headers too: quickly, or so slowly that the
// headers take longer than an attempt may.
func drips(f *faulty) {
	f.raw(func(c *net.TCPConn) {
		each := 3 * time.Millisecond
		if f.roll%4 == 0 {
			each = 40 * time.Millisecond
		}
		for _, b := range []byte(f.counted(0)) {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(each)
		}
	})
}

// noise is what is no text in any format.
func noise(n int) string {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(7, uint64(n)))
	for i := range b {
		b[i] = byte(r.IntN(256))
	}
	return string(b)
}

// garbage is no HTTP, or no answer in its format: as a body with a length, in chunks.
func garbage(f *faulty) {
	f.raw(func(c *net.TCPConn) {
		f.variant(
			func() { _, _ = io.WriteString(c, noise(300)) },
			func() { _, _ = io.WriteString(c, f.head("content-length: 300\r\n")+noise(300)) },
			func() { _, _ = io.WriteString(c, f.head("transfer-encoding: chunked\r\n")+chunk(noise(300))+chunk("")) },
		)
	})
}

// lengths says another length than that of the body: more, less, two of them, none that
// is a number.
func lengths(f *faulty) {
	f.raw(func(c *net.TCPConn) {
		text := f.answer.text()
		f.variant(
			func() { _, _ = io.WriteString(c, f.counted(50)) },
			func() { _, _ = io.WriteString(c, f.counted(-20)) },
			func() {
				_, _ = io.WriteString(c, f.head(fmt.Sprintf("content-length: %d\r\ncontent-length: %d\r\n", len(text), len(text)-1))+text)
			},
			func() { _, _ = io.WriteString(c, f.head("transfer-encoding: chunked\r\n")+"zz\r\n"+text) },
		)
	})
}

// zips compresses the answer, which nobody asked for.
func zips(f *faulty) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, f.answer.text())
	_ = z.Close()
	f.w.Header().Set("Content-Type", f.answer.kind)
	f.w.Header().Set("Content-Encoding", "gzip")
	f.variant(
		func() { _, _ = f.w.Write(b.Bytes()) }, // the server says the length
		func() {
			gatewaytest.Flush(f.w)
			_, _ = f.w.Write(b.Bytes())
		},
	)
}

// endless never ends: its events, one event, its document, its headers.
func endless(f *faulty) {
	f.raw(func(c *net.TCPConn) {
		flood := func(begin, each string) {
			if _, err := io.WriteString(c, begin); err != nil {
				return
			}
			for {
				if _, err := io.WriteString(c, each); err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
		line := strings.Repeat("word ", 800)
		first := f.answer.parts[0]
		f.variant(
			func() { flood(f.head("transfer-encoding: chunked\r\n")+chunk(first[:len(first)-3]), chunk(line)) },
			func() { flood("HTTP/1.1 200 OK\r\n", "x-more: "+line[:100]+"\r\n") },
			func() {
				again := f.answer.parts[min(1, len(f.answer.parts)-1)]
				flood(f.head("transfer-encoding: chunked\r\n")+chunk(first), chunk(again))
			},
		)
	})
}

// errs answers with an error's status.
func errs(f *faulty) {
	status := []int{429, 500, 503, 529}[f.roll%4]
	gatewaytest.FailWith(status)(f.w, f.r, "")
}

// mixed is any of the others.
func mixed(f *faulty) {
	all := []fault{hangs, resets, halfCloses, drips, garbage, lengths, zips, errs}
	i := f.roll % len(all)
	f.roll /= len(all)
	all[i](f)
}
