package integration_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pillarbox/appliance/integration/rig"
)

// thunderbirdTime bounds a start, a script and an end. Alone on a machine of two
// cores they take a few seconds.
const thunderbirdTime = 3 * time.Minute

// thunderbird is one that runs without a screen and is driven from inside, by
// Marionette: lines of JSON with their length in front.
type thunderbird struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	last int // message
}

// startThunderbird starts one with a new profile that trusts the certificates in
// the files, and reaches the network through a SOCKS proxy alone.
func startThunderbird(t *testing.T, proxy string, trusted ...string) *thunderbird {
	t.Helper()
	program, certutil := rig.Tool(t, "thunderbird", "thunderbird"), rig.Tool(t, "certutil", "libnss3-tools")
	home, profile := t.TempDir(), t.TempDir()
	(&rig.Command{Path: certutil, Args: []string{"-N", "-d", "sql:" + profile, "--empty-password"}}).MustRun(t)
	for i, file := range trusted {
		(&rig.Command{Path: certutil, Args: []string{"-A", "-d", "sql:" + profile, "-n", fmt.Sprintf("box %d", i), "-t", "C,,", "-i", file}}).MustRun(t)
	}
	host, port, err := net.SplitHostPort(proxy)
	if err != nil {
		t.Fatal(err)
	}
	prefs := fmt.Sprintf(`user_pref("marionette.port", 0);
user_pref("network.proxy.type", 1);
user_pref("network.proxy.socks", %q);
user_pref("network.proxy.socks_port", %s);
user_pref("network.proxy.socks_remote_dns", true);
user_pref("mail.provider.suppress_dialog_on_startup", true);
user_pref("mailnews.start_page.enabled", false);
user_pref("datareporting.policy.dataSubmissionPolicyBypassNotification", true);
`, host, port)
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(prefs), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--headless", "--no-remote", "--profile", profile, "--marionette", "--remote-allow-system-access")
	log := &tail{}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "HOME="+home, "MOZ_HEADLESS=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it has children
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it is told to end, or is killed
	}()
	b := &thunderbird{t: t}
	t.Cleanup(func() {
		if b.conn != nil {
			_, _ = b.send("Marionette:Quit", map[string]any{"flags": []string{"eForceQuit"}})
			_ = b.conn.Close()
		}
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Log("Thunderbird does not end by itself")
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what is left of them
		<-ended
		if t.Failed() {
			t.Logf("Thunderbird said:\n%s", log)
		}
	})
	b.connect(filepath.Join(profile, "MarionetteActivePort"), ended)
	b.must("WebDriver:NewSession", map[string]any{"capabilities": map[string]any{}})
	b.must("Marionette:SetContext", map[string]any{"value": "chrome"})
	b.must("WebDriver:SetTimeouts", map[string]any{"script": thunderbirdTime.Milliseconds()})

	return b
}

func (b *thunderbird) connect(file string, ended chan struct{}) {
	b.t.Helper()
	for deadline := time.Now().Add(thunderbirdTime); ; {
		if port, err := os.ReadFile(file); err == nil && len(port) > 0 {
			if b.conn, err = net.Dial("tcp", "127.0.0.1:"+string(port)); err == nil {
				break
			}
		}
		select {
		case <-ended:
			b.t.Fatal("Thunderbird ended at once")
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			b.t.Fatal("Thunderbird does not start")
		}
	}
	b.in = bufio.NewReader(b.conn)
	if _, err := b.receive(); err != nil { // its greeting
		b.t.Fatal(err)
	}
}

