package mailrelay

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"postern/mailrelay/spool"
)

// FuzzPOP3Line checks the bounds of a line and that no octet gets lost between
// lines.
func FuzzPOP3Line(f *testing.F) {
	for _, seed := range []string{"", "\n", "\r\n", "STAT\r\n", "PASS a b \r\nQUIT\n", "\r\r\n\x00", strings.Repeat("a", 600) + "\r\nNOOP\r\n", strings.Repeat("b", 70000)} {
		f.Add([]byte(seed), 512)
	}
	f.Fuzz(func(t *testing.T, in []byte, limit int) {
		r := bufio.NewReaderSize(bytes.NewReader(in), 4096)
		rest := in
		for {
			line, err := readLine(r, limit)
			end := bytes.IndexByte(rest, '\n') + 1
			switch err {
			case nil:
				if end == 0 || !bytes.Equal(line, bytes.TrimSuffix(rest[:end-1], []byte{'\r'})) || end > limit {
					t.Fatalf("line %q of %q, limit %d", line, rest, limit)
				}
				parsePOP3(line)
			case errPOP3LineTooLong:
				if end <= limit {
					t.Fatalf("%q is called too long for %d", rest[:end], limit)
				}
			case errPOP3LineEndless:
				if len(rest) < maxPOP3Junk {
					t.Fatalf("%d octets are called endless", len(rest))
				}
				return
			default:
				if err != io.EOF {
					t.Fatal(err)
				}
				return
			}
			rest = rest[end:]
		}
	})
}

// FuzzPOP3Session feeds a whole connection: whatever comes, the server answers
// in lines, does not panic, and deletes nothing unless QUIT was said.
func FuzzPOP3Session(f *testing.F) {
	const login = "USER alice\r\nPASS x\r\n"
	for _, seed := range []string{
		"CAPA\r\nAUTH\r\nQUIT\r\n",
		login + "STAT\r\nLIST\r\nUIDL\r\nRETR 1\r\nTOP 1 0\r\nDELE 1\r\nRSET\r\nQUIT\r\n",
		login + "DELE 1\r\n",
		"AUTH PLAIN AGFsaWNlAHg=\r\nTOP 1 999999999\r\nDELE 1\r\nQUIT\r\n",
		"AUTH LOGIN\r\nYWxpY2U=\r\neA==\r\nLIST 1\r\n",
		"APOP alice 00\r\nPASS\r\nUSER \r\n\r\n\x00\xff\r\n",
	} {
		f.Add([]byte(seed))
	}
	s := testSpool(f)
	accounts := AccountList{{User: "alice", Password: func() string { return "x" }}}
	server := &POP3Server{Spool: s, Accounts: accounts, Hostname: "h", Log: slog.New(slog.DiscardHandler)}
	f.Fuzz(func(t *testing.T, in []byte) {
		if ms, err := s.Messages("alice"); err != nil {
			t.Fatal(err)
		} else if len(ms) == 0 {
			if _, err := s.Deliver("alice", spool.Source{}, strings.NewReader("A: b\r\n\r\n.c\r\n")); err != nil {
				t.Fatal(err)
			}
		}
		conn := &scripted{in: bytes.NewReader(in)}
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // or wrong log-ins would cost real time
		server.serveConn(ctx, conn)
		out := conn.out.String()
		if !strings.HasPrefix(out, "+OK") || !strings.HasSuffix(out, "\r\n") {
			t.Fatalf("%q was answered by %q", in, out)
		}
		if ms, _ := s.Messages("alice"); len(ms) == 0 && !bytes.Contains(bytes.ToUpper(in), []byte("QUIT")) {
			t.Fatalf("%q deleted mail", in)
		}
	})
}

// scripted is a connection whose far end has said all it will ever say.
type scripted struct {
	net.Conn
	in  io.Reader
	out strings.Builder
}

func (s *scripted) RemoteAddr() net.Addr        { return &net.TCPAddr{} }
func (s *scripted) Close() error                { return nil }
func (s *scripted) Read(p []byte) (int, error)  { return s.in.Read(p) }
func (s *scripted) Write(p []byte) (int, error) { return s.out.Write(p) }
