package access_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/access"
	"pillarbox/appliance/certs"
)

const hint = "* BYE this port speaks TLS only\r\n"

// logged collects log lines for a test.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// lines returns the records with a message, decoded.
func (l *logged) lines(t *testing.T, msg string) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []map[string]any
	for line := range strings.Lines(l.b.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		if m["msg"] == msg {
			found = append(found, m)
		}
	}
	return found
}

// forget empties the log.
func (l *logged) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

// await returns the first record with a message as soon as there is one.
func (l *logged) await(t *testing.T, msg string) map[string]any {
	t.Helper()
	for range 3000 {
		if found := l.lines(t, msg); len(found) > 0 {
			return found[0]
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("no log line %q; the log is:\n%s", msg, l.b.String())
	return nil
}

// port is a TLS port under test.
type port struct {
	addr   string
	log    *logged
	lis    *access.Listener
	client *tls.Config // trusts the port's CA
	caFile string
	stop   func() error // ends Serve and returns what it returned
}

func newCerts(t testing.TB) *certs.Manager {
	t.Helper()
	m, err := certs.Open(t.Context(), &certs.Config{
		Dir:    t.TempDir(),
		Logger: slog.New(slog.DiscardHandler),
		Names:  func() []string { return []string{"localhost", "127.0.0.1", "::1"} },
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func clientConfig(t testing.TB, caFile string) *tls.Config {
	t.Helper()
	b, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		t.Fatal("no certificate in the CA's file")
	}
	return &tls.Config{RootCAs: pool, ServerName: "localhost"}
}

func serve(t testing.TB, network, addr string, c access.Config, h access.Handler) *port {
	t.Helper()
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, ln, c, h)
}

func serveOn(t testing.TB, ln net.Listener, c access.Config, h access.Handler) *port {
	t.Helper()
	m := newCerts(t)
	p := &port{log: &logged{}, caFile: m.CAFile(), client: clientConfig(t, m.CAFile())}
	c.Logger = slog.New(slog.NewJSONHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p.lis = access.New(&c)
	p.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.lis.Serve(ctx, ln, "imaps", m.TLSConfig(), h) }()
	p.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(20 * time.Second):
			t.Error("Serve does not return")
			return nil
		}
	})
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return p
}

// echo answers lines until the client or ctx ends.
func echo(ctx context.Context, c *access.Conn) {
	stop := context.AfterFunc(ctx, func() { c.SetReadDeadline(time.Now()) })
	defer stop()
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if _, err := io.WriteString(c, line); err != nil {
			return
		}
	}
}

// talk sends a line and expects it back.
func talk(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 6)
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if string(got) != "hello\n" {
		t.Fatalf("got %q", got)
	}
}

func dial(t *testing.T, p *port) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", p.addr, p.client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestServeIPv4AndIPv6(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(addr, func(t *testing.T) {
			ln, err := net.Listen("tcp", addr)
			if err != nil {
				t.Skip("this machine has no such address: ", err)
			}
			ln.Close()
			p := serve(t, "tcp", addr, access.Config{}, echo)
			c := dial(t, p)
			talk(t, c)
			if got := p.lis.Open(); got != 1 {
				t.Errorf("Open() = %d, want 1", got)
			}
			c.Close()
			awaitOpen(t, p.lis, 0)
		})
	}
}

