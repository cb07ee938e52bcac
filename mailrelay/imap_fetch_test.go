package mailrelay

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// imapLetter has all that a section can name, and octets that must not change.
const imapLetter = "Received: from a by b; Tue, 3 Mar 2026 10:00:00 +0100\r\n" +
	"Date: Mon, 2 Mar 2026 09:00:00 +0100\r\n" +
	"From: =?iso-8859-1?Q?J=F6rg?= <joerg@example.org>\r\n" +
	"To: Team: \"B, C\" <b@example.org>, c@example.org (Carl);, broken\r\n" +
	"Subject: folded\r\n\tsubject\r\n" +
	"Message-ID: <1@example.org>\r\n" +
	"X-Odd:  kept  \r\n" +
	"a line that is no field\r\n" +
	"Content-Type: multipart/mixed; boundary=\"b\"\r\n" +
	"\r\n" +
	"preamble \xff\x00\r\n" +
	"--b\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\n" +
	"Content-Transfer-Encoding: quoted-printable\r\n" +
	"\r\n" +
	"Gr=C3=BC=C3=9Fe \n" +
	"last\r\n" +
	"--b\r\n" +
	"Content-Type: message/rfc822\r\n" +
	"Content-Disposition: attachment; filename=x.eml\r\n" +
	"\r\n" +
	"Subject: inner\r\n" +
	"\r\n" +
	"inner body\r\n" +
	"--b--\r\n"

func between(s, from, to string) string {
	i := strings.Index(s, from)
	j := strings.Index(s[i:], to)
	return s[i : i+j]
}

func TestEverySectionIsTheOctetsOfTheMessage(t *testing.T) {
	playIMAP(t, func(p *imapTest) {
		p.deliver(imapLetter)
		c := p.selected("INBOX")
		header := imapLetter[:strings.Index(imapLetter, "\r\n\r\n")+4]
		body := imapLetter[len(header):]
		inner := between(imapLetter, "Subject: inner", "\r\n--b--")
		for section, want := range map[string]string{
			"BODY[]":                          imapLetter,
			"RFC822":                          imapLetter,
			"BODY[HEADER]":                    header,
			"RFC822.HEADER":                   header,
			"BODY[TEXT]":                      body,
			"RFC822.TEXT":                     body,
			"BODY[]<0>":                       imapLetter[:10],
			"BODY[]<5>":                       imapLetter[5:15],
			"BODY[TEXT]<3>":                   body[3:13],
			"BODY[1]":                         between(imapLetter, "Gr=C3", "\r\n--b\r\nContent-Type: message"),
			"BODY[1.MIME]":                    between(imapLetter, "Content-Type: text/plain", "Gr=C3"),
			"BODY[1]<4000>":                   "",
			"BODY[2]":                         inner,
			"BODY[2.HEADER]":                  "Subject: inner\r\n\r\n",
			"BODY[2.TEXT]":                    "inner body",
			"BODY[2.1]":                       "inner body",
			"BODY[2.1.MIME]":                  "Subject: inner\r\n\r\n",
			"BODY[1.HEADER]":                  "",
			"BODY[3]":                         "",
			"BODY[HEADER.FIELDS (x-odd to)]":  "To: Team: \"B, C\" <b@example.org>, c@example.org (Carl);, broken\r\nX-Odd:  kept  \r\n\r\n",
			"BODY[2.HEADER.FIELDS (subject)]": "Subject: inner\r\n\r\n",
			"BODY[HEADER.FIELDS.NOT (received date from to subject message-id x-odd content-type)]": "a line that is no field\r\n\r\n",
		} {
			asked := strings.Replace(section, "BODY[", "BODY.PEEK[", 1)
			if strings.HasSuffix(section, ">") {
				asked = strings.TrimSuffix(asked, ">") + ".10>"
			}
			got := c.ok("FETCH 1 " + asked)
			_, literal, _ := strings.Cut(got[0], "\r\n")
			if literal = strings.TrimSuffix(literal, ")"); literal != want || !strings.Contains(got[0], fmt.Sprintf(" {%d}\r\n", len(want))) {
				t.Errorf("%s is\n%q, want\n%q", section, got[0], want)
			}
		}
		c.refused("FETCH 1 BODY[MIME]", "BAD")
		c.refused("FETCH 1 BINARY[1]", "BAD")
		c.refused("FETCH 1 ("+strings.Repeat("BODY.PEEK[] ", maxSections)+"BODY.PEEK[])", "BAD")
	})
}

func TestEnvelopeAndStructure(t *testing.T) {
	playIMAP(t, func(p *imapTest) {
		p.deliver(imapLetter)
		c := p.selected("INBOX")
		from := `((=?iso-8859-1?Q?J=F6rg?= NIL joerg example.org))`
		c.gives("FETCH 1 ALL", `1 FETCH (FLAGS () INTERNALDATE " 3-Mar-2026 10:00:00 +0100" RFC822.SIZE `+fmt.Sprint(len(imapLetter))+
			` ENVELOPE ("Mon, 02 Mar 2026 09:00:00 +0100" "folded	subject" `+
			strings.Repeat(strings.NewReplacer("=?iso-8859-1?Q?J=F6rg?=", `"=?iso-8859-1?Q?J=F6rg?="`, "joerg", `"joerg"`, "example.org", `"example.org"`).Replace(from)+" ", 3)+
			`((NIL NIL "Team" NIL) ("B, C" NIL "b" "example.org") ("Carl" NIL "c" "example.org") (NIL NIL NIL NIL) (NIL NIL "broken" "MISSING_DOMAIN")) NIL NIL NIL "<1@example.org>"))`)
		c.gives("FETCH 1 BODYSTRUCTURE", `1 FETCH (BODYSTRUCTURE (("text" "plain" ("charset" "utf-8") NIL NIL "quoted-printable" 21 1 NIL NIL NIL NIL)`+
			`("message" "rfc822" NIL NIL NIL "7bit" 28 (NIL "inner" NIL NIL NIL NIL NIL NIL NIL NIL) ("text" "plain" NIL NIL NIL "7bit" 10 0 NIL NIL NIL NIL) 2 NIL ("attachment" ("filename" "x.eml")) NIL NIL) "mixed" ("boundary" "b") NIL NIL NIL))`)
	})
}

