package ppp

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"time"
)

// Loss is what became of the packets that one end has sent, as far as reports tell. It only grows.
type Loss struct{ Sent, Lost uint64 }

// Percent is how much was lost, 0 to 100; 0 if nothing was sent.
func (l Loss) Percent() float64 {
	if l.Sent == 0 {
		return 0
	}
	return 100 * float64(l.Lost) / float64(l.Sent)
}

// Quality is what Link Quality Monitoring has found out.
type Quality struct {
	Reports uint64 // Link-Quality-Reports that came
	In, Out Loss   // from the peer and to it, going by the reports
	Echo    Loss   // Echo-Requests and those that were not answered, of a peer without reports
}

// report is a Link-Quality-Report, without its magic number, in the order of RFC 1989 section 2.6.
type report struct {
	LastOutLQRs, LastOutPackets, LastOutOctets uint32

	PeerInLQRs, PeerInPackets, PeerInDiscards, PeerInErrors, PeerInOctets uint32

	PeerOutLQRs, PeerOutPackets, PeerOutOctets uint32
}

const reportLen = 48 // octets, with the magic number

func (r *report) fields() [11]*uint32 {
	return [...]*uint32{
		&r.LastOutLQRs, &r.LastOutPackets, &r.LastOutOctets,
		&r.PeerInLQRs, &r.PeerInPackets, &r.PeerInDiscards, &r.PeerInErrors, &r.PeerInOctets,
		&r.PeerOutLQRs, &r.PeerOutPackets, &r.PeerOutOctets,
	}
}

func (r report) append(dst []byte, magic []byte) []byte {
	dst = append(dst, magic...)
	for _, f := range r.fields() {
		dst = binary.BigEndian.AppendUint32(dst, *f)
	}
	return dst
}

func parseReport(b []byte) (magic uint32, r report, ok bool) {
	if len(b) != reportLen {
		return 0, r, false
	}
	for i, f := range r.fields() {
		*f = binary.BigEndian.Uint32(b[4+4*i:])
	}
	return binary.BigEndian.Uint32(b), r, true
}

const (
	// qualityUnit is what the Reporting-Period counts (RFC 1989 section 2.5).
	qualityUnit = 10 * time.Millisecond
	// minReporting is the shortest period that we report at: on a slow line reports must not be
	// the traffic.
	minReporting   = time.Second
	maxReporting   = time.Hour
	usualReporting = 10 * time.Second // for a peer that asks for some other quality protocol
)

// reporting is a Reporting-Period as one end asked for it in LCP's option 4: the other must send
// reports. With the period zero it must only answer each.
type reporting struct {
	wanted bool
	period time.Duration
}

func (r reporting) option() option {
	data := binary.BigEndian.AppendUint16(nil, protoLQR)
	return option{lcpQuality, binary.BigEndian.AppendUint32(data, uint32(r.period/qualityUnit))}
}

// reportingOf reads option 4; its wanted is false if that is no Link-Quality-Report's.
func reportingOf(o option) reporting {
	if len(o.data) != 6 || binary.BigEndian.Uint16(o.data) != protoLQR {
		return reporting{}
	}
	return reporting{true, time.Duration(binary.BigEndian.Uint32(o.data[2:])) * qualityUnit}
}

// agreeable returns the period that we would report at.
func (r reporting) agreeable() reporting {
	switch {
	case !r.wanted:
		r.period = usualReporting
	case r.period > 0:
		r.period = min(max(r.period, minReporting), maxReporting)
	}
	return reporting{true, r.period}
}

// reports is what the peer is asked for; nothing is wanted if it is zero.
func (c *Config) reports() reporting {
	if c.QualityInterval <= 0 {
		return reporting{}
	}
	return reporting{true, c.QualityInterval}.agreeable()
}

// otherReports takes a Nak of our option 4: a period that the peer likes better, or some other
// protocol, or no timer, which is no use to an end that does not report itself.
func (l *lcpLayer) otherReports(o option) {
	want := reportingOf(o).agreeable()
	if want.period == 0 || !want.option().equal(o) {
		l.refused[lcpQuality] = true
		return
	}
	l.reports = want
}

// traffic counts packets and octets on the link as RFC 1989 section 2.3 has them: all that the FCS
// covers, the FCS and one flag.
type traffic struct{ packets, octets uint32 }

func (t *traffic) count(octets int) {
	t.packets++
	t.octets += uint32(octets + 3)
}

// monitor is Link Quality Monitoring, RFC 1989.
type monitor struct {
	s       *Session
	out, in traffic

	send           reporting // what the peer asked for
	expect         time.Duration
	fallback       bool // the peer sends no reports: Echo-Requests must do
	sendAt         time.Time
	checkAt        time.Time // the next report, or the answer to the echo, must be there by then
	heard          bool      // the echo was answered
	echoID         byte
	outLQRs        uint32
	inLQRs         uint32
	last, saved    report // the newest one that came, and (PeerIn…) what had come here then
	quality        Quality
	verdicts, asks uint64 // a bit for each interval, 1 is bad; and how many there were
}

// start begins what LCP agreed on.
func (m *monitor) start() {
	asks := m.s.cfg.QualityInterval > 0
	refused := m.s.link.refused[lcpQuality]
	*m = monitor{s: m.s, out: m.out, in: m.in, quality: m.quality, send: m.s.link.peer.reports}
	if m.send.wanted && m.send.period > 0 {
		m.sendAt = m.s.now.Add(m.send.period)
	}
	if asks {
		m.expect, m.fallback = m.s.link.reports.period, refused
		m.checkAt = m.s.now.Add(m.grace())
	}
}

