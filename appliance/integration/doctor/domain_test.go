package doctor_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/doctor"
	"pillarbox/appliance/setup"
)

// dkim makes a record with an RSA key.
func dkim(t *testing.T, bits int) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&rsaKey(t, bits).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
}

// txt is a record of dnsmasq's in strings of at most 255 octets.
func txt(name, value string) string {
	line := "txt-record=" + name
	for len(value) > 0 {
		n := min(len(value), 200)
		line += `,"` + value[:n] + `"`
		value = value[n:]
	}
	return line
}

// policy serves the MTA-STS policy of the office.
func policy(t *testing.T, p *pki, text string) {
	t.Helper()
	certFile, keyFile := p.put(t, folder(t), issue{change: func(c *x509.Certificate) { c.DNSNames = []string{"mta-sts.office.example"} }})
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", mail4+":443", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/.well-known/mta-sts.txt" || text == "" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(text))
	})}
	go func() { _ = s.Serve(ln) }()
	t.Cleanup(func() { _ = s.Close() })
}

// TestDomain breaks the records of a domain one by one. The server itself is
// a name where nothing listens.
func TestDomain(t *testing.T) {
	p := newPKI(t)
	good := dkim(t, 2048)
	ed := make([]byte, 32)
	_, _ = rand.Read(ed)
	host := "host-record=" + mailName + "," + mail4
	mx := "mx-host=office.example," + mailName + ",10"
	spf := "txt-record=office.example,v=spf1 mx -all"
	dmarc := "txt-record=_dmarc.office.example,v=DMARC1; p=reject"
	sts := "txt-record=_mta-sts.office.example,v=STSv1; id=1"
	stsHost := "host-record=mta-sts.office.example," + mail4
	whole := "version: STSv1\nmode: enforce\nmx: *.office.example\nmax_age: 86400\n"
	for _, tt := range []struct {
		name    string
		records []string
		policy  string
		change  func(*doctor.Request)
		want    []string
	}{
		{"all is well", []string{
			host, mx, spf, dmarc, sts, stsHost, txt("s2026._domainkey.office.example", good),
			txt("e2026._domainkey.office.example", "v=DKIM1; k=ed25519; p="+base64.StdEncoding.EncodeToString(ed)),
			"srv-host=_imaps._tcp.office.example," + mailName + ",993", "srv-host=_submissions._tcp.office.example," + mailName + ",465",
		}, whole, func(r *doctor.Request) { r.Selectors = []string{"s2026", "e2026"} }, nil},
		{"no MX", []string{host, "host-record=office.example," + mail4, spf, dmarc}, "", nil, []string{"mx-missing"}},
		{"an MX that leads nowhere", []string{host, "mx-host=office.example,gone.office.example,10", spf, dmarc}, "", nil, []string{"mx-dangling"}},
		{"no mail wanted", []string{host, "mx-host=office.example,.,0", spf, dmarc}, "", nil, []string{"note:mx-none"}},
		{"no SPF", []string{host, mx, dmarc}, "", nil, []string{"spf-missing"}},
		{"two SPF", []string{host, mx, dmarc, spf, "txt-record=office.example,v=spf1 a -all"}, "", nil, []string{"spf-wrong"}},
		{"SPF with a mistake", []string{host, mx, dmarc, "txt-record=office.example,v=spf1 ipv4:192.0.2.1 -all"}, "", nil, []string{"spf-wrong"}},
		{"SPF for the whole world", []string{host, mx, dmarc, "txt-record=office.example,v=spf1 mx +all"}, "", nil, []string{"spf-all"}},
		{"SPF without an end", []string{host, mx, dmarc, "txt-record=office.example,v=spf1 mx"}, "", nil, []string{"spf-open"}},
		{"SPF that includes nothing", []string{host, mx, dmarc, "txt-record=office.example,v=spf1 include:gone.example -all"}, "", nil, []string{"spf-wrong"}},
		{"SPF that asks too much", []string{host, mx, dmarc, "txt-record=office.example,v=spf1 a a a include:more.example -all",
			"txt-record=more.example,v=spf1 a a a a mx mx mx -all"}, "", nil, []string{"spf-wrong"}},
		{"SPF in a circle", []string{host, mx, dmarc, "txt-record=office.example,v=spf1 include:b.example -all",
			"txt-record=b.example,v=spf1 include:office.example -all"}, "", nil, []string{"spf-wrong"}},
		{"no DKIM", []string{host, mx, spf, dmarc}, "", func(r *doctor.Request) { r.Selectors = []string{"s2026"} }, []string{"dkim-missing"}},
		{"DKIM that was cut", []string{host, mx, spf, dmarc, txt("s2026._domainkey.office.example", good[:200])}, "", func(r *doctor.Request) { r.Selectors = []string{"s2026"} }, []string{"dkim-wrong"}},
		{"DKIM that was withdrawn", []string{host, mx, spf, dmarc, txt("mail._domainkey.office.example", "v=DKIM1; p=")}, "", nil, []string{"dkim-wrong"}},
		{"DKIM with a short key", []string{host, mx, spf, dmarc, txt("mail._domainkey.office.example", "v=DKIM1; p="+shortKey)}, "", nil, []string{"dkim-weak"}},
		{"no DMARC", []string{host, mx, spf}, "", nil, []string{"dmarc-missing"}},
		{"two DMARC", []string{host, mx, spf, dmarc, "txt-record=_dmarc.office.example,v=DMARC1; p=none"}, "", nil, []string{"dmarc-wrong"}},
		{"DMARC with a mistake", []string{host, mx, spf, "txt-record=_dmarc.office.example,v=DMARC1; p=block"}, "", nil, []string{"dmarc-wrong"}},
		{"DMARC that only watches", []string{host, mx, spf, "txt-record=_dmarc.office.example,v=DMARC1; p=none; rua=mailto:a@office.example"}, "", nil, []string{"note:dmarc-none"}},
		{"no MTA-STS", []string{host, mx, spf, dmarc}, "", nil, []string{"note:mta-sts-missing"}},
		{"MTA-STS without a policy", []string{host, mx, spf, dmarc, sts, stsHost}, "", nil, []string{"mta-sts-wrong"}},
		{"MTA-STS with a mistake", []string{host, mx, spf, dmarc, sts, stsHost}, "version: STSv1\nmode: strict\nmx: a\nmax_age: 1\n", nil, []string{"mta-sts-wrong"}},
		{"MTA-STS for another server", []string{host, mx, spf, dmarc, sts, stsHost}, "version: STSv1\nmode: enforce\nmx: old.office.example\nmax_age: 86400\n", nil, []string{"mta-sts-mx"}},
		{"no SRV", []string{host, mx, spf, dmarc}, "", nil, []string{"note:srv-missing"}},
		{"SRV that leads nowhere", []string{host, mx, spf, dmarc, "srv-host=_imaps._tcp.office.example,gone.office.example,993"}, "", nil, []string{"srv-wrong"}},
		{"SRV where nothing answers", []string{host, mx, spf, dmarc, "srv-host=_imaps._tcp.office.example," + mailName + ",994"}, "", nil, []string{"srv-wrong"}},
		{"SRV to 990", []string{host, mx, spf, dmarc, "srv-host=_imaps._tcp.office.example," + mailName + ",990"}, "", nil, []string{"srv-990"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			names(t, tt.records...)
			policy(t, p, tt.policy)
			for _, port := range []string{"993", "465", "990"} {
				ln, err := net.Listen("tcp", mail4+":"+port)
				if err != nil {
					t.Fatal(err)
				}
				defer ln.Close()
			}
			// Port 24 is closed; what is asked for is the domain.
			r := &doctor.Request{Host: mailName, Port: 24, Domain: "office.example"}
			if tt.change != nil {
				tt.change(r)
			}
			expect(t, ask(t, p, r), append([]string{"port-closed"}, tt.want...)...)
		})
	}
}

