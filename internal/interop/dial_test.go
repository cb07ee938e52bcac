//go:build interop

package interop

import (
	"bufio"
	"io"
	"strings"
	"testing"
)

func TestGuestDialsByChatAndSaysHowPppdEnded(t *testing.T) {
	computer, cable := serialCable(t)
	g := bootGuest(t, map[string]guestFile{
		"/cases/dial": {0o644, []byte(". /lib.sh\ndial 5550100 user alice\n")},
		"/etc/x":      {0o644, []byte("\x00\xff NO CARRIER\n")},
	}, computer)
	modem, err := cable.Accept()
	if err != nil {
		t.Fatal(err)
	}
	dialled := make(chan string, 1)
	go func() {
		r := bufio.NewReader(modem)
		for {
			line, err := r.ReadString('\r')
			if err != nil {
				return
			}
			if n, ok := strings.CutPrefix(line, "ATDT"); ok {
				dialled <- strings.TrimSpace(n)
				io.WriteString(modem, "\r\nBUSY\r\n")
				continue
			}
			io.WriteString(modem, "\r\nOK\r\n")
		}
	}()
	r := g.run(t, "dial", nil)
	if n := <-dialled; n != "5550100" || r.status != "1" || !r.says("exit 8") {
		t.Errorf("dialled %q, result %+v", n, r)
	}
	if got := g.get(t, "/etc/x"); string(got) != "\x00\xff NO CARRIER\n" {
		t.Errorf("file came as %q", got)
	}
	modem.Close()
}
