package ppp

import (
	"fmt"
	"time"
)

// The codes of RFC 1334 section 2.2.
const (
	papRequest byte = 1
	papAck     byte = 2
	papNak     byte = 3
)

// papServer waits for the caller's name and password.
type papServer struct {
	s       *Session
	limit   time.Time // the first request must have come by then
	request AuthRequest
	pending bool   // request is being judged
	reply   packet // the answer given; repeated to every further request
}

func (p *papServer) protocol() uint16 { return protoPAP }
func (p *papServer) start()           { p.limit = p.s.now.Add(patienceForLogin) }
func (p *papServer) timer() time.Time { return p.limit }

func (p *papServer) expire() {
	if p.limit.IsZero() || p.s.now.Before(p.limit) {
		return
	}
	p.s.end(Reason{Peer, CodeAuthTimeout, fmt.Sprintf("%s agreed to PAP and then gave no name in %v", p.s.them(), patienceForLogin)})
}

func (p *papServer) input(b []byte) {
	in, err := parsePacket(b)
	if err != nil || in.code != papRequest {
		p.s.counts.Ignored++
		return
	}
	// PAP has no challenge: every request is the same one again, sent since our answer
	// was late or lost.
	if p.reply.code != 0 {
		p.reply.id = in.id
		p.s.send(protoPAP, p.reply)
		return
	}
	name, rest, ok := counted(in.data)
	password, _, ok2 := counted(rest)
	if !ok || !ok2 {
		p.s.counts.Ignored++
		return
	}
	r := AuthRequest{Method: PAP, Name: string(name), Password: string(password), ID: in.id}
	if p.pending {
		p.request.ID = in.id // which the answer must bear to count
		return
	}
	if p.s.ask(r) {
		p.request, p.pending, p.limit = r, true, time.Time{}
	}
}

// counted takes a string and the octet before it that counts it.
func counted(b []byte) (text, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return nil, nil, false
	}
	n := 1 + int(b[0])
	return b[1:n], b[n:], true
}

func (p *papServer) answer(a Answer) {
	p.reply = packet{papNak, p.request.ID, nil}
	message := clipText(a.Message)
	if a.OK {
		p.reply.code = papAck
	} else if message == "" {
		message = rasWords(a.code())
	}
	p.reply.data = append([]byte{byte(len(message))}, message...)
	p.s.send(protoPAP, p.reply)
	p.request.Password = ""
	if a.OK {
		p.s.authenticated(p.request.Name, a)
	} else {
		p.s.refused(p.request.Name, a)
	}
}

// papClient gives our name and password, again and again: PAP leaves it to the client
// that a request may be lost.
type papClient struct {
	s     *Session
	id    byte
	again retry
}

func (p *papClient) protocol() uint16 { return protoPAP }
func (p *papClient) timer() time.Time { return p.again.at }
func (p *papClient) answer(Answer)    {}

func (p *papClient) start() {
	p.again.start(p.s.now, &p.s.pace)
	p.send()
}

func (p *papClient) send() {
	p.id++
	name := p.s.cfg.Name[:min(len(p.s.cfg.Name), 255)]
	password := p.s.cfg.Password[:min(len(p.s.cfg.Password), 255)]
	data := append([]byte{byte(len(name))}, name...)
	data = append(append(data, byte(len(password))), password...)
	p.s.send(protoPAP, packet{papRequest, p.id, data})
}

func (p *papClient) expire() {
	due, ok := p.again.expire(p.s.now, &p.s.pace)
	switch {
	case !ok:
		p.s.end(Reason{Peer, CodeAuthTimeout, fmt.Sprintf("%s did not answer our name and password (PAP)", p.s.them())})
	case due:
		p.send()
	}
}

func (p *papClient) input(b []byte) {
	in, err := parsePacket(b)
	// An answer to an earlier copy answers as well: all carry the same.
	if err != nil || p.again.at.IsZero() || in.code != papAck && in.code != papNak {
		p.s.counts.Ignored++
		return
	}
	p.again.stop()
	if in.code == papAck {
		p.s.authenticated(p.s.cfg.Name, Answer{OK: true})
		return
	}
	message, _, _ := counted(in.data)
	text := fmt.Sprintf("%s refused the name or password of %q", p.s.them(), p.s.cfg.Name)
	if len(message) > 0 {
		text += fmt.Sprintf(": %q", printable(message))
	}
	p.s.end(Reason{Peer, CodeAuthFailed, text})
}