func TestAMessageOfAStrangerCannotEndTheSession(t *testing.T) {
	var deep strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&deep, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	playIMAP(t, func(p *imapTest) {
		p.deliver("", "\r\n", "no header at all", deep.String(), strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 3000),
			"Content-Type: multipart/mixed\r\n\r\n", "Content-Type: \x00/\"\\; x=\x00\r\nFrom: :;<>(((\"\x00\xff\r\nDate: Mon, 99\r\n\r\n", "Subject: "+strings.Repeat("x", 2<<20)+"\r\n\r\n",
			"To: "+strings.Repeat("a@b,", 10000)+"\r\n\r\n")
		c := p.selected("INBOX")
		for i := range p.waiting() {
			if got := c.ok(fmt.Sprintf("FETCH %d (ENVELOPE BODY BODYSTRUCTURE INTERNALDATE BODY[HEADER.FIELDS (SUBJECT)]<0.100> BODY[1]<0.10> BODY[TEXT]<0.1>)", i+1)); len(got) != 1 {
				t.Errorf("message %d: %.200q", i+1, got)
			}
		}
		c.ok("SEARCH TEXT x SUBJECT y FROM z SENTSINCE 1-Jan-2020 SINCE 1-Jan-2020")
	})
}

func TestSearch(t *testing.T) {
	playIMAP(t, func(p *imapTest) {
		p.deliver(imapLetter,
			"Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nSubject: =?utf-8?B?w4RwZmVs?=\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nUGZsYXVtZW4=\r\n",
			"Subject: plain\r\n\r\nlatin \xfc\r\n")
		c := p.selected("INBOX")
		c.ok(`STORE 2 FLAGS.SILENT (\Seen)`)
		for keys, want := range map[string]string{
			"ALL":                                 "1 2 3",
			"SEEN":                                "2",
			"UNSEEN":                              "1 3",
			"NOT SEEN NOT 1":                      "3",
			"OR SEEN SUBJECT plain":               "2 3",
			"KEYWORD $Forwarded":                  "",
			"UNKEYWORD $Forwarded":                "1 2 3",
			"NEW":                                 "",
			"2:*":                                 "2 3",
			"UID 9:*":                             "3",
			`FROM "jörg"`:                         "1",
			`CHARSET UTF-8 SUBJECT "äPFEL"`:       "2",
			"SUBJECT \"folded\"":                  "1",
			"HEADER X-Odd \"\"":                   "1",
			"HEADER X-Odd kept":                   "1",
			`BODY "GRÜSSE"`:                       "",
			`BODY "Grü"`:                          "1",
			"BODY pflaumen":                       "2",
			"BODY \"inner body\"":                 "1",
			"BODY \"latin ü\"":                    "3",
			"TEXT apfel":                          "",
			`TEXT "äpfel"`:                        "2",
			`BODY "äpfel"`:                        "",
			"LARGER 400":                          "1",
			"SMALLER 400":                         "2 3",
			"SINCE 3-Mar-2026":                    "1",
			"ON 3-Mar-2026":                       "1",
			"SENTON 2-Mar-2026":                   "1",
			"SENTBEFORE 2-Mar-2026":               "2",
			"BEFORE 2-Jan-2026 SENTON 1-Jan-2026": "2",
			"(OR (1 UNSEEN) (2 UNSEEN))":          "1",
		} {
			c.gives("SEARCH "+keys, strings.TrimSpace("SEARCH "+want))
		}
		if got := c.ok("UID SEARCH RETURN (MIN MAX COUNT) ALL"); len(got) != 1 || !strings.HasSuffix(got[0], "UID MIN 1 MAX 3 COUNT 3") {
			t.Errorf("ESEARCH gives %q", got)
		}
		c.ok("SEARCH RETURN (SAVE) UNSEEN")
		c.gives("UID FETCH $ UID", "1 FETCH (UID 1)", "3 FETCH (UID 3)")
		c.refused("SEARCH "+strings.Repeat("NOT ", maxSearchDepth)+"ALL", "BAD")
		c.refused("SEARCH CHARSET KOI8-R ALL", "NO [BADCHARSET]")
	})
}

func TestAddressesAsFarAsTheyCanBeUnderstood(t *testing.T) {
	for field, want := range map[string][]string{
		"":                                 nil,
		"a@b":                              {"||a|b"},
		"<a@b>":                            {"||a|b"},
		`"x \"y\"" <a@b>, z (c (d)) <e@f>`: {`x "y"||a|b`, "z||e|f"},
		"a@b (Comment)":                    {"Comment||a|b"},
		"<@r1,@r2:a@b>":                    {"||a|b"},
		"G: a@b, c@d;":                     {"||G|", "||a|b", "||c|d", "|||"},
		"undisclosed-recipients:;":         {"||undisclosed-recipients|", "|||"},
		"G: a@b":                           {"||G|", "||a|b", "|||"},
		`"unfinished <a@b>`:                {"||unfinished <a|b>"},
		",,;> <":                           nil,
		"M\xfcller <m@x>":                  {"Müller||m|x"},
	} {
		var got []string
		for _, a := range imapAddresses(field) {
			got = append(got, a.Name+"||"+a.Mailbox+"|"+a.Host)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q is %q, want %q", field, got, want)
		}
	}
}
