package dialup

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestNoCarrierIsTakenForLossOfTheCarrierOnlyWhenItIsOne(t *testing.T) {
	const none = time.Duration(0)
	for _, test := range []struct {
		name, stream string
		want         time.Duration // until it is believed
	}{
		{"between frames", "~abc~\r\nNO CARRIER\r\n", silenceBetweenFrames},
		{"without PPP before", "\r\nNO CARRIER\r\n", silenceBetweenFrames},
		{"without a leading line end", "~abc~NO CARRIER\r\n", silenceBetweenFrames},
		{"cuts a frame off", "~abc~\xff\x03!E\x00\x05\r\nNO CARRIER\r\n", silenceWithinFrame},
		{"cuts a long frame off", "~" + strings.Repeat("x", 1400) + "\r\nNO CARRIER\r\n", silenceWithinFrame},
		{"with the next caller behind it", "~a~\r\nNO CARRIER\r\n\r\nRING\r\n\r\nNMBR = 5550100\r\n", silenceBetweenFrames},
		{"not ended", "~abc~\r\nNO CARRIER", none},
		{"in a frame", "~abc\r\nNO CARRIER\r\nmore~", none},
		{"at the end of a frame", "~abc\r\nNO CARRIER\r\n\x12\x34~", none},
		{"before the rest of a frame", "~abc\r\nNO CARRIER\r\nDear Bob,\r\n", none},
		{"within a line of a frame", "~abc he said NO CARRIER\r\n", none},
		{"repeated in a frame", "~abc\r\nNO CARRIER\r\nNO CARRIER\r\n", none},
		{"frames again", "~abc~\r\nNO CARRIER\r\n~abc~", none},
		{"other words", "~abc~\r\nNO CARROT\r\n", none},
	} {
		for piece := 1; piece <= len(test.stream); piece++ {
			var w carrierWatch
			now := time.Unix(1000, 0)
			for chunk := range slices.Chunk([]byte(test.stream), piece) {
				now = now.Add(time.Millisecond)
				w.feed(now, chunk)
			}
			got := none
			if !w.believeAt.IsZero() {
				got = w.believeAt.Sub(now)
			}
			if got != test.want {
				t.Fatalf("%s, in pieces of %d: believed after %v, want %v", test.name, piece, got, test.want)
			}
		}
	}
}

func TestTheRingBehindNoCarrierIsKept(t *testing.T) {
	var w carrierWatch
	w.feed(time.Unix(1000, 0), []byte("~a~\r\nNO CARRIER\r\n\r\nRING\r\n"))
	var s lineScanner
	s.feed(w.results)
	if r, _ := s.next(); r.code != ring {
		t.Fatalf("behind NO CARRIER came %+v", r)
	}
}

func TestTheWatchKeepsLittle(t *testing.T) {
	var w carrierWatch
	for range 100 {
		w.feed(time.Unix(1000, 0), []byte(strings.Repeat("x", chunkSize)))
	}
	if len(w.tail) > watchedTail || cap(w.tail) > 2*(watchedTail+chunkSize) {
		t.Fatalf("%d of %d octets kept", len(w.tail), cap(w.tail))
	}
}

func FuzzCarrierWatch(f *testing.F) {
	for _, seed := range []string{"~abc~\r\nNO CARRIER\r\n", "~abc\r\nNO CARRIER\r\nmore~", "NO CARRIER\r\nRING\r\n~", "\r\nNO CARRIER"} {
		f.Add([]byte(seed), byte(3))
	}
	f.Fuzz(func(t *testing.T, stream []byte, piece byte) {
		var whole, cut carrierWatch
		now := time.Unix(1000, 0)
		whole.feed(now, stream)
		for chunk := range slices.Chunk(stream, int(piece)+1) {
			cut.feed(now, chunk)
		}
		if whole.believeAt != cut.believeAt {
			t.Fatalf("whole %v, cut %v", whole.believeAt, cut.believeAt)
		}
		if n := len(stream); !whole.believeAt.IsZero() && !isLineEnd(stream[n-1]) {
			t.Fatal("believed without a line end")
		}
	})
}
