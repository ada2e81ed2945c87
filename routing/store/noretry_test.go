package store_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/store"
)

// TestAChargeWithoutAnAnswerIsNotSentAgain: a server may have done it before its
// connection broke off.
func TestAChargeWithoutAnAnswerIsNotSentAgain(t *testing.T) {
	for _, cluster := range []bool{false, true} {
		t.Run(fmt.Sprintf("cluster: %v", cluster), func(t *testing.T) {
			node := breakOff(t)
			server := store.Server{Host: node.host, Port: node.port}
			if cluster {
				server = store.Server{ClusterNodes: []string{net.JoinHostPort(node.host, strconv.Itoa(node.port))}}
			}
			r, err := store.NewRedis(store.RedisOptions{Server: server, Replica: "r", Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			want := store.Demand{Windows: []store.Window{{Key: "w", Limit: 10, Cost: 1}}}
			if _, err := r.Acquire(ctx, &store.Request{ID: "a", Lease: time.Second, Candidates: []store.Demand{want}}); err == nil {
				t.Error("a call without an answer is none that failed")
			}
			if err := r.Settle(ctx, []store.Settlement{{ID: "a", Corrections: []store.Correction{{Key: "w", Second: 1, Delta: 1}}}}); err == nil {
				t.Error("a settlement without an answer is none that failed")
			}
			if n := node.scripts.Load(); n != 2 {
				t.Errorf("two calls were sent %d times", n)
			}
		})
	}
}

// brokenNode is the one node of a cluster, which closes the connection when a script is
// called.
type brokenNode struct {
	host    string
	port    int
	scripts atomic.Int64 // calls that came
}

func breakOff(t *testing.T) *brokenNode {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	at := l.Addr().(*net.TCPAddr)
	n := &brokenNode{host: at.IP.String(), port: at.Port}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go n.serve(conn)
		}
	}()
	return n
}

// serve answers what clients ask before they use a node.
func (n *brokenNode) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		words, err := readCommand(in)
		if err != nil {
			return
		}
		answer := "+OK\r\n"
		switch strings.ToLower(words[0]) {
		case "hello":
			answer = "-ERR unknown command 'HELLO'\r\n"
		case "evalsha", "eval":
			n.scripts.Add(1)
			return
		case "command":
			answer = "*0\r\n"
		case "cluster":
			answer = fmt.Sprintf("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$%d\r\n%s\r\n:%d\r\n$1\r\nn\r\n", len(n.host), n.host, n.port)
		}
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
	}
}

// readCommand reads an array of strings.
func readCommand(in *bufio.Reader) ([]string, error) {
	count, err := readLength(in, '*')
	if err != nil {
		return nil, err
	}
	words := make([]string, 0, count)
	for range count {
		length, err := readLength(in, '$')
		if err != nil {
			return nil, err
		}
		word := make([]byte, length+2)
		if _, err := io.ReadFull(in, word); err != nil {
			return nil, err
		}
		words = append(words, string(word[:length]))
	}
	return words, nil
}

func readLength(in *bufio.Reader, kind byte) (int, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, fmt.Errorf("%q where a length should be", line)
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}
