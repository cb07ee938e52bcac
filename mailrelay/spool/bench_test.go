package spool

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

const benchBody = 4 << 10

// BenchmarkAccept is the rate of durably accepted messages of 4 KiB, by one
// session and by many at once.
func BenchmarkAccept(b *testing.B) {
	for _, sessions := range []int{1, 16} {
		b.Run(fmt.Sprint(sessions), func(b *testing.B) {
			s, err := Open(b.TempDir(), Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			var sent atomic.Int64 // the same message would be taken for a resend
			body := "\r\n\r\n" + strings.Repeat("x", benchBody)
			b.SetParallelism(sessions)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					body := fmt.Sprintf("Message-ID: <%d>", sent.Add(1)) + body
					if _, err := s.Accept(Envelope{User: "alice", From: "a@b", To: []string{"c@d"}}, strings.NewReader(body)); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// BenchmarkLoadMailboxOf10000 is the first touch of a mailbox after a start.
func BenchmarkLoadMailboxOf10000(b *testing.B) {
	dir := b.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		b.Fatal(err)
	}
	for i := range 10_000 {
		if _, err := s.Deliver("alice", Source{"isp", fmt.Sprint(i)}, strings.NewReader("Subject: x\r\n\r\n")); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		s.boxes = map[string]*mailbox{}
		if _, err := s.Messages("alice"); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	s.Close()
}
