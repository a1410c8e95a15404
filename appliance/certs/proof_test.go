package certs

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// TestAFirewallThatHangsHoldsUpNoHandshake, nor the proof itself, which another
// CA may be reading.
func TestAFirewallThatHangsHoldsUpNoHandshake(t *testing.T) {
	asked, answer := make(chan struct{}, 1), make(chan struct{})
	m := &Manager{proofs: proofs{
		log: slog.New(slog.NewTextHandler(t.Output(), nil)), http: "127.0.0.1:0", tls: "127.0.0.1:0",
		config: func() *tls.Config { return &tls.Config{} },
		open: func(ctx context.Context, _ int, open bool) error {
			if _, bounded := ctx.Deadline(); !open && !bounded {
				t.Error("the firewall may take for ever to close a port")
			}
			asked <- struct{}{}
			<-answer
			return nil
		},
		texts: map[string]string{}, certs: map[string]*tls.Certificate{},
	}}
	c := acme.Challenge{Token: "token", KeyAuthorization: "token.key", Identifier: acme.Identifier{Type: "dns", Value: "mail.office.example"}}
	for _, solver := range []acmez.Solver{httpProof{&m.proofs}, tlsProof{&m.proofs}} {
		presented := make(chan error, 1)
		go func() { presented <- solver.Present(t.Context(), c) }()
		<-asked
		served := make(chan string, 1)
		go func() {
			m.proof(&tls.ClientHelloInfo{ServerName: "another.example", SupportedProtos: []string{protocolACME}})
			w := httptest.NewRecorder()
			m.proofs.serveText(w, httptest.NewRequest(http.MethodGet, c.HTTP01ResourcePath(), nil))
			body, _ := io.ReadAll(w.Body)
			served <- string(body)
		}()
		select {
		case body := <-served:
			if body != c.KeyAuthorization {
				t.Errorf("the proof is %q", body)
			}
		case <-time.After(20 * time.Second):
			t.Error("nobody is served while the firewall is asked")
		}
		answer <- struct{}{}
		if err := <-presented; err != nil {
			t.Fatal(err)
		}
	}
	for _, solver := range []acmez.Solver{httpProof{&m.proofs}, tlsProof{&m.proofs}} {
		cleaned := make(chan error, 1)
		go func() { cleaned <- solver.CleanUp(t.Context(), c) }()
		<-asked
		answer <- struct{}{}
		if err := <-cleaned; err != nil {
			t.Error(err)
		}
	}
}
