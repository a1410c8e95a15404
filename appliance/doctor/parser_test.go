package doctor

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// spoken is a conversation in which the server says all at once.
func spoken(text []byte) *talk {
	ours, theirs := net.Pipe()
	_ = theirs.Close()
	t := newTalk(ours)
	t.r.Reset(bytes.NewReader(text))
	return t
}

func FuzzReply(f *testing.F) {
	for _, seed := range []string{"250-a\r\n250 b\r\n", "220 \r\n", "250", "25x a\r\n", "250-a\r\n251 b\r\n", "+50 a\r\n", "999 a\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := spoken(text).reply()
		if err == nil && (r.code < 200 || r.code > 599 || len(r.lines) == 0 || len(r.lines) > maxReply) {
			t.Errorf("%q is %+v", text, r)
		}
	})
}

func FuzzResponse(f *testing.F) {
	for _, seed := range []string{
		"* 1 EXISTS\r\nd1 OK done\r\n", "* 1 FETCH (BODY[] {3}\r\nabc)\r\nd1 OK\r\n", "* BYE\r\n", "d1 NO {99999999}\r\n", "+ go\r\n", "* X {2147483648}\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := spoken(text).finish("d1")
		if err != nil {
			return
		}
		kept := 0
		for _, l := range a.literals {
			kept += len(l)
		}
		if kept > len(text) {
			t.Errorf("%d octets of literals out of %d", kept, len(text))
		}
	})
}

func FuzzServerHello(f *testing.F) {
	good := []byte{22, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3}
	good = append(good, make([]byte, 32)...)
	good = append(good, 0, 0xc0, 0x2f, 0)
	f.Add(good, false)
	f.Add([]byte{21, 3, 1, 0, 2, 2, 70}, false)
	f.Add(append(bytes.Clone(good), 22, 3, 3, 0, 8, 12, 0, 0, 4, 0, 2, 0x80, 1), true)
	f.Fuzz(func(t *testing.T, text []byte, group bool) {
		c, err := readChoice(bytes.NewReader(text), group)
		if err == nil && c != nil && c.dhBits > 8*len(text) {
			t.Errorf("%d bits out of %d octets", c.dhBits, len(text))
		}
	})
}

func TestServerHello(t *testing.T) {
	good := append([]byte{22, 3, 3, 0, 42, 2, 0, 0, 38, 3, 2}, make([]byte, 32)...)
	good = append(good, 0, 0xc0, 0x14, 0)
	c, err := readChoice(bytes.NewReader(good), false)
	if err != nil || c.version != tls11 || c.suite != 0xc014 {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = readChoice(bytes.NewReader(append(good, 22, 3, 3, 0, 8, 12, 0, 0, 4, 0, 2, 0x10, 1)), true)
	if err != nil || c.dhBits != 13 {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := readChoice(bytes.NewReader([]byte{21, 3, 1, 0, 2, 2, 70}), false); err == nil {
		t.Error("an alert is no choice")
	}
	if _, err := readChoice(strings.NewReader("HTTP/1.1 400 Bad Request\r\n"), false); err == nil {
		t.Error("HTTP is no choice")
	}
}

// TestHello lets another implementation read what is made by hand.
func TestHello(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	var got *tls.ClientHelloInfo
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = theirs.SetDeadline(time.Now().Add(time.Minute))
		_ = tls.Server(theirs, &tls.Config{MinVersion: tls.VersionTLS10, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			got = h
			return nil, io.EOF
		}}).Handshake()
	}()
	if _, err := offer(ours, tls11, allSuites(), "mail.office.example", false); err == nil {
		t.Error("the server refused, and it was taken for a choice")
	}
	<-done
	if got == nil || got.ServerName != "mail.office.example" || len(got.CipherSuites) != len(allSuites()) || got.SupportedVersions[0] != tls11 {
		t.Errorf("read as %+v", got)
	}
}

func FuzzTags(f *testing.F) {
	for _, seed := range []string{"v=DMARC1; p=none", "v=DKIM1; k=rsa; p=MIGf", "=;=", "a=1;a=2", "v=DMARC1; p=reject; rua=mailto:a@b, c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := tags(text)
		if err == nil {
			_ = dmarcTags(all)
		}
		_, _ = dkimKey(text)
	})
}

