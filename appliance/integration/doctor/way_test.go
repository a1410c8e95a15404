package doctor_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/doctor"
)

// serve answers connections, with TLS if there is a configuration of it, until
// the test ends.
func serve(t *testing.T, c *tls.Config, answer func(net.Conn)) (port uint16) {
	t.Helper()
	ln, err := net.Listen("tcp", client4+":0")
	if err != nil {
		t.Fatal(err)
	}
	if c != nil {
		ln = tls.NewListener(ln, c)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				answer(conn)
			}()
		}
	}()

	return uint16(ln.Addr().(*net.TCPAddr).Port)
}

// middlebox passes connections on to a server and changes what the server says
// before TLS.
func middlebox(t *testing.T, to string, change func(line string) string) (port uint16) {
	t.Helper()
	return serve(t, nil, func(inside net.Conn) { pass(inside, to, change) })
}

func pass(inside net.Conn, to string, change func(string) string) {
	outside, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer outside.Close()
	go func() { _, _ = io.Copy(outside, inside); _ = outside.Close() }()
	r := bufio.NewReader(outside)
	for {
		line, err := r.ReadString('\n')
		if strings.HasPrefix(line, "220 2.0.0 Ready to start TLS") || strings.Contains(line, "Begin TLS") {
			_, _ = io.WriteString(inside, line)
			_, _ = io.Copy(inside, r)
			return
		}
		if _, wrong := io.WriteString(inside, change(line)); err != nil || wrong != nil {
			return
		}
	}
}

func TestStrippedSTARTTLS(t *testing.T) {
	names(t, append(office(), "host-record=client.office.example,"+client4)...)
	p := newPKI(t)
	cert, key := p.put(t, folder(t), issue{})
	postfix(t, cert, key).await(t, mail4+":587")
	dovecot(t, cert, key).await(t, mail4+":143")
	for _, tt := range []struct {
		name    string
		service doctor.Service
		to      string
		change  func(string) string
		want    []string
	}{
		{"written over in SMTP", doctor.Submission, ":587", func(l string) string { return strings.Replace(l, "STARTTLS", "XXXXXXXA", 1) }, []string{"starttls-stripped"}},
		{"taken out of SMTP", doctor.SMTP, ":25", func(l string) string { return strings.Replace(l, "250-STARTTLS\r\n", "", 1) }, []string{"starttls-stripped"}},
		{"taken out of IMAP", doctor.IMAP, ":143", func(l string) string { return strings.Replace(l, " STARTTLS", "", 1) }, []string{"starttls-stripped"}},
		{"left alone", doctor.Submission, ":587", func(l string) string { return l }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request()
			r.Host, r.Name, r.Service = client4, mailName, tt.service
			r.Port = middlebox(t, mail4+tt.to, tt.change)
			expect(t, ask(t, p, r), tt.want...)
		})
	}
}

// TestInjection lets a server be examined that carries out what came before
// TLS. No server of today does; this one is made for it.
func TestInjection(t *testing.T) {
	names(t, append(office(), "host-record=client.office.example,"+client4)...)
	p := newPKI(t)
	certFile, keyFile := p.put(t, folder(t), issue{})
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	port := serve(t, nil, func(conn net.Conn) { credulous(conn, &tls.Config{Certificates: []tls.Certificate{cert}}) })
	r := &doctor.Request{Host: client4, Name: mailName, Port: port, Service: doctor.SMTP}
	expect(t, ask(t, p, r), "starttls-injection")
}

// credulous keeps its buffer when TLS begins.
func credulous(conn net.Conn, c *tls.Config) {
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	w := io.Writer(conn)
	fmt.Fprint(w, "220 old\r\n")
	lines := bufio.NewReader(conn)
	var early *bufio.Reader
	for {
		from := lines
		if early != nil && early.Buffered() > 0 {
			from = early
		}
		line, err := from.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(strings.TrimSpace(line)); {
		case strings.HasPrefix(verb, "EHLO"):
			fmt.Fprint(w, "250-old\r\n250 STARTTLS\r\n")
		case verb == "STARTTLS":
			fmt.Fprint(w, "220 go\r\n")
			secure := tls.Server(conn, c)
			early, w, lines = lines, secure, bufio.NewReader(secure)
			if secure.Handshake() != nil {
				return
			}
		case verb == "QUIT":
			fmt.Fprint(w, "221 bye\r\n")
			return
		default:
			fmt.Fprint(w, "250 ok\r\n")
		}
	}
}

// TestTheWayThere breaks what lies between the doctor and a port.
func TestTheWayThere(t *testing.T) {
	names(t, append(office(), "host-record=silent.office.example,"+silent4, "host-record=empty.office.example,"+client4)...)
	// The way to it ends in a link that nobody listens on, as behind a firewall.
	for _, command := range []string{
		"link add silent type veth peer name nobody", "link set silent up", "link set nobody up",
		"route replace " + silent4 + " dev silent", "neigh replace " + silent4 + " lladdr 02:00:00:00:00:09 dev silent nud permanent",
	} {
		if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", command, err, out)
		}
	}
	noise := serve(t, nil, func(conn net.Conn) { _, _ = io.WriteString(conn, "SSH-2.0-OpenSSH_9.2\r\n") })
	for _, tt := range []struct {
		name string
		r    doctor.Request
		want []string
	}{
		{"a name that nobody knows", doctor.Request{Host: "nowhere.office.example"}, []string{"name-unknown"}},
		{"no program there", doctor.Request{Host: "empty.office.example"}, []string{"port-closed"}},
		{"no program on the port", doctor.Request{Host: "empty.office.example", Port: 993}, []string{"port-closed"}},
		{"a firewall that drops", doctor.Request{Host: "silent.office.example", Port: 993}, []string{"port-silent"}},
		{"no way there", doctor.Request{Host: "203.0.113.5", Port: 993}, []string{"no-route"}},
		{"another program on the port", doctor.Request{Host: client4, Port: noise}, []string{"not-mail"}},
		{"a domain that nobody knows", doctor.Request{Host: "empty.office.example", Domain: "nowhere.example"}, []string{"port-closed", "domain-unknown"}},
	} {
		t.Run(tt.name, func(t *testing.T) { expect(t, ask(t, nil, &tt.r), tt.want...) })
	}
	t.Run("the name server is gone", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		report, err := doctor.New(&doctor.Config{DNS: client4 + ":53"}).Examine(ctx, &doctor.Request{Host: mailName, Domain: "office.example"})
		if err != nil {
			t.Fatal(err)
		}
		expect(t, report, "dns-silent") // one cause, one finding
	})
}