// run runs a script in Thunderbird, which returns a promise of what can be
// written as JSON. The result is read into v.
func (b *thunderbird) run(v any, script string, args ...any) {
	b.t.Helper()
	wrapped := `const args = [...arguments]; const done = args.pop();
(async (...args) => {` + script + `})(...args).then(v => done({value: v}), e => done({error: String(e) + " " + (e && e.stack), cause: String(e && e.cause && e.cause.fluentTitleId)}));`
	if args == nil {
		args = []any{}
	}
	var r struct {
		Value struct {
			Value        json.RawMessage
			Error, Cause string
		}
	}
	if err := json.Unmarshal(b.must("WebDriver:ExecuteAsyncScript", map[string]any{"script": wrapped, "args": args}), &r); err != nil {
		b.t.Fatal(err)
	}
	if r.Value.Error != "" {
		b.t.Fatalf("Thunderbird: %s (%s)", r.Value.Error, r.Value.Cause)
	}
	if err := json.Unmarshal(r.Value.Value, v); err != nil {
		b.t.Fatalf("%v: %s", err, r.Value.Value)
	}
}

func (b *thunderbird) must(command string, args any) json.RawMessage {
	b.t.Helper()
	result, err := b.send(command, args)
	if err != nil {
		b.t.Fatalf("%s: %v", command, err)
	}

	return result
}

func (b *thunderbird) send(command string, args any) (json.RawMessage, error) {
	b.last++
	text, err := json.Marshal([]any{0, b.last, command, args})
	if err != nil {
		return nil, err
	}
	if err := b.conn.SetDeadline(time.Now().Add(thunderbirdTime + 10*time.Second)); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(b.conn, "%d:%s", len(text), text); err != nil {
		return nil, err
	}
	answer, err := b.receive()
	if err != nil {
		return nil, err
	}
	var parts [4]json.RawMessage
	if err := json.Unmarshal(answer, &parts); err != nil {
		return nil, err
	}
	if string(parts[2]) != "null" {
		return nil, errors.New(string(parts[2]))
	}

	return parts[3], nil
}

func (b *thunderbird) receive() ([]byte, error) {
	length, err := b.in.ReadString(':')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(length, ":"))
	if err != nil {
		return nil, err
	}
	text := make([]byte, n)
	_, err = io.ReadFull(b.in, text)

	return text, err
}

// tail keeps the end of what is written.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-16<<10):]
	return len(p), nil
}

func (t *tail) String() string { return string(t.text) }

// maze is a SOCKS proxy (RFC 1928) through which names and ports lead to where a
// test wants them: a program that goes through it needs no name server and
// reaches nothing else.
type maze struct {
	ways  map[string]string // "name:port" → "address:port"
	asked chan string       // what was asked for; what does not fit is dropped
	addr  string
}

func newMaze(t *testing.T, ways map[string]string) *maze {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(func() { stop(); _ = ln.Close() })
	m := &maze{ways: ways, asked: make(chan string, 4096), addr: ln.Addr().String()}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go m.lead(ctx, c)
		}
	}()

	return m
}

func (m *maze) lead(ctx context.Context, c net.Conn) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	in := bufio.NewReader(c)
	octets := func(n int) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(in, b); err != nil {
			return nil
		}
		return b
	}
	hello := octets(2)
	if hello == nil || octets(int(hello[1])) == nil {
		return
	}
	_, _ = c.Write([]byte{5, 0})
	head := octets(5)
	if head == nil || head[1] != 1 || head[3] != 3 {
		return // no name to connect to
	}
	name := octets(int(head[4]))
	port := octets(2)
	if name == nil || port == nil {
		return
	}
	wanted := net.JoinHostPort(string(name), strconv.Itoa(int(port[0])<<8|int(port[1])))
	select {
	case m.asked <- wanted:
	default:
	}
	refused, granted := []byte{5, 4, 0, 1, 0, 0, 0, 0, 0, 0}, []byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	to, ok := m.ways[wanted]
	if !ok {
		_, _ = c.Write(refused)
		return
	}
	out, err := net.Dial("tcp", to)
	if err != nil {
		_, _ = c.Write(refused)
		return
	}
	defer out.Close()
	_, _ = c.Write(granted)
	go func() {
		_, _ = io.Copy(out, in)
		_ = out.Close()
	}()
	_, _ = io.Copy(c, out)
}

// seen returns what was asked for so far, each once.
func (m *maze) seen() map[string]bool {
	all := map[string]bool{}
	for {
		select {
		case s := <-m.asked:
			all[s] = true
		default:
			return all
		}
	}
}
