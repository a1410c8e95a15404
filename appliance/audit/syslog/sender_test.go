package syslog_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/audit/syslog"
)

func checkpoint(t *testing.T) *audit.Checkpoint {
	t.Helper()
	l := audit.New(&audit.Config{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	defer l.Close()
	if err := l.Record(t.Context(), audit.Event{Kind: audit.AdminPassword}); err != nil {
		t.Fatal(err)
	}
	c, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	return c
}

// check looks at a message as RFC 5424, section 6 has it.
func check(t *testing.T, message string, c *audit.Checkpoint) {
	t.Helper()
	re := regexp.MustCompile(`^<109>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ box_.office.example pillarbox \d+ audit-checkpoint - (.*)$`)
	m := re.FindStringSubmatch(message)
	if m == nil || m[1] != c.String() {
		t.Errorf("the server got %q", message)
	}
}

func send(t *testing.T, target string, c *audit.Checkpoint) {
	t.Helper()
	s, err := syslog.New(target, "box\n.office.example")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func TestUDP(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	c := checkpoint(t)
	send(t, "udp://"+pc.LocalAddr().String(), c)
	if err := pc.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, _, err := pc.ReadFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	check(t, string(b[:n]), c)
}

func TestStreams(t *testing.T) {
	certificate, ca := selfSigned(t)
	for scheme, listen := range map[string]func() (net.Listener, error){
		"tcp": func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") },
		"tls": func() (net.Listener, error) {
			return tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
		},
	} {
		t.Run(scheme, func(t *testing.T) {
			ln, err := listen()
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			got := make(chan string, 1)
			go func() {
				message, err := readCounted(ln)
				if err != nil {
					message = err.Error()
				}
				got <- message
			}()
			c := checkpoint(t)
			target := scheme + "://" + ln.Addr().String()
			if scheme == "tls" {
				target += "?ca=" + ca
			}
			send(t, target, c)
			check(t, <-got, c)
		})
	}
}

// readCounted takes one message off a stream.
func readCounted(ln net.Listener) (string, error) {
	conn, err := ln.Accept()
	if err != nil {
		return "", err
	}
	defer conn.Close()
	br := bufio.NewReader(conn)
	var n int
	if _, err := fmt.Fscanf(br, "%d ", &n); err != nil {
		return "", err
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(br, b); err != nil {
		return "", err
	}
	rest, err := io.ReadAll(br)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%q is behind the message", rest)
	}

	return string(b), err
}

func TestAServerThatIsNotTrustedGetsNothing(t *testing.T) {
	certificate, _ := selfSigned(t)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		if conn, err := ln.Accept(); err == nil {
			_ = conn.(*tls.Conn).Handshake() // fails at the client's word
			_ = conn.Close()
		}
	}()
	s, err := syslog.New("tls://"+ln.Addr().String(), "box")
	if err != nil {
		t.Fatal(err)
	}
	var unknown x509.UnknownAuthorityError
	if err := s.Send(t.Context(), checkpoint(t)); !errors.As(err, &unknown) {
		t.Errorf("sent to a stranger: %v", err)
	}
}

func TestNobodyThereIsAnError(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := "tcp://" + ln.Addr().String()
	ln.Close()
	s, err := syslog.New(target, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(context.Background(), checkpoint(t)); err == nil || !strings.Contains(err.Error(), "log server") {
		t.Errorf("sent to nobody: %v", err)
	}
}

func TestTargets(t *testing.T) {
	for _, target := range []string{
		"", "log.office.example", "udp://", "http://log", "udp://log/path", "udp://user@log", "tls://log?ca=/nowhere/ca.crt", "udp://:514",
	} {
		if _, err := syslog.New(target, "box"); err == nil {
			t.Errorf("%q is taken for a log server", target)
		}
	}
	for _, target := range []string{"udp://log", "tcp://log", "tls://log", "udp://[::1]:514"} {
		if _, err := syslog.New(target, "box"); err != nil {
			t.Errorf("%q: %v", target, err)
		}
	}
}

// selfSigned makes a certificate for 127.0.0.1 and its file.
func selfSigned(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}

	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}
