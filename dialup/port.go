package dialup

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// Port is the way to a modem: a serial device, a pty, or a socket. Read may
// return 0, nil when a time-out of its own has passed. Close must end a Read
// and a Write that are under way, a Write held up by flow control included.
type Port interface {
	io.ReadWriteCloser
}

// modemLines is what a Port with V.24 circuits can do besides; sockets and
// ptys cannot.
type modemLines interface {
	SetDTR(on bool) error
	// DCD is the data carrier detect circuit; known is false when the port
	// cannot tell.
	DCD() (on, known bool)
}

// outputQueue is a Port that can tell how many bytes it has taken and not yet
// given to the modem.
type outputQueue interface {
	OutputWaiting() (bytes int, known bool)
}

// errGone says that the port itself has failed; the modem has to be opened anew.
var errGone = errors.New("the port of the modem is gone")

// wire moves bytes between a Port and the one loop that owns the line. Its
// goroutines hold nothing but the chunk they move.
type wire struct {
	port Port
	// in carries what was read. A chunk is valid until the next receive. It is
	// closed when the port has failed, and then err says why.
	in  chan []byte
	err error
	// wrote answers each start.
	wrote chan error
	// busy is whether a started write has not been answered yet; it belongs to
	// the loop.
	busy bool

	out     chan []byte
	closing chan struct{}
	joined  sync.WaitGroup
}

// chunkSize bounds one read: an eighth of a second at 33,600 bit/s, so that a
// burst from a socket does not hold the loop.
const chunkSize = 2048

func newWire(port Port) *wire {
	w := &wire{
		port:    port,
		in:      make(chan []byte),
		wrote:   make(chan error, 1),
		out:     make(chan []byte, 1),
		closing: make(chan struct{}),
	}
	w.joined.Go(w.read)
	w.joined.Go(w.write)
	return w
}

// read alternates between two buffers: the unbuffered channel guarantees that
// the loop is done with one when it takes the other.
func (w *wire) read() {
	defer close(w.in)
	var buffers [2][chunkSize]byte
	for i := 0; ; i = 1 - i {
		n, err := w.port.Read(buffers[i][:])
		if n > 0 {
			select {
			case w.in <- buffers[i][:n]:
			case <-w.closing:
				return
			}
		}
		if err != nil {
			w.err = fmt.Errorf("%w: %w", errGone, err)
			return
		}
		select {
		case <-w.closing:
			return
		default:
		}
	}
}

func (w *wire) write() {
	for chunk := range w.out {
		_, err := w.port.Write(chunk)
		if err != nil {
			err = fmt.Errorf("%w: %w", errGone, err)
		}
		w.wrote <- err
	}
}

// start gives p to the writer, who owns it until wrote is answered. The wire
// must not be busy.
func (w *wire) start(p []byte) {
	w.busy = true
	w.out <- p
}

// close ends both goroutines and the port.
func (w *wire) close() error {
	close(w.closing)
	close(w.out)
	err := w.port.Close()
	w.joined.Wait()
	return err
}
