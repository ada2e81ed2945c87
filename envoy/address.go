package envoy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// Address is a TCP address or a Unix socket.
type Address struct {
	Host string // IP, or a host name where Envoy connects and does not listen
	Port uint32
	Path string // of a Unix socket; wins over Host and Port
}

// ParseAddress reads an address to listen at: "IP:PORT", ":PORT" or
// "unix:///path".
func ParseAddress(s string) (Address, error) {
	if path, ok := strings.CutPrefix(s, "unix://"); ok {
		return socket(path)
	}
	text := s
	if strings.HasPrefix(text, ":") {
		text = "0.0.0.0" + text
	}
	if port, ok := strings.CutPrefix(text, "localhost:"); ok {
		text = "127.0.0.1:" + port
	}
	a, err := netip.ParseAddrPort(text)
	if err != nil || a.Addr().Zone() != "" {
		return Address{}, fmt.Errorf("%q is no address: say unix:///path or IP:PORT", s)
	}
	return Address{Host: a.Addr().String(), Port: uint32(a.Port())}, nil
}

// ParseTarget reads an address to connect to: as ParseAddress, and "NAME:PORT".
func ParseTarget(s string) (Address, error) {
	if a, err := ParseAddress(s); err == nil || strings.HasPrefix(s, "unix://") {
		return a, err
	}
	name, port, err := net.SplitHostPort(s)
	if err != nil {
		return Address{}, fmt.Errorf("%q is no address: say unix:///path, IP:PORT or NAME:PORT", s)
	}
	host, err := asciiHost(name)
	if err != nil {
		return Address{}, fmt.Errorf("%q: %w", s, err)
	}
	n, err := parsePort(port)
	if err != nil {
		return Address{}, fmt.Errorf("%q: %w", s, err)
	}
	return Address{Host: host, Port: n}, nil
}

// ParseTargets reads the addresses of one service, with commas between, each as
// ParseTarget does. A socket stands alone: what is behind it is on this machine.
func ParseTargets(s string) ([]Address, error) {
	var out []Address
	for one := range strings.SplitSeq(s, ",") {
		a, err := ParseTarget(strings.TrimSpace(one))
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	if len(out) > 1 && slices.ContainsFunc(out, func(a Address) bool { return a.Path != "" }) {
		return nil, fmt.Errorf("%q: a socket is the one address of its service", s)
	}
	return out, nil
}

// maxSocketPath is what the kernels take of a socket's path, in bytes.
const maxSocketPath = 103

func socket(path string) (Address, error) {
	switch {
	case !strings.HasPrefix(path, "/"):
		return Address{}, fmt.Errorf("%q: a socket is named by its whole path, as unix:///run/isthmus.sock", "unix://"+path)
	case len(path) > maxSocketPath:
		return Address{}, fmt.Errorf("the socket path %s is longer than the %d bytes that a kernel takes", path, maxSocketPath)
	}
	return Address{Path: path}, nil
}

// named reports whether the address must be looked up.
func (a Address) named() bool {
	_, err := netip.ParseAddr(a.Host)
	return a.Path == "" && err != nil
}

func (a Address) String() string {
	if a.Path != "" {
		return "unix://" + a.Path
	}
	return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port)))
}

// endpoint is the part of an upstream's URL that a cluster needs.
type endpoint struct {
	host string // IP or name, in lower case and ASCII
	port uint32
	tls  bool
}

// parseEndpoint reads scheme, host and port of a URL. Errors name the deployment
// and never the URL's user or query, which may hold a key.
func (u Upstream) parseEndpoint() (endpoint, error) {
	fail := func(err error) (endpoint, error) {
		return endpoint{}, fmt.Errorf("deployment %s: %w", u.Deployment, err)
	}
	parsed, err := url.Parse(u.URL)
	if err != nil || parsed.Hostname() == "" {
		return fail(errors.New("its api_base is not a URL with a host"))
	}
	e := endpoint{tls: parsed.Scheme == "https", port: 80}
	if !e.tls && parsed.Scheme != "http" {
		return fail(fmt.Errorf("scheme %q: only http and https lead to a provider", parsed.Scheme))
	}
	if e.host, err = asciiHost(parsed.Hostname()); err != nil {
		return fail(err)
	}
	if e.tls {
		e.port = 443
	}
	if p := parsed.Port(); p != "" {
		if e.port, err = parsePort(p); err != nil {
			return fail(err)
		}
	}
	return e, nil
}

// asciiHost is a host name as DNS, SNI and certificates have it: bücher.example
// is xn--bcher-kva.example there. IPs get their usual spelling.
func asciiHost(host string) (string, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.Zone() != "" {
			return "", fmt.Errorf("host %q: Envoy takes no zone in an IPv6 address", host)
		}
		return ip.String(), nil
	}
	name := strings.TrimSuffix(strings.ToLower(host), ".")
	if ascii(name) {
		// Names of containers have underscores, which the lookup profile refuses.
		if name == "" || strings.ContainsFunc(name, notOfName) {
			return "", fmt.Errorf("host %q is not a host name", host)
		}
		return name, nil
	}
	out, err := idna.Lookup.ToASCII(name)
	if err != nil {
		return "", fmt.Errorf("host %q is not a host name: %w", host, err)
	}
	return out, nil
}

// notOfName reports whether a character is in no host name. None that is in one means
// anything in an :authority.
func notOfName(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("-._", c)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func parsePort(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("port %q is not 1 to 65535", s)
	}
	return uint32(n), nil
}
