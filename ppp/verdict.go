package ppp

import (
	"encoding/binary"
	"fmt"
)

// farewell makes a Reason of the data in the peer's LCP Terminate-Request. Windows
// puts its RAS error there: four octets of magic number, 00 3c cd 74, and the
// error, big-endian. Others put words.
func farewell(them string, data []byte) Reason {
	r := Reason{Peer, CodePeerHangup, them + " hung up"}
	if len(data) >= 12 && binary.BigEndian.Uint32(data[4:]) == rasMark {
		code := binary.BigEndian.Uint32(data[8:])
		if code == 0 {
			return r
		}
		if code == rasNotVerified {
			r.Code = CodeServerNotVerified
		}
		r.Text += fmt.Sprintf(": %s (Windows error %d)", rasWords(int(code)), code)
	} else if len(data) > 0 && string(data) != pppdHangup {
		r.Text += fmt.Sprintf(", saying %q", printable(data))
	}
	return r
}

// pppdHangup is what pppd says at the end of every encrypted call, however that came:
// its CCP goes down before its LCP.
const pppdHangup = "MPPE disabled"

const (
	rasMark            = 0x003ccd74
	rasPasswordExpired = 648
	rasWrongPassword   = 691
	rasNotVerified     = 778
)

// rasErrors are the errors of Windows' Remote Access Service (raserror.h, as the
// public documentation of its API lists them) that PPP peers send: in
// Terminate-Requests and in MS-CHAP failures.
var rasErrors = map[int]string{
	619: "the port was disconnected",
	629: "the port was disconnected by the remote machine",
	646: "not allowed to log in at this time of day",
	647: "the account is disabled",
	648: "the password has expired",
	649: "no permission to dial in",
	691: "wrong user name or password, or the method of logging in is not allowed",
	709: "the password could not be changed",
	718: "the PPP conversation timed out",
	719: "PPP was terminated by the remote machine",
	720: "no PPP control protocols could be agreed on",
	721: "the remote PPP peer does not respond",
	722: "a PPP packet makes no sense",
	726: "IPX cannot be used by more than one dial-out at a time",
	728: "no IP adapter is bound to PPP",
	732: "the PPP negotiation does not converge",
	733: "the network protocols could not be agreed on",
	734: "the link control protocol was terminated",
	735: "the requested address was refused",
	736: "the link control protocol was terminated by the remote machine",
	737: "the line is looped",
	738: "no address was assigned",
	741: "the local machine does not support the encryption required",
	742: "the remote machine does not support the encryption required",
	778: "the identity of the server could not be verified",
}

func rasWords(code int) string {
	if w, ok := rasErrors[code]; ok {
		return w
	}
	return "an error without words here"
}
