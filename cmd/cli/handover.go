package cli

import (
	"net"
	"sync"
)

// handover gives the connections of a port to one server after another: each listens
// by a listener of its own, whose end leaves the port open. It is safe for concurrent
// use.
type handover struct {
	port   net.Listener
	closed chan struct{}
	close  func() // idempotent

	mu      sync.Mutex
	current *handoverListener // gets what is accepted
}

// handoverListener is the listener of one server.
type handoverListener struct {
	handover *handover
	accepted chan acceptance
	replaced chan struct{} // closed when another listener gets the connections
	closed   chan struct{}
	close    func() // idempotent
}

// acceptance is what accepting a connection came to.
type acceptance struct {
	conn net.Conn
	err  error
}

// newHandover owns the port until close. listen must be called before run.
func newHandover(port net.Listener) *handover {
	h := &handover{port: port, closed: make(chan struct{})}
	h.close = sync.OnceFunc(func() {
		close(h.closed)
		_ = port.Close()
	})
	return h
}

// listen returns the listener that gets all connections from now on. The one before
// gets none any more.
func (h *handover) listen() net.Listener {
	l := &handoverListener{handover: h, accepted: make(chan acceptance), replaced: make(chan struct{}), closed: make(chan struct{})}
	l.close = sync.OnceFunc(func() { close(l.closed) })
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.current != nil {
		close(h.current.replaced)
	}
	h.current = l
	return l
}

// run accepts connections until close. A failure goes to the listener, whose server
// asks again if it may pass.
func (h *handover) run() error {
	for {
		c, err := h.port.Accept()
		if !h.give(acceptance{c, err}) {
			if err == nil {
				_ = c.Close()
			}
			return nil
		}
	}
}

// give hands over to the listener whose turn it is; false: there will be none.
func (h *handover) give(a acceptance) bool {
	for {
		h.mu.Lock()
		l := h.current
		h.mu.Unlock()
		select {
		case l.accepted <- a:
			return true
		case <-l.replaced:
		case <-h.closed:
			return false
		}
	}
}

func (l *handoverListener) Accept() (net.Conn, error) {
	select {
	case a := <-l.accepted:
		return a.conn, a.err
	case <-l.closed:
	case <-l.handover.closed:
	}
	return nil, net.ErrClosed
}

func (l *handoverListener) Addr() net.Addr { return l.handover.port.Addr() }

// Close ends this listener. The port stays open.
func (l *handoverListener) Close() error {
	l.close()
	return nil
}