func awaitOpen(t *testing.T, l *access.Listener, want int) {
	t.Helper()
	for range 3000 {
		if l.Open() == want {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("Open() = %d, want %d", l.Open(), want)
}

func TestHandshakeFailureReasons(t *testing.T) {
	send := func(text string) func(*testing.T, *port, net.Conn) string {
		return func(t *testing.T, _ *port, c net.Conn) string {
			if _, err := io.WriteString(c, text); err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(c)
			return string(b)
		}
	}
	shake := func(change func(*tls.Config)) func(*testing.T, *port, net.Conn) string {
		return func(t *testing.T, p *port, c net.Conn) string {
			conf := p.client.Clone()
			change(conf)
			tc := tls.Client(c, conf)
			err := tc.Handshake()
			if err == nil {
				// TLS 1.3: the server's refusal arrives with the first read.
				_, err = tc.Read(make([]byte, 1))
			}
			if err == nil {
				t.Error("the handshake succeeded")
			}
			return ""
		}
	}
	openssl := func(args ...string) func(*testing.T, *port, net.Conn) string {
		return func(t *testing.T, p *port, c net.Conn) string {
			c.Close()
			cmd := exec.Command("openssl", append([]string{"s_client", "-connect", p.addr}, args...)...)
			if out, err := cmd.CombinedOutput(); err == nil {
				t.Errorf("openssl %v succeeded:\n%s", args, out)
			}
			return ""
		}
	}
	tests := []struct {
		name   string
		client func(*testing.T, *port, net.Conn) string
		reason string
		answer string
	}{
		{"plain IMAP", send("a1 NOOP\r\n"), "not TLS: the client speaks IMAP without encryption, by the looks of it", hint},
		{"plain HTTP", send("GET / HTTP/1.1\r\n\r\n"), "not TLS: the client speaks HTTP without encryption", hint},
		{"plain SMTP", send("EHLO example.com\r\n"), "not TLS: the client speaks SMTP without encryption", hint},
		{"binary", send("\x00\x01\x02\x03\x04\x05"), "not TLS: the client sends something unknown", hint},
		{
			"SSL 2 hello", send("\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + strings.Repeat("\x01", 40)),
			"the client speaks only protocols older than TLS 1.2 (SSL 2)", "",
		},
		{"silence", func(_ *testing.T, _ *port, c net.Conn) string {
			b, _ := io.ReadAll(c)
			return string(b)
		}, "the client sent nothing; one that is set to no encryption or STARTTLS waits like that for a greeting", hint},
		{"half a hello", func(_ *testing.T, _ *port, c net.Conn) string {
			io.WriteString(c, "\x16\x03\x01\x02\x00\x01")
			b, _ := io.ReadAll(c)
			return string(b)
		}, "the client did not finish the handshake in time", ""},
		{"port scan", func(_ *testing.T, _ *port, c net.Conn) string {
			c.Close()
			return ""
		}, "the client connected and left without a word (a port scan or a health check)", ""},
		{"leaves in the middle", func(_ *testing.T, _ *port, c net.Conn) string {
			io.WriteString(c, "\x16\x03\x01\x02\x00\x01")
			c.Close()
			return ""
		}, "the client left in the middle of the handshake; some do that when they do not trust the certificate", ""},
		{
			"TLS 1.0 only", shake(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 }),
			"the client speaks only protocols older than TLS 1.2", "",
		},
		{"TLS 1.2 with CBC alone", shake(func(c *tls.Config) {
			c.MaxVersion = tls.VersionTLS12
			c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
		}), "no cipher that both sides know", ""},
		{"no shared curve", openssl("-tls1_3", "-groups", "ffdhe2048"), "no key exchange that both sides know", ""},
		{
			"Go client without our CA", shake(func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }),
			"the client does not accept our certificate: its CA is not installed on the device, or the name differs", "",
		},
		{
			"OpenSSL client without our CA", openssl("-verify_return_error", "-verify", "1"),
			"the client does not trust our CA: install its certificate on the device", "",
		},
		{"nonsense inside TLS", send("\x16\x03\x01\x00\x05\x63\x00\x00\x01\x00"), "what the client sent is not correct TLS", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			timeout := time.Minute
			if tt.name == "silence" || tt.name == "half a hello" {
				timeout = 300 * time.Millisecond // for these alone: a slow machine needs longer for a handshake
			}
			p := serve(t, "tcp", "127.0.0.1:0",
				access.Config{HandshakeTimeout: timeout, PlainHint: hint},
				func(context.Context, *access.Conn) { t.Error("a session began") })
			c, err := net.Dial("tcp", p.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(20 * time.Second))
			answer := tt.client(t, p, c)
			var reasons []string
			for range 3000 {
				reasons = nil
				for _, m := range p.log.lines(t, "TLS handshake failed") {
					for _, key := range []string{"remote", "port", "sni", "err"} {
						if m[key] == nil {
							t.Errorf("the log line lacks %s", key)
						}
					}
					reasons = append(reasons, m["reason"].(string))
				}
				if strings.Contains(strings.Join(reasons, "\n"), tt.reason) {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if !strings.Contains(strings.Join(reasons, "\n"), tt.reason) {
				t.Errorf("reasons in the log: %q, want %q", reasons, tt.reason)
			}
			if tt.answer == "" && strings.Contains(answer, "BYE") || tt.answer != "" && answer != tt.answer {
				t.Errorf("the client got %q, want %q", answer, tt.answer)
			}
			awaitOpen(t, p.lis, 0)
		})
	}
}

func TestFailedHandshakeNamesSNI(t *testing.T) {
	p := serve(t, "tcp", "127.0.0.1:0", access.Config{}, echo)
	conf := p.client.Clone()
	conf.RootCAs = x509.NewCertPool()
	conf.ServerName = "mail.office.example"
	if _, err := tls.Dial("tcp", p.addr, conf); err == nil {
		t.Fatal("the handshake succeeded")
	}
	if got := p.log.await(t, "TLS handshake failed")["sni"]; got != "mail.office.example" {
		t.Errorf("sni = %v", got)
	}
}

func TestTooManyConnectionsAreClosedAtOnce(t *testing.T) {
	tests := []struct {
		name   string
		conf   access.Config
		reason string
		shake  bool // whether those within the bound finish their handshakes
	}{
		{"in all", access.Config{MaxConns: 2}, "too many connections in all", true},
		{"handshakes in all", access.Config{MaxHandshakes: 2}, "too many handshakes in all", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := serve(t, "tcp", "127.0.0.1:0", tt.conf, echo)
			var held []net.Conn
			for range 2 {
				if tt.shake {
					c := dial(t, p)
					talk(t, c)
					held = append(held, c)
					continue
				}
				c, err := net.Dial("tcp", p.addr)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				held = append(held, c)
			}
			awaitOpen(t, p.lis, 2)
			c, err := net.Dial("tcp", p.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(20 * time.Second))
			if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || os.IsTimeout(err) {
				t.Errorf("read %d octets, error %v; want a closed connection", n, err)
			}
			if got := p.log.await(t, "connection refused")["reason"]; got != tt.reason {
				t.Errorf("reason %q, want %q", got, tt.reason)
			}
			// A place that becomes free is given again.
			held[0].Close()
			awaitOpen(t, p.lis, 1)
			talk(t, dial(t, p))
		})
	}
}

func TestGracefulStop(t *testing.T) {
	t.Run("a session finishes its command", func(t *testing.T) {
		running := make(chan struct{})
		p := serve(t, "tcp", "127.0.0.1:0", access.Config{}, func(ctx context.Context, c *access.Conn) {
			close(running)
			<-ctx.Done()
			time.Sleep(100 * time.Millisecond)
			io.WriteString(c, "* BYE\r\n")
		})
		c := dial(t, p)
		<-running
		if err := p.stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
		b, err := io.ReadAll(c)
		if string(b) != "* BYE\r\n" || err != nil {
			t.Errorf("the client got %q, %v", b, err)
		}
		if _, err := net.Dial("tcp", p.addr); err == nil {
			t.Error("the port is still open")
		}
	})
	t.Run("a session that does not end is cut off", func(t *testing.T) {
		running := make(chan struct{})
		p := serve(t, "tcp", "127.0.0.1:0", access.Config{Grace: 100 * time.Millisecond}, func(_ context.Context, c *access.Conn) {
			close(running)
			io.Copy(io.Discard, c)
		})
		dial(t, p)
		<-running
		start := time.Now()
		if err := p.stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
		if d := time.Since(start); d < 100*time.Millisecond {
			t.Errorf("it was cut off after %v", d)
		}
		p.log.await(t, "sessions did not end in time and are cut off")
	})
	t.Run("a handshake is given up", func(t *testing.T) {
		p := serve(t, "tcp", "127.0.0.1:0", access.Config{HandshakeTimeout: time.Hour, Grace: time.Hour}, echo)
		c, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		awaitOpen(t, p.lis, 1)
		if err := p.stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

func TestPanicEndsOneSession(t *testing.T) {
	first := true
	p := serve(t, "tcp", "127.0.0.1:0", access.Config{}, func(ctx context.Context, c *access.Conn) {
		if first {
			first = false
			panic("out of order")
		}
		echo(ctx, c)
	})
	c := dial(t, p)
	io.Copy(io.Discard, c)
	m := p.log.await(t, "a session broke down")
	if m["err"] != "out of order" || !strings.Contains(m["stack"].(string), "TestPanicEndsOneSession") {
		t.Errorf("log line %v", m)
	}
	awaitOpen(t, p.lis, 0)
	talk(t, dial(t, p))
}

// short is a listener that fails a few times for want of file descriptors.
type short struct {
	net.Listener
	failures []error
}

func (s *short) Accept() (net.Conn, error) {
	if len(s.failures) > 0 {
		err := s.failures[0]
		s.failures = s.failures[1:]
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", err)}
	}
	return s.Listener.Accept()
}

func TestAcceptErrors(t *testing.T) {
	listen := func(t *testing.T, errs ...error) *short {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return &short{ln, errs}
	}
	m := newCerts(t)
	t.Run("a shortage passes", func(t *testing.T) {
		l := access.New(&access.Config{Logger: slog.New(slog.DiscardHandler)})
		ln := listen(t, syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Serve(ctx, ln, "imaps", m.TLSConfig(), echo) }()
		c, err := tls.Dial("tcp", ln.Addr().String(), clientConfig(t, m.CAFile()))
		if err != nil {
			t.Fatal(err)
		}
		talk(t, c)
		c.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Run("anything else is returned", func(t *testing.T) {
		l := access.New(&access.Config{Logger: slog.New(slog.DiscardHandler)})
		err := l.Serve(t.Context(), listen(t, syscall.EINVAL), "imaps", m.TLSConfig(), echo)
		if err == nil || !strings.Contains(err.Error(), "accept connection on port") {
			t.Errorf("Serve: %v", err)
		}
	})
}

func TestLogIsBoundedInRate(t *testing.T) {
	var seconds atomic.Int64
	p := serve(t, "tcp", "127.0.0.1:0", access.Config{Now: func() time.Time { return time.Unix(seconds.Load(), 0) }}, echo)
	for range 120 {
		c, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "a1 NOOP\r\n")
		io.Copy(io.Discard, c)
		c.Close()
	}
	awaitOpen(t, p.lis, 0)
	got := len(p.log.lines(t, "TLS handshake failed"))
	if got != 50 {
		t.Errorf("%d lines for 120 failures at one moment, want the burst of 50", got)
	}
	seconds.Add(1)
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "a1 NOOP\r\n")
	io.Copy(io.Discard, c)
	c.Close()
	awaitOpen(t, p.lis, 0)
	lines := p.log.lines(t, "TLS handshake failed")
	leftOut := 0.0
	for _, m := range lines {
		leftOut += m["left_out"].(float64)
	}
	if diff := cmp.Diff(121, len(lines)+int(leftOut)); diff != "" {
		t.Errorf("lines and those left out (-want +got):\n%s", diff)
	}
}

func BenchmarkHandshake(b *testing.B) {
	p := serve(b, "tcp", "127.0.0.1:0", access.Config{}, echo)
	for _, bb := range []struct {
		name    string
		resumed bool
	}{{"full", false}, {"resumed", true}} {
		b.Run(bb.name, func(b *testing.B) {
			conf := p.client.Clone()
			if bb.resumed {
				conf.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			}
			resumed := 0
			for b.Loop() {
				c, err := tls.Dial("tcp", p.addr, conf)
				if err != nil {
					b.Fatal(err)
				}
				// The ticket comes with the first answer.
				io.WriteString(c, "x\n")
				if _, err := io.ReadFull(c, make([]byte, 2)); err != nil {
					b.Fatal(err)
				}
				if c.ConnectionState().DidResume {
					resumed++
				}
				c.Close()
			}
			if bb.resumed != (resumed > 0) && b.N > 1 {
				b.Errorf("%d of %d handshakes were resumed", resumed, b.N)
			}
		})
	}
}

// TestAPlainPortHasTheSameBounds serves one without TLS.
func TestAPlainPortHasTheSameBounds(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := access.New(&access.Config{Logger: slog.New(slog.DiscardHandler), MaxPerAddress: 2, BoundLoopback: true})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- l.ServePlain(ctx, ln, "http", func(ctx context.Context, c net.Conn) {
			stop := context.AfterFunc(ctx, func() { c.SetReadDeadline(time.Now()) })
			defer stop()
			_, _ = io.Copy(c, c)
		})
	}()
	call := func() net.Conn {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	first, second := call(), call()
	talk(t, first)
	talk(t, second)
	if n := l.OpenAt("http"); n != 2 || l.OpenAt("imaps") != 0 {
		t.Errorf("%d connections are open at http, %d at imaps", n, l.OpenAt("imaps"))
	}
	third := call()
	third.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := third.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("one too many is answered: %v", err)
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("ServePlain does not return")
	}
}
