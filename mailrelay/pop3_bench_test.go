package mailrelay

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"postern/mailrelay/spool"
)

// benchPOP3 runs commands on a mailbox of 10,000 messages, log-in and QUIT
// included, over loopback TCP.
func benchPOP3(b *testing.B, commands string, dots int) {
	s, err := spool.Open(b.TempDir(), spool.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	body := "Subject: x\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 30)
	for i := range 10_000 {
		if _, err := s.Deliver("alice", spool.Source{Upstream: "isp", UID: fmt.Sprint(i)}, strings.NewReader(body)); err != nil {
			b.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &POP3Server{Spool: s, Accounts: testAccounts(), Log: slog.New(slog.DiscardHandler)}
	done := make(chan error, 1)
	go func() { done <- server.Serve(b.Context(), l) }()
	b.ReportAllocs()
	for b.Loop() {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		fmt.Fprintf(conn, "USER alice\r\nPASS %s\r\n%sQUIT\r\n", alicePassword, commands)
		out, err := io.ReadAll(bufio.NewReaderSize(conn, 64<<10))
		conn.Close()
		if got := bytes.Count(out, []byte("\n.\r\n")); err != nil || got != dots {
			b.Fatalf("%d lists in %d octets, %v", got, len(out), err)
		}
	}
	b.StopTimer()
	l.Close()
	<-done
}

func BenchmarkPOP3ListOf10000(b *testing.B) { benchPOP3(b, "LIST\r\n", 1) }
func BenchmarkPOP3UIDLOf10000(b *testing.B) { benchPOP3(b, "UIDL\r\n", 1) }

// BenchmarkPOP3RetrieveAllOf10000 is what a client does that keeps nothing.
func BenchmarkPOP3RetrieveAllOf10000(b *testing.B) {
	var commands strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&commands, "RETR %d\r\n", i+1)
	}
	benchPOP3(b, commands.String(), 10_000)
}

// BenchmarkSendLines is the byte-stuffing alone.
func BenchmarkSendLines(b *testing.B) {
	message := []byte(strings.Repeat(strings.Repeat("x", 74)+"\r\n", 100_000))
	b.SetBytes(int64(len(message)))
	for b.Loop() {
		if err := sendLines(bufio.NewWriterSize(io.Discard, 16<<10), bufio.NewReaderSize(bytes.NewReader(message), 16<<10), -1); err != nil {
			b.Fatal(err)
		}
	}
}
