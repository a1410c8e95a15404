package integration_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/integration/rig"
)

// samples reads a page of metrics: values by name and labels.
func samples(t *testing.T, page []byte) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	lines := bufio.NewScanner(bytes.NewReader(page))
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		i := strings.LastIndexByte(lines.Text(), ' ')
		v, err := strconv.ParseFloat(lines.Text()[i+1:], 64)
		if err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		all[lines.Text()[:i]] = v
	}
	return all
}

func metricsOf(t *testing.T, box *rig.Box) map[string]float64 {
	t.Helper()
	return samples(t, box.Command(nil, "metrics").MustRun(t).Stdout)
}

// TestWhatHappensIsCounted: each thing moves just what it should.
func TestWhatHappensIsCounted(t *testing.T) {
	box := openOffice(t)
	moved := func(what string, do func(), want map[string]float64) {
		t.Helper()
		before := metricsOf(t, box)
		do()
		var after map[string]float64
		for name, by := range want {
			// What is counted when a connection ends may be a moment late.
			for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
				after = metricsOf(t, box)
				if after[name]-before[name] == by || time.Now().After(end) {
					break
				}
			}
			if got := after[name] - before[name]; got != by {
				t.Errorf("%s: %s moved by %v, want %v", what, name, got, by)
			}
		}
		for name, v := range after {
			_, expected := want[name]
			if counts := strings.HasSuffix(strings.Split(name, "{")[0], "_total"); counts && strings.HasPrefix(name, "pillarbox_") && !expected && v != before[name] {
				t.Errorf("%s: %s moved too, by %v", what, name, v-before[name])
			}
		}
	}
	addr := box.IMAPS(t, "tcp4")
	dial := func(version uint16) {
		conf := box.TLS(t)
		conf.MinVersion, conf.MaxVersion = version, version
		w, err := rig.DialWire(addr, conf)
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
	}
	moved("TLS 1.2", func() { dial(tls.VersionTLS12) }, map[string]float64{`pillarbox_tls_handshakes_total{port="imaps",resumed="no",version="TLS 1.2"}`: 1})
	moved("TLS 1.3", func() { dial(tls.VersionTLS13) }, map[string]float64{`pillarbox_tls_handshakes_total{port="imaps",resumed="no",version="TLS 1.3"}`: 1})
	moved("plain text", func() {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "GET / HTTP/1.1\r\n\r\n")
		io.Copy(io.Discard, c)
	}, map[string]float64{`pillarbox_tls_handshake_failures_total{cause="not TLS",port="imaps"}`: 1})
	moved("our CA is not known", func() {
		if c, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "localhost", RootCAs: x509.NewCertPool()}); err == nil {
			c.Close()
			t.Error("a connection without our CA")
		}
	}, map[string]float64{`pillarbox_tls_handshake_failures_total{cause="the client does not accept our certificate",port="imaps"}`: 1})
	moved("a wrong password", func() {
		w, err := rig.DialWire(box.Legacy(t, "tcp4"), box.TLS(t))
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if w.Login(ada, "wrong") == nil {
			t.Error("signed in by a wrong password")
		}
	}, map[string]float64{
		`pillarbox_tls_handshakes_total{port="imaps-legacy",resumed="no",version="TLS 1.3"}`: 1,
		`pillarbox_sign_ins_total{mechanism="LOGIN",port="imaps-legacy",result="refused"}`:   1,
	})
	moved("a delivery", func() {
		l, err := rig.DialLMTP("tcp", box.LMTP(t))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if _, err := l.Deliver("x@elsewhere.example", []string{ada, bob}, letter("counted")); err != nil {
			t.Fatal(err)
		}
	}, map[string]float64{`pillarbox_messages_delivered_total{result="ok"}`: 2, `pillarbox_delivered_bytes_total`: float64(len(letter("counted")))})
	moved("reading it", func() {
		w := box.Wire(t, ada, adaPassword)
		defer w.Close()
		for _, command := range []string{"SELECT INBOX", "UID FETCH 1:* (FLAGS)"} {
			if _, err := w.Do(command); err != nil {
				t.Fatal(err)
			}
		}
	}, map[string]float64{
		`pillarbox_tls_handshakes_total{port="imaps",resumed="no",version="TLS 1.3"}`: 1,
		`pillarbox_sign_ins_total{mechanism="LOGIN",port="imaps",result="ok"}`:        1,
		`pillarbox_imap_command_seconds_count{command="UID FETCH"}`:                   1,
	})
}

// TestPrometheusReadsByATokenAlone, once the settings open its port.
func TestPrometheusReadsByATokenAlone(t *testing.T) {
	box := rig.NewBox(t, binary)
	(&rig.Command{Path: "cp", Args: []string{"-a", template, box.Dir}}).MustRun(t)
	box.Args = []string{"--metrics", "127.0.0.1:0"}
	box.Start(t)
	open := func(settings map[string]any) { settings["ports"].(map[string]any)["metrics"] = true }
	file := writeSettings(t, box, open)
	if out := box.Command(nil, "network", "apply", "--yes", file).Run(t); out.Err == nil || !strings.Contains(out.All(), "pillarbox metrics token") {
		t.Errorf("opened without a token: %s", out.All())
	}
	token, _, _ := strings.Cut(strings.TrimPrefix(string(box.Command(nil, "metrics", "token").MustRun(t).Stdout), "token "), "\n")
	changeSettings(t, box, open)
	line := box.WaitLog(t, "msg=listening", "listener=metrics")
	_, addr, _ := strings.Cut(line, "addr=")
	pem, err := os.ReadFile(box.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"}}}
	defer client.CloseIdleConnections()
	get := func(path, token string) (int, []byte) {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, "https://"+strings.TrimSpace(addr)+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, body
	}
	for _, wrong := range []string{"", "wrong", token + "a"} {
		if status, body := get("/metrics", wrong); status != http.StatusUnauthorized || strings.Contains(string(body), "pillarbox_accounts") {
			t.Errorf("by the token %q: %d %s", wrong, status, body)
		}
	}
	if status, body := get("/metrics", token); status != http.StatusOK || samples(t, body)["pillarbox_accounts"] != 2 {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := get("/", token); status != http.StatusNotFound {
		t.Errorf("another page: %d", status)
	}
	box.Command(nil, "metrics", "token", "--remove").MustRun(t)
	if status, _ := get("/metrics", token); status != http.StatusUnauthorized {
		t.Errorf("by a token that was taken away: %d", status)
	}
	changeSettings(t, box, func(settings map[string]any) { settings["ports"].(map[string]any)["metrics"] = false })
	client.CloseIdleConnections()
	if c, err := net.Dial("tcp", strings.TrimSpace(addr)); err == nil {
		c.Close()
		t.Error("the port is open")
	}
}
