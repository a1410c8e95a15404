package metrics_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"pillarbox/appliance/metrics"
)

// page is a server of metrics.
type page struct {
	address string
	stop    func() error // waits until it has ended
}

func serve(t *testing.T, m *metrics.Metrics) *page {
	t.Helper()
	pair := httptest.NewTLSServer(nil)
	t.Cleanup(pair.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &metrics.Server{
		Metrics: m, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), TLS: &tls.Config{Certificates: pair.TLS.Certificates},
		Token: func() (metrics.TokenHash, bool) { return metrics.HashToken("token"), true },
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	p := &page{address: ln.Addr().String()}
	p.stop = func() error { cancel(); return <-ended }
	return p
}

// visitor is connected to the page.
type visitor struct {
	conn net.Conn
	r    *bufio.Reader
}

func (p *page) visit(t *testing.T) *visitor {
	t.Helper()
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 20 * time.Second}, Config: &tls.Config{InsecureSkipVerify: true}}
	c, err := d.DialContext(t.Context(), "tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &visitor{c, bufio.NewReader(c)}
}

// ask returns the answer, and whether the connection stays open after it.
func (v *visitor) ask(t *testing.T, request, token string) (status int, stays bool) {
	t.Helper()
	fmt.Fprintf(v.conn, "%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", request, token)
	resp, err := http.ReadResponse(v.r, nil)
	if err != nil {
		t.Error(err)
		return 0, false
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Error(err)
	}
	return resp.StatusCode, !resp.Close
}

// TestAStrangerKeepsNoPlace of the few that there are, whatever is asked for.
func TestAStrangerKeepsNoPlace(t *testing.T) {
	p := serve(t, full())
	for _, request := range []string{"GET /metrics", "GET /", "POST /metrics", "OPTIONS *"} {
		v := p.visit(t)
		if status, stays := v.ask(t, request, "wrong"); status != http.StatusUnauthorized || stays {
			t.Errorf("%s: %d, and the connection stays open: %v", request, status, stays)
		} else if _, err := v.r.ReadByte(); err != io.EOF {
			t.Errorf("%s: the connection is not closed: %v", request, err)
		}
	}
	if status, stays := p.visit(t).ask(t, "GET /metrics", "token"); status != http.StatusOK || !stays {
		t.Errorf("Prometheus: %d, and its connection stays open: %v", status, stays)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

// TestNobodyLooksAfterTheEnd: what is looked at may be closed then.
func TestNobodyLooksAfterTheEnd(t *testing.T) {
	looks, goOn := make(chan struct{}), make(chan struct{})
	looking := false
	m := metrics.New(&metrics.Config{Look: func() metrics.Present {
		looking = true
		close(looks)
		<-goOn
		looking = false
		return metrics.Present{}
	}})
	p := serve(t, m)
	answered := make(chan int, 1)
	v := p.visit(t)
	go func() {
		defer close(answered)
		status, _ := v.ask(t, "GET /metrics", "token")
		answered <- status
	}()
	<-looks
	time.AfterFunc(200*time.Millisecond, func() { close(goOn) })
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if looking {
		t.Error("it has ended, and somebody still looks")
	}
	if status := <-answered; status != http.StatusOK {
		t.Errorf("the last to look: %d", status)
	}
}
