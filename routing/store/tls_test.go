package store_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

func TestRedisOverTLS(t *testing.T) {
	ours, theirs := storetest.NewAuthority(t), storetest.NewAuthority(t)
	open, strict := storetest.StartTLS(t, ours, false, "localhost"), storetest.StartTLS(t, ours, true)
	host, port, _ := strings.Cut(open.Addr, ":")
	var number int
	fmt.Sscan(port, &number)
	cert, key := ours.Issue(t, "client")
	for name, tc := range map[string]struct {
		server store.Server
		fails  string // what its error says; "": it works
	}{
		"a URL and the CA":             {store.Server{URL: "rediss://" + open.Addr, CAFile: ours.CAFile}, ""},
		"a host and the CA":            {store.Server{Host: host, Port: number, TLS: true, CAFile: ours.CAFile}, ""},
		"a name of the certificate":    {store.Server{Host: "localhost", Port: number, TLS: true, CAFile: ours.CAFile}, ""},
		"any certificate will do":      {store.Server{URL: "rediss://" + open.Addr, Insecure: true}, ""},
		"any will do, as the URL says": {store.Server{URL: "rediss://" + open.Addr + "?skip_verify=true"}, ""},
		"our own certificate": {store.Server{URL: "rediss://" + strict.Addr, CAFile: ours.CAFile, CertFile: cert, KeyFile: key},
			""},
		"a server that nobody vouches for": {store.Server{URL: "rediss://" + open.Addr}, "certificate signed by unknown authority"},
		"another CA": {store.Server{URL: "rediss://" + open.Addr, CAFile: theirs.CAFile},
			"certificate signed by unknown authority"},
		"a server that asks for ours":       {store.Server{URL: "rediss://" + strict.Addr, CAFile: ours.CAFile}, "certificate required"},
		"a server without TLS":              {store.Server{URL: "rediss://" + storetest.Start(t).Addr, CAFile: ours.CAFile}, "deadline exceeded"},
		"no TLS, to a server that wants it": {store.Server{URL: "redis://" + open.Addr}, "take room for a request: "},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRedis(t, tc.server)
			if !reaches(t, r, tc.fails) {
				return
			}
			if err := r.Set(t.Context(), "ns:x", []byte("value"), time.Minute); err != nil {
				t.Error(err)
			}
			if value, err := r.Get(t.Context(), "ns:x"); string(value) != "value" {
				t.Errorf("%q, %v", value, err)
			}
		})
	}
}

// reaches reports whether Redis answers. It must, or fail with these words.
func reaches(t *testing.T, r *store.Redis, fails string) bool {
	t.Helper()
	err := reach(t, r, fails)
	if fails == "" && err != nil {
		t.Fatal(err)
	}
	if fails != "" && (err == nil || !strings.Contains(err.Error(), fails)) {
		t.Errorf("error %v, want one with %q", err, fails)
	}
	return fails == ""
}

// reach asks for room, and returns what went wrong. What a late machine had no time
// for is tried again, unless it is what the test expects.
func reach(t *testing.T, r *store.Redis, expected string) error {
	t.Helper()
	for try := 1; ; try++ {
		_, err := r.Acquire(t.Context(), request(fmt.Sprint(t.Name(), try)))
		var late net.Error
		if err == nil || try == 5 || !errors.As(err, &late) || !late.Timeout() || expected != "" && strings.Contains(err.Error(), expected) {
			return err
		}
	}
}

// TestClustersAndSentinelsOverTLS: the certificate of a node that others name is
// checked against that node's own address, not against the one in a URL.
func TestClustersAndSentinelsOverTLS(t *testing.T) {
	t.Parallel()
	ours, theirs := storetest.NewAuthority(t), storetest.NewAuthority(t)
	nodes := storetest.StartClusterTLS(t, ours)
	master := storetest.StartTLS(t, ours, false)
	sentinel := storetest.StartSentinelTLS(t, ours, master)
	named := func(s *storetest.Server) string { return strings.Replace(s.Addr, "127.0.0.1", "localhost", 1) }
	for name, tc := range map[string]struct {
		server store.Server
		fails  string // what its error says; "": it works
	}{
		"a cluster":                    {store.Server{ClusterNodes: storetest.Addrs(nodes), TLS: true, CAFile: ours.CAFile}, ""},
		"one node of it":               {store.Server{ClusterNodes: []string{nodes[1].Addr}, TLS: true, CAFile: ours.CAFile}, ""},
		"one node by its name":         {store.Server{ClusterNodes: []string{named(nodes[0])}, TLS: true, CAFile: ours.CAFile}, ""},
		"a URL of a cluster":           {store.Server{URL: "rediss://" + nodes[0].Addr + "?addr=" + nodes[1].Addr, CAFile: ours.CAFile}, ""},
		"a URL of a cluster by a name": {store.Server{URL: "rediss://" + named(nodes[0]) + "?addr=" + nodes[1].Addr, CAFile: ours.CAFile}, ""},
		"any certificate of a cluster": {store.Server{ClusterNodes: storetest.Addrs(nodes), TLS: true, Insecure: true}, ""},
		"a cluster of another CA": {store.Server{ClusterNodes: storetest.Addrs(nodes), TLS: true, CAFile: theirs.CAFile},
			"certificate signed by unknown authority"},
		"sentinels":                    {store.Server{SentinelNodes: []string{sentinel.Addr}, TLS: true, CAFile: ours.CAFile}, ""},
		"sentinels by a name":          {store.Server{SentinelNodes: []string{named(sentinel)}, TLS: true, CAFile: ours.CAFile}, ""},
		"a URL of sentinels":           {store.Server{URL: "rediss://" + sentinel.Addr + "?master_name=mymaster", CAFile: ours.CAFile}, ""},
		"a URL of sentinels by a name": {store.Server{URL: "rediss://" + named(sentinel) + "?master_name=mymaster", CAFile: ours.CAFile}, ""},
		"any certificate of sentinels": {store.Server{SentinelNodes: []string{sentinel.Addr}, TLS: true, Insecure: true}, ""},
		"sentinels of another CA": {store.Server{SentinelNodes: []string{sentinel.Addr}, TLS: true, CAFile: theirs.CAFile},
			"certificate signed by unknown authority"},
		"sentinels without encryption": {store.Server{SentinelNodes: []string{sentinel.Addr}}, "take room for a request: "},
		"a cluster without encryption": {store.Server{ClusterNodes: storetest.Addrs(nodes)}, "take room for a request: "},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRedis(t, tc.server)
			if !reaches(t, r, tc.fails) {
				return
			}
			for i := range 9 { // of all nodes
				key := fmt.Sprintf("ns:%d", i)
				if err := r.Set(t.Context(), key, []byte("value"), time.Minute); err != nil {
					t.Error(err)
				}
				if value, err := r.Get(t.Context(), key); string(value) != "value" {
					t.Errorf("%q, %v", value, err)
				}
			}
		})
	}
}

func TestWhatCannotBeTrustedIsToldAtTheStart(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, s := range map[string]store.Server{
		"read the CA certificates of the redis: open /nowhere/ca.pem": {URL: "rediss://h", CAFile: "/nowhere/ca.pem"},
		"holds no certificate":                               {URL: "rediss://h", CAFile: empty},
		"read our certificate for the redis":                 {URL: "rediss://h", CertFile: empty, KeyFile: empty},
		"but no TLS: say ssl: true, or rediss:// in the URL": {URL: "redis://h", CAFile: empty},
	} {
		if _, err := store.NewRedis(store.RedisOptions{Server: s, Now: time.Now}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}