// grace is how long the next sign may take: two periods, as one may be on its way behind others.
func (m *monitor) grace() time.Duration {
	if m.fallback {
		return m.expect
	}
	return 2*m.expect + 2*airtime(fullFrame, m.s.cfg.LineRate)
}

// on reports whether Link-Quality-Reports were agreed on, either way.
func (m *monitor) on() bool { return m.send.wanted || m.expect > 0 }

func (m *monitor) stop() { m.sendAt, m.checkAt, m.send = time.Time{}, time.Time{}, reporting{} }

func (m *monitor) expire() {
	if !m.sendAt.IsZero() && !m.s.now.Before(m.sendAt) {
		m.report()
	}
	if m.checkAt.IsZero() || m.s.now.Before(m.checkAt) {
		return
	}
	m.checkAt = m.s.now.Add(m.grace())
	if m.fallback {
		m.echo()
		return
	}
	m.judge(true)
}

// report sends a Link-Quality-Report (section 2.7).
func (m *monitor) report() {
	if m.send.period > 0 {
		m.sendAt = m.s.now.Add(m.send.period)
	}
	if len(m.s.out) > maxReplies {
		m.s.counts.Overflow++
		return
	}
	m.outLQRs++
	r := m.saved
	r.LastOutLQRs, r.LastOutPackets, r.LastOutOctets = m.last.PeerOutLQRs, m.last.PeerOutPackets, m.last.PeerOutOctets
	// The report counts itself.
	r.PeerOutLQRs = m.outLQRs
	r.PeerOutPackets = m.out.packets + 1
	r.PeerOutOctets = m.out.octets + uint32(len(m.s.headerFor(protoLQR))+reportLen+3)
	m.s.scratch = r.append(m.s.scratch[:0], m.s.link.magicNow())
	m.s.transmit(protoLQR, m.s.scratch)
}

// input takes a Link-Quality-Report.
func (m *monitor) input(b []byte) {
	magic, r, ok := parseReport(b)
	if !ok || magic != m.s.link.peer.magic {
		m.s.counts.Ignored++
		return
	}
	m.inLQRs++
	m.quality.Reports++
	bad := m.s.deframer.Counts()
	now := report{
		PeerInLQRs: m.inLQRs, PeerInPackets: m.in.packets, PeerInOctets: m.in.octets,
		PeerInErrors: uint32(bad.BadFCS + bad.Aborted + bad.Runt + bad.TooLong),
	}
	before, then := m.last, m.saved
	m.last, m.saved = r, now
	if m.inLQRs > 1 {
		in := loss(before.PeerOutPackets, r.PeerOutPackets, then.PeerInPackets, now.PeerInPackets)
		var out Loss
		if before.LastOutLQRs > 0 {
			out = loss(before.LastOutPackets, r.LastOutPackets, before.PeerInPackets, r.PeerInPackets)
		}
		m.quality.In.add(in)
		m.quality.Out.add(out)
		limit := m.s.cfg.QualityLoss
		if m.expect > 0 {
			m.judge(in.Percent() > limit || out.Percent() > limit)
		}
	}
	if !m.checkAt.IsZero() {
		m.checkAt = m.s.now.Add(m.grace())
	}
	// Section 2.7: with no timer each report is answered; and the same PeerInLQRs twice says that
	// ours has been lost.
	if m.send.wanted && (m.send.period == 0 || m.inLQRs > 1 && r.PeerInLQRs == before.PeerInLQRs) {
		m.report()
	}
}

// loss compares what one end sent between two reports with what the other got.
func loss(sent0, sent1, got0, got1 uint32) Loss {
	const most = 1 << 20 // packets between two reports; more is nonsense, or a counter set back
	sent, got := sent1-sent0, got1-got0
	if sent > most || got > sent {
		return Loss{}
	}
	return Loss{uint64(sent), uint64(sent - got)}
}

func (l *Loss) add(m Loss) { l.Sent, l.Lost = l.Sent+m.Sent, l.Lost+m.Lost }

// echo counts the last Echo-Request and sends the next.
func (m *monitor) echo() {
	if m.quality.Echo.Sent > 0 {
		if !m.heard {
			m.quality.Echo.Lost++
		}
		m.judge(!m.heard)
	}
	m.heard = false
	m.quality.Echo.Sent++
	m.echoID = m.s.sendEcho()
}

func (m *monitor) echoed(id byte) {
	if m.fallback && id == m.echoID {
		m.heard = true
	}
}

// judge notes how an interval was. Sections 2.9 and 2.10 leave it to policy when a link is too bad; ours
// is k of n.
func (m *monitor) judge(bad bool) {
	m.verdicts <<= 1
	m.asks++
	if bad {
		m.verdicts |= 1
	}
	k, n := m.s.cfg.QualityFailures, m.s.cfg.QualityWindow
	if k <= 0 || n <= 0 {
		return
	}
	recent := m.verdicts
	if n < 64 {
		recent &= 1<<n - 1
	}
	if failed := bits.OnesCount64(recent); failed >= k {
		m.s.end(Reason{Line, CodeQuality, fmt.Sprintf("the line is too bad: %d of the last %d reports were missing or told of more than %g %% lost",
			failed, min(uint64(n), m.asks), m.s.cfg.QualityLoss)})
	}
}

func (s *Session) qualityTimer() time.Time {
	m := &s.quality
	if s.lcp.state != opened || s.phase >= phaseTerminate {
		return time.Time{}
	}
	if m.sendAt.IsZero() || !m.checkAt.IsZero() && m.checkAt.Before(m.sendAt) {
		return m.checkAt
	}
	return m.sendAt
}
