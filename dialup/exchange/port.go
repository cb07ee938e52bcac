package exchange

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrInUse is what the second DTE of a modem gets.
var ErrInUse = errors.New("another program has the modem's port open: close that one first")

// ErrUnplugged is what the DTE of a modem that vanished gets.
var ErrUnplugged = errors.New("the modem is not there: is it plugged in?")

// Port is the computer's (DTE) side of a modem: its serial port, with RTS/CTS
// flow control. One goroutine may read while another writes.
type Port struct {
	m *Modem

	reads, writes  chan struct{} // hold a token while a Read or a Write is on
	reader, writer alarm         // wake them

	// Guarded by the Exchange's mutex.
	fault error // why the port is of no use any more
	held  bool  // a Write waits for the far end's DTE to read
}

// Open connects a computer to the modem and raises DTR. The error wraps
// ErrInUse or ErrUnplugged.
func (m *Modem) Open() (*Port, error) {
	m.x.mu.Lock()
	defer m.x.mu.Unlock()
	switch {
	case m.gone:
		return nil, fmt.Errorf("modem %s: %w", m.number, ErrUnplugged)
	case m.port != nil:
		return nil, fmt.Errorf("modem %s: %w", m.number, ErrInUse)
	}
	m.port = newPort(m)
	m.rx, m.dtr = nil, true
	return m.port, nil
}

// Port is Open for a caller that looks at errors later: if the modem can not
// be opened, every operation on the Port says why.
func (m *Modem) Port() *Port {
	p, err := m.Open()
	if err != nil {
		p = newPort(m)
		p.fault = err
	}
	return p
}

func newPort(m *Modem) *Port {
	return &Port{
		m:     m,
		reads: make(chan struct{}, 1), writes: make(chan struct{}, 1),
		reader: newAlarm(), writer: newAlarm(),
	}
}

// alarm wakes one Read or one Write: by its channel, or when its time is up.
// The timer is kept, for a steady stream sleeps hundreds of times a second.
type alarm struct {
	ring  chan struct{}
	timer *time.Timer
}

func newAlarm() alarm {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return alarm{make(chan struct{}, 1), t}
}

func (a alarm) wake() {
	select {
	case a.ring <- struct{}{}:
	default:
	}
}

// sleep waits until woken or until d has passed; a negative d is for ever.
func (a alarm) sleep(d time.Duration) {
	if d < 0 {
		<-a.ring
		return
	}
	a.timer.Reset(d)
	select {
	case <-a.ring:
		a.timer.Stop()
	case <-a.timer.C:
	}
}

func (p *Port) wakeReader() { p.reader.wake() }
func (p *Port) wakeWriter() { p.writer.wake(); p.held = false }

// Read reads what the modem says, and during a call what the other modem
// sends. It blocks until there is something. After Close it returns
// io.ErrClosedPipe, and io.EOF when the modem has vanished.
func (p *Port) Read(b []byte) (int, error) {
	p.reads <- struct{}{}
	defer func() { <-p.reads }()
	for {
		n, wait, err := p.read(b)
		if n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
		p.reader.sleep(wait)
	}
}

func (p *Port) read(b []byte) (n int, wait time.Duration, err error) {
	m := p.m
	m.x.mu.Lock()
	defer m.x.mu.Unlock()
	if p.fault != nil {
		return 0, 0, p.fault
	}
	if len(m.rx) > 0 {
		n = copy(b, m.rx)
		m.rx = m.rx[:copy(m.rx, m.rx[n:])]
		return n, 0, nil
	}
	if m.state != online {
		return 0, -1, nil // the line's bytes wait while the modem takes commands
	}
	now := time.Now()
	if n = m.take(now, b); n > 0 {
		return n, 0, nil
	}
	return 0, m.in.next(now), nil
}

// Write gives bytes to the modem: commands, or during a call data. It blocks
// while the modem's buffer is full, so it returns when all but the last
// Config.Buffer bytes have gone down the line. The error is io.ErrClosedPipe
// after Close and wraps ErrUnplugged when the modem has vanished.
func (p *Port) Write(b []byte) (int, error) {
	p.writes <- struct{}{}
	defer func() { <-p.writes }()
	waited := false
	for done := 0; ; {
		n, wait, err := p.write(b[done:], waited)
		done += n
		if err != nil || done == len(b) {
			return done, err
		}
		if n == 0 {
			p.writer.sleep(wait)
			waited = wait > 0
		}
	}
}

func (p *Port) write(b []byte, waited bool) (n int, wait time.Duration, err error) {
	m := p.m
	m.x.mu.Lock()
	defer m.x.mu.Unlock()
	if err = p.fault; err != nil {
		if err == io.EOF {
			err = fmt.Errorf("modem %s: %w", m.number, ErrUnplugged)
		}
		return 0, 0, err
	}
	now := time.Now()
	n, wait = m.accept(now, b, waited)
	p.held = wait < 0
	return n, wait, nil
}

// Close lowers DTR and gives the modem free for the next Open. It always ends
// the call, whatever &D says: nobody is left who could.
func (p *Port) Close() error {
	m := p.m
	m.x.mu.Lock()
	defer m.x.mu.Unlock()
	if p.fault != nil {
		return nil
	}
	m.hangUp(time.Now())
	m.unplug(io.ErrClosedPipe)
	return nil
}

// unplug takes the port from the modem; its operations return why.
func (m *Modem) unplug(why error) {
	if m.port == nil {
		return
	}
	m.port.fault = why
	m.port.wakeReader()
	m.port.wakeWriter()
	m.port, m.dtr, m.rx = nil, false, nil
}

// SetDTR raises or lowers Data Terminal Ready. Lowering it does what AT&D says.
// The error wraps errors.ErrUnsupported where ports know no modem lines.
func (p *Port) SetDTR(on bool) error {
	m := p.m
	m.x.mu.Lock()
	defer m.x.mu.Unlock()
	switch {
	case p.fault != nil:
		return p.fault
	case m.noLines:
		return fmt.Errorf("modem %s: this port has no DTR: %w", m.number, errors.ErrUnsupported)
	}
	if m.dtr && !on {
		m.lowerDTR(time.Now())
	}
	m.dtr = on
	return nil
}

// DCD says whether the modem has carrier, and whether the port knows that.
func (p *Port) DCD() (on, known bool) {
	p.m.x.mu.Lock()
	defer p.m.x.mu.Unlock()
	if p.fault != nil || p.m.noLines {
		return false, false
	}
	return p.m.carrier(), true
}

// OutputWaiting is how many of the bytes written the line has not carried.
func (p *Port) OutputWaiting() (int, bool) {
	p.m.x.mu.Lock()
	defer p.m.x.mu.Unlock()
	if p.fault != nil || p.m.out == nil {
		return 0, p.fault == nil
	}
	return p.m.out.waiting(time.Now()), true
}
