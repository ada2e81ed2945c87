package envoy

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Input is all that an Envoy configuration is made from.
type Input struct {
	Version   Version
	Listen    Address // of the clients; the port may be 0
	Admin     Address // Envoy's own admin interface; zero: none
	Processor Address // where isthmus serves gRPC

	Upstreams []Upstream
	Orders    []Order // needed before 1.40

	MaxBody        uint64          // bytes of a request body; 0 = 100 MiB
	IdleTimeouts   []time.Duration // distinct longest gaps between bytes of an answer
	MessageTimeout time.Duration   // for one ext_proc message; 0 = 10 s
	QueueTimeout   time.Duration   // the longest a request may be held; 0 = 30 s

	CABundle  string // file with the root certificates; needed for https upstreams
	AccessLog string // file for a JSON access log; "" writes none
}

// Upstream is one deployment's way out.
type Upstream struct {
	Cluster    string // name of the cluster
	Deployment string // id, shown in Envoy's metadata
	URL        string // scheme://host[:port]/…; only scheme, host and port matter
}

// Order is a fixed plan: see routing.Order.
type Order struct {
	Name     string
	Clusters []string
}

// Address is a TCP address or a Unix socket.
type Address struct {
	Host string // IP
	Port uint32
	Path string // of a Unix socket; wins over Host and Port
}

// ParseAddress reads "host:port", ":port" or "unix:///path".
func ParseAddress(s string) (Address, error) {
	if path, ok := strings.CutPrefix(s, "unix://"); ok {
		if path == "" {
			return Address{}, fmt.Errorf("%q has no path", s)
		}
		return Address{Path: path}, nil
	}
	if strings.HasPrefix(s, ":") {
		s = "0.0.0.0" + s
	}
	s = strings.Replace(s, "localhost:", "127.0.0.1:", 1)
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return Address{}, fmt.Errorf("%q is no address: say unix:///path or IP:PORT", s)
	}
	return Address{Host: a.Addr().String(), Port: uint32(a.Port())}, nil
}

func (a Address) String() string {
	if a.Path != "" {
		return "unix://" + a.Path
	}
	return netip.AddrPortFrom(netip.MustParseAddr(a.Host), uint16(a.Port)).String()
}

// endpoint is the part of an upstream's URL that a cluster needs.
type endpoint struct {
	host string
	port uint32
	tls  bool
}

func (u Upstream) endpoint() (endpoint, error) {
	parsed, err := url.Parse(u.URL)
	if err != nil || parsed.Hostname() == "" {
		return endpoint{}, fmt.Errorf("deployment %s: %q is not a URL with a host", u.Deployment, u.URL)
	}
	e := endpoint{host: parsed.Hostname(), tls: parsed.Scheme == "https"}
	if !e.tls && parsed.Scheme != "http" {
		return endpoint{}, fmt.Errorf("deployment %s: scheme %q: only http and https lead to a provider", u.Deployment, parsed.Scheme)
	}
	e.port = 80
	if e.tls {
		e.port = 443
	}
	if p := parsed.Port(); p != "" {
		if _, err := fmt.Sscanf(p, "%d", &e.port); err != nil || e.port == 0 || e.port > 65535 {
			return endpoint{}, fmt.Errorf("deployment %s: port %q is not 1 to 65535", u.Deployment, p)
		}
	}
	return e, nil
}

// withDefaults fills what was left out.
func (in Input) withDefaults() Input {
	if in.Version == 0 {
		in.Version = Default
	}
	if in.MaxBody == 0 {
		in.MaxBody = 100 << 20
	}
	if in.MessageTimeout == 0 {
		in.MessageTimeout = 10 * time.Second
	}
	if in.QueueTimeout == 0 {
		in.QueueTimeout = 30 * time.Second
	}
	if len(in.IdleTimeouts) == 0 {
		in.IdleTimeouts = []time.Duration{10 * time.Minute}
	}
	return in
}
