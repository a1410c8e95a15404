package appliance_test

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

// dialFrom connects to an address from one of this machine's own.
func dialFrom(t *testing.T, from, to string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
	c, err := d.DialContext(t.Context(), "tcp4", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })

	return c
}

// isOpen tells whether the other end has not closed a connection within a time.
func isOpen(c net.Conn, within time.Duration) bool {
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return false
	}
	for buf := make([]byte, 1<<10); ; {
		if _, err := c.Read(buf); err != nil {
			return errors.Is(err, os.ErrDeadlineExceeded)
		}
	}
}

// TestSlowConnectionsToThePagesAreBounded has one address begin more handshakes
// than it may, and go on with none; others open pages meanwhile. Who then says
// nothing, or too slowly, is hung up on.
func TestSlowConnectionsToThePagesAreBounded(t *testing.T) {
	t.Parallel()
	c := config(t.TempDir())
	c.BoundLoopback, c.HTTP, c.HTTPS = true, []string{"127.0.0.1:0"}, []string{"127.0.0.1:0"}
	r := start(t, c)
	pages := r.Addresses("https")[0]
	var silent []net.Conn
	for range 120 {
		silent = append(silent, dialFrom(t, "127.0.0.9", pages))
	}
	// The box closes at once whom it does not take.
	time.Sleep(500 * time.Millisecond)
	var open []net.Conn
	for _, c := range silent {
		if isOpen(c, time.Millisecond) {
			open = append(open, c)
		}
	}
	t.Logf("%d of %d silent connections of one address are open", len(open), len(silent))
	if len(open) == 0 || len(open) > 64 {
		t.Errorf("%d silent connections of one address are open, want 64 at most", len(open))
	}
	browser := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer browser.CloseIdleConnections()
	began := time.Now()
	res, err := browser.Get("https://" + pages + "/claim")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	t.Logf("a page of somebody else came after %v", time.Since(began).Round(time.Millisecond))
	if res.StatusCode != http.StatusOK {
		t.Errorf("a page of somebody else: status %d", res.StatusCode)
	}
	if testing.Short() {
		return // what follows takes ten seconds
	}

	// Half a ClientHello; a handshake and then nothing; a request a letter a second.
	half := dialFrom(t, "127.0.0.8", pages)
	if _, err := half.Write([]byte{0x16, 0x03, 0x01, 0x02}); err != nil {
		t.Fatal(err)
	}
	shaken := tls.Client(dialFrom(t, "127.0.0.8", pages), &tls.Config{InsecureSkipVerify: true})
	slow := tls.Client(dialFrom(t, "127.0.0.8", pages), &tls.Config{InsecureSkipVerify: true})
	plain := dialFrom(t, "127.0.0.8", r.Addresses("http")[0])
	for _, c := range []*tls.Conn{shaken, slow} {
		if err := c.HandshakeContext(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []net.Conn{slow, plain} {
		go func() {
			for _, b := range []byte("GET /claim HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: aaaaaaaaaaaaaaaaaaaaaaaaaa") {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
	}
	began = time.Now()
	for what, c := range map[string]net.Conn{
		"a silent one": open[0], "half a greeting": half, "a handshake and then nothing": shaken, "a slow request": slow, "a slow request on the plain port": plain,
	} {
		if isOpen(c, time.Until(began.Add(30*time.Second))) {
			t.Errorf("%s is still open after 30 seconds", what)
		}
		t.Logf("%s was closed after less than %v", what, time.Since(began).Round(time.Second))
	}
	var rest int
	for _, c := range open {
		if isOpen(c, time.Millisecond) {
			rest++
		}
	}
	if rest > 0 {
		t.Errorf("%d silent connections are still open", rest)
	}
}
