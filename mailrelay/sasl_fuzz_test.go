package mailrelay

import "testing"

// FuzzSASL feeds three responses to each mechanism: nothing that is made
// without the password may admit anybody.
func FuzzSASL(f *testing.F) {
	f.Add([]byte("n,,n=alice,r=x"), []byte("c=biws,r=x,p=AAAA"), []byte{})
	f.Add([]byte("y,a=alice,n=al=2Cice,r=x"), []byte("c=,r=,p="), []byte{})
	f.Add([]byte("\x00alice\x00x"), []byte("alice 0123"), []byte("x"))
	f.Add([]byte("alice"), []byte("x"), []byte(""))
	f.Add([]byte("NTLMSSP\x00\x01\x00\x00\x00\x07\x82\x08\xa2"), []byte("NTLMSSP\x00\x03\x00\x00\x00"), []byte{})
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		for _, m := range saslMechanisms() {
			server := newSASL(m, testAccounts(), func(Account) { t.Fatalf("%s admits by %q, %q, %q", m, a, b, c) })
			for _, response := range [][]byte{nil, a, b, c} {
				if _, _, err := server.Next(response); err != nil {
					break
				}
			}
		}
	})
}