// published is an office whose box tells of its servers.
type published struct{ out *setup.Server }

func (o published) Facts(context.Context, netip.Addr) (*setup.Facts, error) {
	return &setup.Facts{
		Domains: []string{"office.example"}, IMAP: setup.Server{Host: mailName, Port: 993, Security: setup.TLS}, Outgoing: o.out,
		Addresses: []netip.Addr{netip.MustParseAddr(mail4)}, HTTP: 80, HTTPS: 443,
		Mechanisms: []string{"PLAIN", "LOGIN"},
	}, nil
}

func (published) Person(context.Context, string) (*setup.Person, error) { return nil, setup.ErrNobody }

// TestDoctorAgreesWithTheRecordsThatTheBoxShows in "pillarbox setup records", and
// with what it answers there.
func TestDoctorAgreesWithTheRecordsThatTheBoxShows(t *testing.T) {
	p := newPKI(t)
	for name, tt := range map[string]struct {
		out     *setup.Server
		missing string
	}{
		"no sending":    {nil, "_submissions._tcp.office.example"},
		"sending":       {&setup.Server{Host: mailName, Port: 465, Security: setup.TLS}, ""},
		"with STARTTLS": {&setup.Server{Host: mailName, Port: 587, Security: setup.STARTTLS}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := setup.New(&setup.Config{Office: published{tt.out}, Logger: slog.New(slog.DiscardHandler)})
			all, err := s.Records(t.Context(), "office.example")
			if err != nil {
				t.Fatal(err)
			}
			lines := []string{"mx-host=office.example," + mailName + ",10", "txt-record=office.example,v=spf1 mx -all", "txt-record=_dmarc.office.example,v=DMARC1; p=reject"}
			for _, r := range all {
				lines = append(lines, dnsmasqRecord(t, r))
			}
			names(t, lines...)
			servePages(t, func(w http.ResponseWriter, r *http.Request) { s.Handler(r, false).ServeHTTP(w, r) })
			for _, port := range []string{"993", "465", "587"} {
				ln, err := net.Listen("tcp", mail4+":"+port)
				if err != nil {
					t.Fatal(err)
				}
				defer ln.Close()
			}
			report := ask(t, p, &doctor.Request{Host: mailName, Port: 24, Domain: "office.example"})
			expect(t, report, "port-closed")
			missing := ""
			for _, f := range report.Findings {
				if strings.HasPrefix(f.ID, "srv-") {
					missing += f.What
				}
			}
			if !strings.HasSuffix(missing, tt.missing) || tt.missing == "" && missing != "" {
				t.Errorf("of the SRV records it says %q", missing)
			}
		})
	}
}

