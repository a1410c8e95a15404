package doctor_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pillarbox/appliance/doctor"
)

// sick stands before a real server, within TLS, and lets it be sick in ways in
// which none can be made: what the server says is changed by a function.
func sick(t *testing.T, p *pki, to string, change func(line string) string) (port uint16) {
	t.Helper()
	certFile, keyFile := p.put(t, folder(t), issue{})
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, &tls.Config{Certificates: []tls.Certificate{cert}}, func(inside net.Conn) {
		outside, err := tls.Dial("tcp", to, &tls.Config{RootCAs: p.roots(), ServerName: mailName})
		if err != nil {
			return
		}
		defer outside.Close()
		go func() { _, _ = io.Copy(outside, inside); _ = outside.Close() }()
		r := bufio.NewReader(outside)
		for {
			line, err := r.ReadString('\n')
			if _, wrong := io.WriteString(inside, change(line)); err != nil || wrong != nil {
				return
			}
		}
	})
}

// tagged answers commands that the server carried out by something else.
func tagged(done, instead string) func(string) string {
	re := regexp.MustCompile(`^(d\d+) OK .*` + done + `.*\r\n`)
	return func(line string) string { return re.ReplaceAllString(line, "$1 "+instead+"\r\n") }
}

// silentAfter leaves lines out once another one was there.
func silentAfter(first, then string) func(string) string {
	var begun atomic.Bool
	return func(line string) string {
		if strings.HasPrefix(line, first) {
			begun.Store(true)
		}
		if begun.Load() && strings.Contains(line, then) {
			return ""
		}
		return line
	}
}

func TestSick(t *testing.T) {
	breaks(t)
	names(t, append(office(), "host-record=client.office.example,"+client4)...)
	p := newPKI(t)
	cert, key := p.put(t, folder(t), issue{})
	dovecot(t, cert, key).await(t, mail4+":993")
	postfix(t, cert, key).await(t, mail4+":465")
	once := func(old, instead string) func(string) string {
		return func(line string) string { return strings.Replace(line, old, instead, 1) }
	}
	late := func(beginning string) func(string) string {
		return func(line string) string {
			if strings.HasPrefix(line, beginning) {
				time.Sleep(6 * time.Second)
			}
			return line
		}
	}
	for i, tt := range []struct {
		name    string
		service doctor.Service
		to      string
		change  func(string) string
		want    []string
	}{
		{"well", doctor.IMAPS, ":993", func(l string) string { return l }, nil},
		{"lets everybody in", doctor.IMAPS, ":993", once("* OK [CAPABILITY", "* PREAUTH [CAPABILITY"), []string{"imap-preauth"}},
		{"is at its limit", doctor.IMAPS, ":993", once("* OK [CAPABILITY", "* BYE [CAPABILITY"), []string{"greeting-fails"}},
		{"cannot ask for passwords", doctor.IMAPS, ":993", tagged("Logged in", "NO [UNAVAILABLE] Internal error"), []string{"login-fails"}},
		{"loses octets", doctor.IMAPS, ":993", once("Hello\r\n", "Jello\r\nHello\r\n"), []string{"fetch-fails"}},
		{"alters what it keeps", doctor.IMAPS, ":993", once("This can be deleted.", "This can be removed."), []string{"fetch-fails"}},
		{"refuses APPEND", doctor.IMAPS, ":993", tagged("Append completed", "NO [OVERQUOTA] Quota exceeded"), []string{"append-fails"}},
		{"refuses IDLE", doctor.IMAPS, ":993", once("+ idling", "d99 BAD unknown"), []string{"idle-fails"}},
		{"does not tell in IDLE", doctor.IMAPS, ":993", silentAfter("+ idling", " EXISTS"), []string{"idle-silent"}},
		{"is slow", doctor.IMAPS, ":993", late("* LIST"), []string{"slow"}},
		{"is slow in SMTP", doctor.Submissions, ":465", late("235 "), []string{"slow"}},
		{"cannot ask for passwords in SMTP", doctor.Submissions, ":465", once("235 2.7.0", "454 4.7.0"), []string{"login-fails"}},
		{"does not take EHLO", doctor.Submissions, ":465", func(l string) string {
			if strings.HasPrefix(l, "250-"+mailName) {
				return "502 unknown\r\n"
			}
			return l
		}, []string{"smtp-fails"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sampled(t, i)
			r := request()
			r.Host, r.Name, r.Service, r.Write = client4, mailName, tt.service, true
			r.Port = sick(t, p, mail4+tt.to, tt.change)
			expect(t, ask(t, p, r), tt.want...)
		})
	}
}
