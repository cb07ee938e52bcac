package exchange

import (
	"reflect"
	"testing"
)

func TestCommandLinesAreTakenApart(t *testing.T) {
	for _, c := range []struct {
		line string
		want []command
		ok   bool
	}{
		{"", nil, true},
		{"e0 q0V1", []command{{name: "E"}, {name: "Q"}, {name: "V", n: 1}}, true},
		{"&f&c1", []command{{name: "&F"}, {name: "&C", n: 1}}, true},
		{"S7=50S0?S3", []command{{name: "S", n: 7, op: '=', value: "50"}, {name: "S", op: '?'}, {name: "S", n: 3}}, true},
		{"+vcid=1;d5", []command{{name: "+VCID", op: '=', value: "1"}, {name: "D", value: "5"}}, true},
		{"+MS=V34,1,300,33600", []command{{name: "+MS", op: '=', value: "V34,1,300,33600"}}, true},
		{"dt 555-0100;h", []command{{name: "D", value: "t 555-0100;"}, {name: "H"}}, true},
		{"x4!", []command{{name: "X", n: 4}}, false},
		{"&", nil, false},
		{"+", nil, false},
		{"x99999999999999999999", nil, false},
	} {
		got, ok := parse(c.line)
		if !reflect.DeepEqual(got, c.want) || ok != c.ok {
			t.Errorf("parse(%q) = %+v, %v, want %+v, %v", c.line, got, ok, c.want, c.ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, line := range []string{"", "E0Q0V1", "&F&C1&D2S0=0", "S7=50S0?", "+VCID=1;+MS?;#CID=?", "DT555-0100;H0", "-C=1 \\N3%C0", "x99999999999", "&Z1=5550100"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		cmds, _ := parse(line)
		printed := ""
		for _, c := range cmds {
			printed += c.String()
		}
		again, ok := parse(printed)
		// A D without a semicolon takes the rest, so it can only be last.
		if !ok || !reflect.DeepEqual(again, cmds) {
			t.Errorf("%q is %+v, printed %q, which is %+v, %v", line, cmds, printed, again, ok)
		}
	})
}

// Whatever a DTE types, the modem neither panics nor keeps more than its
// buffers, and after a hang-up it is usable.
func FuzzModem(f *testing.F) {
	for _, typed := range []string{"AT\r", "ATE1V0Q1&F\rA/", "ATD5\rx+++", "ATS3=65\rATZA", "ATS3=0S5=13\x00", "AT+VCID=2\rATD1;\rATA\r", "ATD2\rATD2\r\r"} {
		f.Add([]byte(typed))
	}
	f.Fuzz(func(t *testing.T, typed []byte) {
		x := New(Config{})
		p, q := x.Modem("1").Port(), x.Modem("2").Port()
		q.Write([]byte("ATS0=1\r"))
		for len(typed) > 0 && !x.Modem("1").Online() {
			n := min(len(typed), 7)
			p.Write(typed[:n])
			typed = typed[n:]
		}
		x.mu.Lock()
		if m := p.m; len(m.rx) > maxUnread || len(m.line) > maxLine {
			t.Errorf("the modem keeps %d and %d bytes", len(m.rx), len(m.line))
		}
		x.mu.Unlock()
		p.Close()
		q.Close()
		p = x.Modem("1").Port()
		defer p.Close()
		x.mu.Lock()
		defer x.mu.Unlock()
		if m := p.m; m.state != idle || m.call != nil && m.call.stage != ringing {
			t.Errorf("the modem is in state %d with call %+v", m.state, m.call)
		}
	})
}
