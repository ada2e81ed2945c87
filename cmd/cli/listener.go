package cli

import (
	"net"
	"sync"
	"sync/atomic"
)

// maxConnections is how many connections to the service's port are open at most.
// Each worker thread of an Envoy has one.
const maxConnections = 8192

// limitConnections closes accepted connections beyond maxConnections at once; those
// that are open go on.
func limitConnections(l net.Listener) net.Listener { return &limitedListener{Listener: l} }

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
			return &limitedConn{Conn: c, release: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
		}
		l.open.Add(-1)
		_ = c.Close()
	}
}

type limitedConn struct {
	net.Conn
	release func() // idempotent
}

func (c *limitedConn) Close() error {
	c.release()
	return c.Conn.Close()
}
