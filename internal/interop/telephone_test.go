//go:build interop

package interop

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/dialup/exchange"
)

// guestNumber is the telephone of the guest; boxes have others.
const guestNumber = "5550199"

// telephone is the network between the guest, the boxes, and whoever else
// has a modem. Its lines are fast, so that the tests are about the bytes.
type telephone struct{ x *exchange.Exchange }

func newTelephone() telephone {
	return telephone{exchange.New(exchange.Config{
		Rate: 230400, Delay: 5 * time.Millisecond, NoLines: true,
		RingOn: 500 * time.Millisecond, RingOff: 500 * time.Millisecond,
	})}
}

// serve plugs a listener into the modem with the number until the test ends.
func (p telephone) serve(t *testing.T, number string, l net.Listener) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := exchange.ServeTCP(ctx, l, p.x.Modem(number)); err != nil {
			t.Errorf("modem %s: %v", number, err)
		}
	})
	t.Cleanup(func() {
		cancel()
		done.Wait()
	})
}

// line gives the box behind number a modem on a socket, and returns the value
// for its configuration's port.
func (p telephone) line(t *testing.T, number string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.serve(t, number, l)
	return "tcp://" + l.Addr().String()
}

// cable gives the guest its modem.
func (p telephone) cable(t *testing.T) *os.File {
	t.Helper()
	computer, modem := serialCable(t)
	p.serve(t, guestNumber, modem)
	return computer
}

// dial calls number from a modem of its own and returns when the modems are
// connected: from then on what is written goes down the line.
func (p telephone) dial(t *testing.T, from, number string) io.ReadWriteCloser {
	t.Helper()
	port, err := p.x.Modem(from).Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { port.Close() })
	stop := time.AfterFunc(eventLimit, func() { port.Close() })
	defer stop.Stop()
	if _, err := io.WriteString(port, "ATE0DT"+number+"\r"); err != nil {
		t.Fatal(err)
	}
	var heard strings.Builder
	one := make([]byte, 1)
	for {
		if _, err := io.ReadFull(port, one); err != nil {
			t.Fatalf("dialling %s: %v after %q", number, err, heard.String())
		}
		heard.Write(one)
		if s := heard.String(); one[0] == '\n' && strings.Contains(s, "CONNECT") {
			return port
		} else if strings.Contains(s, "NO ") || strings.Contains(s, "BUSY") {
			t.Fatalf("dialling %s: %q", number, s)
		}
	}
}
