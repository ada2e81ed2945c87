package cli

import (
	"net"
	"sync"
	"sync/atomic"
)

// maxConnections is how many connections to the service's port are open at most.
// Each worker thread of an Envoy has one.
const maxConnections = 8192

// limited refuses the connections to a listener that are too many: they are closed
// at once, and those that are open go on.
func limited(l net.Listener) net.Listener { return &limitedListener{Listener: l} }

type limitedListener struct {
	net.Listener
	open atomic.Int64
}

func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= maxConnections {
			return &limitedConn{Conn: c, leave: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
		}
		l.open.Add(-1)
		_ = c.Close()
	}
}

type limitedConn struct {
	net.Conn
	leave func()
}

func (c *limitedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
