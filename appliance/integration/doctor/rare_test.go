package doctor_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"pillarbox/appliance/doctor"
)

// front ends TLS before a server that speaks it, with a certificate of its own:
// neither Dovecot nor Postfix staples anything.
func front(t *testing.T, to string, cert tls.Certificate) (port uint16) {
	t.Helper()
	return serve(t, &tls.Config{Certificates: []tls.Certificate{cert}}, func(inside net.Conn) {
		if inside.(*tls.Conn).Handshake() != nil {
			return
		}
		outside, err := tls.Dial("tcp", to, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer outside.Close()
		go func() { _, _ = io.Copy(outside, inside); _ = outside.Close() }()
		_, _ = io.Copy(inside, outside)
	})
}

func TestStaples(t *testing.T) {
	names(t, append(office(), "host-record=client.office.example,"+client4)...)
	p := newPKI(t)
	p.serve(t)
	certFile, keyFile := p.put(t, folder(t), issue{change: func(c *x509.Certificate) { c.OCSPServer = []string{p.url + "/ocsp"} }})
	serial := big.NewInt(p.serial)
	dovecot(t, certFile, keyFile).await(t, mail4+":993")
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	word := func(change func(*ocsp.Response)) []byte {
		answer := ocsp.Response{Status: ocsp.Good, SerialNumber: serial, ThisUpdate: time.Now().Add(-2 * time.Hour), NextUpdate: time.Now().Add(time.Hour)}
		change(&answer)
		der, err := ocsp.CreateResponse(p.between, p.between, answer, p.betweenKey)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	for _, tt := range []struct {
		name   string
		staple []byte
		want   []string
	}{
		{"good", word(func(*ocsp.Response) {}), nil},
		{"no OCSP at all", []byte("<html>503</html>"), []string{"staple-wrong"}},
		{"run out", word(func(r *ocsp.Response) { r.NextUpdate = time.Now().Add(-time.Hour) }), []string{"staple-wrong"}},
		{"another certificate's", word(func(r *ocsp.Response) { r.SerialNumber = big.NewInt(7) }), []string{"staple-wrong"}},
		{"not known to the CA", word(func(r *ocsp.Response) { r.Status = ocsp.Unknown }), []string{"staple-wrong"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if testing.Short() && tt.name != "good" && tt.name != "run out" {
				t.Skip("one of each in a short run")
			}
			cert.OCSPStaple = tt.staple
			r := request()
			r.Host, r.Name, r.Service = client4, mailName, doctor.IMAPS
			r.Port = front(t, mail4+":993", cert)
			expect(t, ask(t, p, r), tt.want...)
		})
	}
}

// TestReverseNamesOfWhoSendsNothing are worth a note alone.
func TestReverseNamesOfWhoSendsNothing(t *testing.T) {
	p := newPKI(t)
	cert, key := p.put(t, folder(t), issue{})
	forward := append(office()[1:], "address=/"+mailName+"/"+mail4, "address=/"+mailName+"/"+mail6)
	for _, tt := range []struct {
		name    string
		records []string
		want    string
	}{
		{"none", forward, "note:reverse-missing-note"},
		{"one that leads elsewhere", append(forward[:len(forward):len(forward)],
			"ptr-record=10.2.0.192.in-addr.arpa,host.office.example", "host-record=host.office.example,192.0.2.99"), "note:reverse-mismatch-note"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			names(t, tt.records...)
			dovecot(t, cert, key).await(t, mail4+":993")
			expect(t, ask(t, p, request()), tt.want)
		})
	}
}