func FuzzSPF(f *testing.F) {
	for _, seed := range []string{"v=spf1 mx -all", "v=spf1 ip4:192.0.2.0/24 include:x.example ~all", "v=spf1 ip6:1 redirect=", "v=spf1 a/24//64 ?all", "v=spf1 -"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) { _, _ = readSPF(text) })
}

func TestSPF(t *testing.T) {
	for text, good := range map[string]bool{
		"v=spf1 mx -all": true, "v=spf1 ip4:192.0.2.1 ip6:2001:db8::/32 a:mail.x.example/24 ~all": true, "v=spf1 redirect=x.example": true,
		"v=spf1 exists:%{i}.x.example -all": true, "v=spf1 unknown=1 -all": true,
		"v=spf1 ipv4:192.0.2.1 -all": false, "v=spf1 ip4:mail.x.example": false, "v=spf1 ip4:2001:db8::1": false, "v=spf1 include -all": false,
		"v=spf1 192.0.2.1 -all": false, "v=spf1 redirect=": false, "v=spf1 -all:x": false,
	} {
		if _, err := readSPF(text); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzSTS(f *testing.F) {
	for _, seed := range []string{"version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 86400\n", "mode", "version: STSv1\r\nmode: none\r\nmax_age: 1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := readSTS(text); err == nil {
			p.covers("mail.office.example")
		}
	})
}

func FuzzSockets(f *testing.F) {
	f.Add([]byte("  sl  local_address\n   0: 0100007F:03E1 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n"))
	f.Fuzz(func(t *testing.T, text []byte) { parseSockets(text) })
}

func TestSockets(t *testing.T) {
	got := parseSockets([]byte("  sl  local_address\n" +
		"   0: 0100007F:03E1 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n" +
		"   1: 0100007F:03E2 00000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 4712 1\n" +
		"   2: 00000000000000000000000001000000:03E1 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4713 1\n"))
	if len(got) != 2 || got[0].addr.String() != "127.0.0.1" || got[0].port != 993 || got[0].inode != "4711" || got[1].addr.String() != "::1" {
		t.Errorf("%+v", got)
	}
}

// FuzzPlace: what a command is made of may come from the DNS, and a person runs
// it in a shell.
func FuzzPlace(f *testing.F) {
	f.Add("mail.office.example")
	f.Add("$(reboot).example")
	f.Add("a;b")
	f.Add("2001:db8::1")
	f.Fuzz(func(t *testing.T, host string) {
		text := (place{host: host, port: 993}).fill("dig {host} {connect}")
		if strings.ContainsAny(strings.TrimPrefix(text, "dig "), "$`;&|<>(){}'\"\\\n*?!#~") {
			t.Errorf("%q gives %q", host, text)
		}
	})
}

func TestKinds(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range kinds() {
		if seen[k.id] {
			t.Errorf("%s is there twice", k.id)
		}
		seen[k.id] = true
		if k.severity.rank() < 0 || k.why == "" || k.do == "" || k.see == "" {
			t.Errorf("%s is not complete: %+v", k.id, k)
		}
	}
}

func TestAHostileServerIsBounded(t *testing.T) {
	for name, text := range map[string]string{
		"a line without end":     strings.Repeat("a", 10*maxLine),
		"a reply without end":    strings.Repeat("250-more\r\n", 10*maxReply),
		"a literal of gigabytes": "* 1 FETCH (BODY[] {2000000000}\r\n",
		"not the protocol":       "HTTP/1.1 200 OK\r\n\r\n",
	} {
		if _, err := spoken([]byte(text)).reply(); err == nil {
			t.Errorf("%s is a reply", name)
		}
		if _, err := spoken([]byte(text)).finish("d1"); err == nil {
			t.Errorf("%s is an answer", name)
		}
	}
}

func FuzzAutoconfig(f *testing.F) {
	for _, seed := range []string{
		`<clientConfig><emailProvider id="a"><incomingServer type="imap"><hostname>a</hostname><port>993</port><socketType>SSL</socketType></incomingServer></emailProvider></clientConfig>`,
		`<!DOCTYPE a [<!ENTITY b "c">]><clientConfig>&b;</clientConfig>`, "<clientConfig>", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := readAutoconfig(text)
		if err != nil {
			return
		}
		for _, s := range all {
			if s.host == "" || s.port == 0 || strings.ContainsAny(s.host, " \n") {
				t.Errorf("%q is %+v", text, s)
			}
		}
	})
}
