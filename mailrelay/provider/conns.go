package provider

import (
	"bytes"
	"net"
	"sync"
)

// tracked is a listener that can close all the connections it gave out, so
// that a session which waits for its customer ends with the provider.
type tracked struct {
	net.Listener
	p      *Provider
	mu     sync.Mutex
	closed bool
	conns  map[*wire]struct{}
}

func (p *Provider) track(l net.Listener) *tracked {
	return &tracked{Listener: l, p: p, conns: make(map[*wire]struct{})}
}

func (t *tracked) Accept() (net.Conn, error) {
	c, err := t.Listener.Accept()
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		c.Close()
		return nil, net.ErrClosed
	}
	w := &wire{Conn: c, of: t}
	t.conns[w] = struct{}{}
	return w, nil
}

func (t *tracked) closeConns() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for w := range t.conns {
		w.Conn.Close()
	}
}

// wire is the network between provider and customer, where somebody may sit
// who changes what passes in the clear.
type wire struct {
	net.Conn
	of      *tracked
	greeted bool
}

func (w *wire) Close() error {
	w.of.mu.Lock()
	delete(w.of.conns, w)
	w.of.mu.Unlock()
	return w.Conn.Close()
}

// Write hides the offer of STARTTLS by letters that mean nothing, as firewalls
// have done, or adds bytes behind the agreement to it.
func (w *wire) Write(b []byte) (int, error) {
	f, out := w.of.p.fault(), b
	if f.NoStartTLS {
		out = bytes.ReplaceAll(out, []byte("STARTTLS"), []byte("XXXXXXXX"))
	}
	isGreeting := !w.greeted
	w.greeted = true
	if f.Injected != "" && !isGreeting && (bytes.HasPrefix(b, []byte("220 ")) || bytes.HasPrefix(b, []byte("+OK begin TLS"))) {
		out = append(bytes.Clone(out), f.Injected...)
	}
	if _, err := w.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}
