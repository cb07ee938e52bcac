package ppp

import (
	"encoding/binary"
	"fmt"
	"time"
)

// alive notes that the peer is there.
func (s *Session) alive() { s.heardAt, s.goodAt, s.echoes = s.now, s.now, 0 }

// noiseLimit is how long frames that are all spoiled pass for a peer.
const noiseLimit = time.Minute

// spoiled notes a frame with a wrong FCS. On a noisy line it shows that somebody sends
// as well as a good one would; but a modem without carrier may send garbage for ever.
func (s *Session) spoiled() {
	if !s.setupBy.IsZero() {
		s.pace.spoiled = s.now
	}
	if s.now.Sub(s.goodAt) < noiseLimit {
		s.heardAt, s.echoes = s.now, 0
	}
}

// echoTimer returns when the silence of the line has lasted long enough to ask; zero for never.
func (s *Session) echoTimer() time.Time {
	if s.lcp.state != opened || s.phase >= phaseTerminate || s.cfg.EchoInterval < 0 {
		return time.Time{}
	}
	return s.heardAt.Add(s.echoInterval() * time.Duration(s.echoes+1))
}

// echoInterval is the configured one, stretched so that the last Echo-Request has, besides the
// silence that is allowed, time for a full frame before it and one before its answer.
func (s *Session) echoInterval() time.Duration {
	return s.cfg.EchoInterval + 2*airtime(fullFrame, s.cfg.LineRate)/time.Duration(s.cfg.EchoFailures+1)
}

// echo asks a silent peer whether it is still there.
func (s *Session) echo() {
	t := s.echoTimer()
	if t.IsZero() || s.now.Before(t) {
		return
	}
	if s.echoes >= s.cfg.EchoFailures {
		s.blame(Reason{Line, CodeEchoTimeout, fmt.Sprintf("the line is dead: nothing has come from %s for %v",
			s.them(), s.now.Sub(s.heardAt).Round(time.Second))})
		s.die()
		return
	}
	s.echoes++
	s.sendEcho()
}

// sendEcho sends an Echo-Request. It is of 8 octets exactly: NT 3.5 hangs on any other (Q128977).
func (s *Session) sendEcho() (id byte) {
	s.echoID++
	s.send(protoLCP, packet{codeEchoRequest, s.echoID, s.link.magicNow()})
	return s.echoID
}

// ours reports whether an LCP packet is one of our Echoes that the line hands back; it
// shows nothing of the peer. A modem that has dropped to command mode does that.
func (l *lcpLayer) ours(p packet) bool {
	if p.code < codeEchoRequest || p.code > codeDiscardRequest || len(p.data) < 4 || l.refused[lcpMagic] {
		return false
	}
	return binary.BigEndian.Uint32(p.data) == l.magic
}
