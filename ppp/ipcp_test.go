package ppp

import (
	"strings"
	"testing"
	"time"
)

func TestAddressesAreNaked(t *testing.T) {
	cfg := answererConfig()
	cfg.Auth, cfg.Encryption, cfg.NoVJ = nil, EncryptionOff, true
	p := newPeer(t, cfg)
	p.openLCP()
	// Windows XP: all zero, with NBNS; VJ and the old IP-Addresses of others.
	p.say(protoIPCP, codeConfigureRequest, 1, "0206 002d 0f01 0306 00000000 8106 00000000 8206 00000000 8306 00000000 8406 00000000 010a 0000000000000000")
	p.expect("8021 04 01 0206002d0f01820600000000840600000000010a0000000000000000")
	p.say(protoIPCP, codeConfigureRequest, 2, "0306 00000000 8106 00000000 8306 00000000")
	p.expect("8021 03 02 03060a40400281060a40400183060a404001")
	p.say(protoIPCP, codeConfigureRequest, 3, "0306 c0a80105") // an idea of its own
	p.expect("8021 03 03 03060a404002")
	p.say(protoIPCP, codeConfigureRequest, 4, "0306 0a404002 8106 0a404001")
	p.expect("8021 02 04 03060a40400281060a404001")
	p.ack(protoIPCP)
	if p.up.Peer != callerIP || p.up.Local != boxIP {
		t.Errorf("%+v", p.up)
	}
}

func TestNameServersAreTold(t *testing.T) {
	cfg := answererConfig()
	cfg.Auth, cfg.Encryption = nil, EncryptionOff
	cfg.NBNS[0] = boxIP
	p := newPeer(t, cfg)
	p.openLCP()
	p.say(protoIPCP, codeConfigureRequest, 1, "0306 0a404002 8106 00000000 8206 00000000 8306 00000000 8406 00000000")
	p.expect("8021 03 01 81060a40400182060a40400183060a40400184060a404001")
}

func TestCallerThatInsistsOnItsAddressIsToldWhy(t *testing.T) {
	cfg := answererConfig()
	cfg.Auth, cfg.Encryption = nil, EncryptionOff
	p := newPeer(t, cfg)
	p.openLCP()
	for id := byte(1); id < 100 && p.ended == 0; id++ {
		p.say(protoIPCP, codeConfigureRequest, id, "0306 c0a80105")
		p.hear()
		p.wait(2 * time.Second)
	}
	if p.reason.Code != CodeSetupTimeout && p.reason.Code != CodeIPCPFailed || !strings.Contains(p.reason.Text, "192.168.1.5") {
		t.Errorf("%+v", p.reason)
	}
}
