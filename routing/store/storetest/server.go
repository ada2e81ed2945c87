package storetest

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/testring"
	"github.com/redis/go-redis/v9"
)

// Server is one running redis-server.
type Server struct {
	Addr string // host:port
	args []string
	cmd  *exec.Cmd
	log  *bytes.Buffer
}

// Start runs a redis-server on a free port until the test ends.
func Start(tb testing.TB) *Server {
	tb.Helper()
	return start(tb, nil)
}

// portMark stands for the port in the arguments of a server.
const portMark = "$PORT"

// start retries: a free port may be taken by somebody else meanwhile.
func start(tb testing.TB, args []string, first ...string) *Server {
	tb.Helper()
	testring.Program(tb, "redis-server")
	var err error
	for range 5 {
		s := &Server{Addr: freeAddr(tb)}
		_, port, _ := net.SplitHostPort(s.Addr)
		s.args = append(first, "--port", port, "--bind", "127.0.0.1", "--dir", tb.TempDir())
		if len(first) == 0 {
			s.args = append(s.args, "--save", "", "--appendonly", "no")
		}
		for _, arg := range args {
			s.args = append(s.args, strings.ReplaceAll(arg, portMark, port))
		}
		if err = s.launch(); err == nil {
			tb.Cleanup(s.Kill)
			return s
		}
		s.Kill()
	}
	tb.Fatalf("start redis-server: %v", err)
	return nil
}

func (s *Server) launch() error {
	s.log = &bytes.Buffer{}
	s.cmd = exec.Command("redis-server", s.args...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); {
		if conn, err := net.DialTimeout("tcp", s.Addr, 100*time.Millisecond); err == nil {
			return conn.Close()
		}
		time.Sleep(5 * time.Millisecond)
	}
	return fmt.Errorf("redis-server at %s does not listen", s.Addr)
}

// Kill ends the server at once; what it held is lost.
func (s *Server) Kill() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Restart starts the killed server again on its address, empty.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	if err := s.launch(); err != nil {
		tb.Fatal(err)
	}
}

// Freeze stops the process without ending it (SIGSTOP).
func (s *Server) Freeze(tb testing.TB) { s.signal(tb, syscall.SIGSTOP) }

// Thaw lets a frozen process go on (SIGCONT).
func (s *Server) Thaw(tb testing.TB) { s.signal(tb, syscall.SIGCONT) }

func (s *Server) signal(tb testing.TB, sig os.Signal) {
	tb.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		tb.Fatal(err)
	}
}

// freeAddr is none of the ports that the system gives to connections: a client that
// looks for a server which is away would take its port.
func freeAddr(tb testing.TB) string {
	tb.Helper()
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(12_000+rand.IntN(20_000)))
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	tb.Fatal("no port is free")
	return ""
}

// nodeTimeout, in ms, is how long a node of a cluster may be frozen until the others
// say that the whole cluster is down.
const nodeTimeout = "15000"

// StartCluster runs a Redis Cluster of three masters until the test ends.
func StartCluster(tb testing.TB) []*Server {
	tb.Helper()
	return startCluster(tb, nil, func(int) []string { return nil })
}

// startCluster runs a cluster whose nodes have more arguments. encrypted is how they
// are spoken to; nil: in the clear.
func startCluster(tb testing.TB, encrypted *tls.Config, more func(node int) []string) []*Server {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var servers []*Server
	var nodes []*redis.Client
	var buses []string
	for node := range 3 {
		_, bus, _ := net.SplitHostPort(freeAddr(tb))
		s := start(tb, append(more(node), "--cluster-enabled", "yes", "--cluster-port", bus,
			"--cluster-config-file", filepath.Join(tb.TempDir(), "nodes.conf"), "--cluster-node-timeout", nodeTimeout))
		c := redis.NewClient(&redis.Options{Addr: s.Addr, TLSConfig: encrypted, DisableIdentity: true})
		tb.Cleanup(func() { _ = c.Close() })
		servers, nodes, buses = append(servers, s), append(nodes, c), append(buses, bus)
	}
	const slots = 16384
	for i, c := range nodes {
		if err := c.ClusterAddSlotsRange(ctx, i*slots/3, (i+1)*slots/3-1).Err(); err != nil {
			tb.Fatal(err)
		}
		host, port, _ := net.SplitHostPort(servers[i].Addr)
		if err := nodes[0].Do(ctx, "cluster", "meet", host, port, buses[i]).Err(); err != nil {
			tb.Fatal(err)
		}
	}
	for _, c := range nodes {
		waitJoined(ctx, tb, c)
	}
	return servers
}

// StartSentinel runs a sentinel that watches a server under the name
// "mymaster", until the test ends.
func StartSentinel(tb testing.TB, watched *Server) *Server {
	tb.Helper()
	return startSentinel(tb, watched, nil)
}

func startSentinel(tb testing.TB, watched *Server, args []string) *Server {
	tb.Helper()
	host, port, _ := net.SplitHostPort(watched.Addr)
	file := filepath.Join(tb.TempDir(), "sentinel.conf")
	if err := os.WriteFile(file, []byte("sentinel monitor mymaster "+host+" "+port+" 1\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	return start(tb, args, file, "--sentinel")
}

// Addrs are the addresses of servers.
func Addrs(servers []*Server) []string {
	var all []string
	for _, s := range servers {
		all = append(all, s.Addr)
	}
	return all
}

func waitJoined(ctx context.Context, tb testing.TB, c *redis.Client) {
	tb.Helper()
	for {
		info, err := c.ClusterInfo(ctx).Bytes()
		if err == nil && bytes.Contains(info, []byte("cluster_state:ok")) && bytes.Contains(info, []byte("cluster_known_nodes:3")) {
			return
		}
		if ctx.Err() != nil {
			tb.Fatalf("the cluster does not form: %v\n%s", err, info)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