// dnsmasqRecord says a record in dnsmasq's words.
func dnsmasqRecord(t *testing.T, r setup.Record) string {
	t.Helper()
	words := strings.Fields(r.Data)
	switch r.Type {
	case "A", "AAAA":
		return "host-record=" + r.Name + "," + r.Data
	case "CNAME":
		return "cname=" + r.Name + "," + strings.TrimSuffix(r.Data, ".")
	case "SRV":
		if words[3] == "." {
			return "srv-host=" + r.Name // there is no such service
		}
		return "srv-host=" + r.Name + "," + strings.TrimSuffix(words[3], ".") + "," + words[2] + "," + words[0] + "," + words[1]
	}
	t.Fatalf("a record of the type %s", r.Type)
	return ""
}

// shortKey is an RSA key of 512 bits, which Go makes no more.
const shortKey = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAOCaGeEBXHQJCKhksy5AvvJ3+hHQ3daET4O/fYhcZKriSrZ6f1YdxJYfHFJr4qfIYZcNRVGs3UQycsN+Sz4KfQcCAwEAAQ=="

// timeServer is one of NTP (RFC 5905) that is off by a time.
func timeServer(t *testing.T, off time.Duration) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", client4+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		b := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if n < 48 {
				continue
			}
			a := make([]byte, 48)
			a[0], a[1], a[2], a[3] = 4<<3|4, 2, 6, 0xec // server, stratum 2
			copy(a[24:32], b[40:48])
			stamp := func(at []byte, moment time.Time) {
				binary.BigEndian.PutUint32(at, uint32(moment.Unix()+2208988800))
				binary.BigEndian.PutUint32(at[4:], uint32(int64(moment.Nanosecond())<<32/1e9))
			}
			now := time.Now().Add(off)
			stamp(a[16:], now.Add(-time.Minute))
			stamp(a[32:], now)
			stamp(a[40:], now)
			_, _ = conn.WriteTo(a, from)
		}
	}()
	return conn.LocalAddr().String()
}

func TestClock(t *testing.T) {
	names(t, "host-record=client.office.example,"+client4)
	for _, tt := range []struct {
		name string
		off  time.Duration
		gone bool
		want []string
	}{
		{"right", 0, false, nil},
		{"some seconds slow", 10 * time.Second, false, []string{"clock-off"}},
		{"an hour fast", -time.Hour, false, []string{"clock-wrong"}},
		{"no time server answers", 0, true, []string{"clock-unknown"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := client4 + ":9"
			if !tt.gone {
				server = timeServer(t, tt.off)
			}
			r := &doctor.Request{Host: client4, Port: 24, TimeServers: []string{server}}
			report := ask(t, nil, r)
			expect(t, report, append([]string{"port-closed"}, tt.want...)...)
			if strings.Contains(say(report), "not checked: the clock: no time server was named") {
				t.Error("the time server was not asked")
			}
		})
	}
}
