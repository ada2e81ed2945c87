package cli

import (
	"errors"
	"io"
	"net"
	"testing"
)

// handing is a handover of a port on loopback that runs until the test ends.
func handing(t *testing.T) *handover {
	t.Helper()
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return newHandover(port)
}

// greet accepts connections and says this in each, until its listener ends.
func greet(l net.Listener, word string) (ended <-chan error) {
	done := make(chan error, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				done <- err
				return
			}
			_, _ = io.WriteString(c, word)
			_ = c.Close()
		}
	}()
	return done
}

func greeting(t *testing.T, at net.Addr) string {
	t.Helper()
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	text, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestEveryConnectionGoesToTheNewestListener(t *testing.T) {
	h := handing(t)
	first := h.listen()
	firstEnded := greet(first, "first")
	ran := make(chan error, 1)
	go func() { ran <- h.run() }()
	for range 3 {
		if got := greeting(t, first.Addr()); got != "first" {
			t.Errorf("before: %s", got)
		}
	}
	second := h.listen()
	secondEnded := greet(second, "second")
	for range 20 {
		if got := greeting(t, first.Addr()); got != "second" {
			t.Errorf("after: %s", got)
		}
	}
	_ = first.Close()
	_ = first.Close() // again is no harm
	if err := <-firstEnded; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the first listener ended with %v", err)
	}
	if got := greeting(t, second.Addr()); got != "second" {
		t.Errorf("after the end of the first listener: %s", got)
	}
	h.close()
	if err := <-secondEnded; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the second listener ended with %v", err)
	}
	if err := <-ran; err != nil {
		t.Errorf("the port ended with %v", err)
	}
}

// TestAConnectionThatWaitsForAListenerIsGivenToTheNext: none is lost in between.
func TestAConnectionThatWaitsForAListenerIsGivenToTheNext(t *testing.T) {
	h := handing(t)
	first := h.listen() // whose server never accepts
	ran := make(chan error, 1)
	go func() { ran <- h.run() }()
	c, err := net.Dial("tcp", first.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	greet(h.listen(), "second")
	if text, err := io.ReadAll(c); err != nil || string(text) != "second" {
		t.Errorf("%q, %v", text, err)
	}
	h.close()
	<-ran
}

// failing is a port that fails.
type failing struct{ net.Listener }

func (failing) Accept() (net.Conn, error) { return nil, io.ErrUnexpectedEOF }
func (failing) Close() error              { return nil }

func TestAFailureOfThePortIsTheListeners(t *testing.T) {
	h := newHandover(failing{})
	l := h.listen()
	ran := make(chan error, 1)
	go func() { ran <- h.run() }()
	if _, err := l.Accept(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the listener says %v", err)
	}
	h.close()
	<-ran
}
