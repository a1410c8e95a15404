package imap_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	imaplib "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/imap"
	"pillarbox/storage"
)

// office is a server over real storage, with the accounts alice and bob. Each
// has INBOX, Drafts, Sent, Junk, Trash and Archive, all subscribed, and the
// password "secret".
type office struct {
	t      testing.TB
	dir    string // of the store
	store  *storage.Store
	server *imap.Server
	log    *journal
	faults bool // panics are part of the test

	ctx   context.Context // until the server is to stop
	stop  context.CancelFunc
	conns sync.WaitGroup
	addr  string // of the TLS listener, once there is one
}

// newOffice opens an office; change may alter its configuration before that.
func newOffice(t testing.TB, change ...func(*imap.Config)) *office {
	t.Helper()
	o := &office{t: t, dir: t.TempDir(), log: &journal{}}
	ctx, stop := context.WithCancel(context.Background())
	o.ctx, o.stop = ctx, stop
	logger := slog.New(slog.NewTextHandler(o.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	store, err := storage.Open(ctx, &storage.Config{Dir: o.dir, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	o.store = store
	for _, id := range []storage.AccountID{"alice", "bob"} {
		err := store.CreateAccount(ctx, id, []storage.NewMailbox{
			{Name: "Drafts", SpecialUse: imaplib.MailboxAttrDrafts, Subscribed: true},
			{Name: "Sent", SpecialUse: imaplib.MailboxAttrSent, Subscribed: true},
			{Name: "Junk", SpecialUse: imaplib.MailboxAttrJunk, Subscribed: true},
			{Name: "Trash", SpecialUse: imaplib.MailboxAttrTrash, Subscribed: true},
			{Name: "Archive", SpecialUse: imaplib.MailboxAttrArchive, Subscribed: true},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	config := &imap.Config{
		Accounts: store,
		Stager:   store,
		Auth:     passwords{"alice": "secret", "bob": "secret"},
		Logger:   logger,
		Version:  "1.2.3",
		Limits:   imap.Limits{LoginDelay: time.Millisecond},
	}
	for _, f := range change {
		f(config)
	}
	o.server = imap.New(config)
	t.Cleanup(o.close)
	return o
}

// close stops the server as a shutdown does, and fails the test if a handler
// panicked, a session did not end, or storage cannot be closed.
func (o *office) close() {
	o.stop()
	o.conns.Wait()
	if n := o.server.Stats().Panics; n != 0 && !o.faults {
		o.t.Errorf("%d handlers panicked:\n%s", n, o.log)
	}
	if n := o.server.Stats().Sessions; n != 0 {
		o.t.Errorf("%d sessions are left", n)
	}
	if err := o.store.Close(); err != nil {
		o.t.Error(err)
	}
}

// account returns an account for a test that works behind the session's back.
func (o *office) account(id storage.AccountID) *storage.Account {
	o.t.Helper()
	a, err := o.store.Account(context.Background(), id)
	if err != nil {
		o.t.Fatal(err)
	}
	return a
}

// deliver puts messages into a mailbox, as another session would.
func (o *office) deliver(id storage.AccountID, mailbox string, messages ...string) []imaplib.UID {
	o.t.Helper()
	ctx := context.Background()
	a := o.account(id)
	var msgs []storage.AppendMessage
	for _, text := range messages {
		body, err := o.store.Stage(ctx, strings.NewReader(text))
		if err != nil {
			o.t.Fatal(err)
		}
		defer body.Close()
		msgs = append(msgs, storage.AppendMessage{Body: body})
	}
	box := a.Mailbox(mailbox)
	if box == nil {
		o.t.Fatalf("there is no mailbox %q", mailbox)
	}
	res, err := a.Append(ctx, box.ID, msgs)
	if err != nil {
		o.t.Fatal(err)
	}
	return res.UIDs
}

// serve serves one end of a connection.
func (o *office) serve(c net.Conn) {
	o.conns.Go(func() { o.server.ServeConn(o.ctx, c) })
}

// dial connects over TLS and reads the greeting.
func (o *office) dial() *client {
	o.t.Helper()
	c := o.dialRaw()
	c.greeting()
	return c
}

// dialRaw connects over TLS.
func (o *office) dialRaw() *client {
	o.t.Helper()
	conn, err := tls.Dial("tcp", o.listen(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		o.t.Fatal(err)
	}
	return newClient(o.t, conn)
}

// dialPipe connects through memory, as tests with fake time need.
func (o *office) dialPipe() *client {
	o.t.Helper()
	ours, theirs := net.Pipe()
	o.serve(pipe{theirs})
	c := newClient(o.t, ours)
	c.greeting()
	return c
}

// login connects as alice.
func (o *office) login() *client { o.t.Helper(); return o.loginAs("alice") }

// loginAs connects as somebody.
func (o *office) loginAs(name string) *client {
	o.t.Helper()
	c := o.dial()
	c.quiet("LOGIN " + name + " secret")
	return c
}

// loginPipe connects as alice through memory.
func (o *office) loginPipe() *client {
	o.t.Helper()
	c := o.dialPipe()
	c.quiet("LOGIN alice secret")
	return c
}

// library connects go-imap's client as alice.
func (o *office) library(options *imapclient.Options) *imapclient.Client {
	o.t.Helper()
	if options == nil {
		options = &imapclient.Options{}
	}
	options.TLSConfig = &tls.Config{InsecureSkipVerify: true}
	c, err := imapclient.DialTLS(o.listen(), options)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { _ = c.Close() })
	if err := c.Login("alice", "secret").Wait(); err != nil {
		o.t.Fatal(err)
	}
	return c
}

// listen starts the TLS listener unless it runs.
func (o *office) listen() string {
	o.t.Helper()
	if o.addr != "" {
		return o.addr
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate()}})
	if err != nil {
		o.t.Fatal(err)
	}
	o.addr = l.Addr().String()
	context.AfterFunc(o.ctx, func() { _ = l.Close() })
	o.conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			o.serve(c)
		}
	})
	return o.addr
}

// pipe is a net.Pipe with addresses that look like the network's.
type pipe struct{ net.Conn }

func (pipe) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 993} }
func (pipe) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2), Port: 4711} }

// passwords is the directory of the tests; the real one is slow on purpose.
type passwords map[string]string

func (p passwords) Authenticate(_ context.Context, login, password string, _ net.Addr) (imap.Identity, error) {
	name, _, _ := strings.Cut(login, "@")
	if login == "broken" {
		return imap.Identity{}, fmt.Errorf("open directory: %w", io.ErrUnexpectedEOF)
	}
	if want, ok := p[name]; !ok || want != password {
		return imap.Identity{}, fmt.Errorf("check password: %w", imap.ErrCredentials)
	}
	return imap.Identity{Account: storage.AccountID(name), Address: name + "@example.com"}, nil
}

// journal collects log lines.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// certificate returns a certificate made for these tests.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "localhost"},
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// client speaks IMAP by script.
type client struct {
	t    testing.TB
	conn net.Conn
	br   *bufio.Reader
	tags int

	patience time.Duration
}

// patience is how long a client waits for one answer of the server, unless it
// has its own.
const patience = 20 * time.Second

func newClient(t testing.TB, conn net.Conn) *client {
	t.Cleanup(func() { _ = conn.Close() })
	return &client{t: t, conn: conn, br: bufio.NewReader(conn), patience: patience}
}

func (c *client) greeting() {
	c.t.Helper()
	if line := c.line(); !strings.HasPrefix(line, "* OK [CAPABILITY IMAP4rev1 ") {
		c.t.Fatalf("greeting: %q", line)
	}
}

// line reads one response, with the literals it holds.
func (c *client) line() string {
	c.t.Helper()
	line, err := c.read()
	if err != nil {
		c.t.Fatalf("read response after %q: %v", line, err)
	}
	return line
}

// announced finds the size of a literal at the end of a line.
var announced = regexp.MustCompile(`~?\{(\d+)(\+?)\}\r\n$`)

func (c *client) read() (string, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(c.patience))
	var all strings.Builder
	for {
		line, err := c.br.ReadString('\n')
		all.WriteString(line)
		if err != nil {
			return all.String(), err
		}
		m := announced.FindStringSubmatch(line)
		if m == nil {
			return strings.TrimSuffix(all.String(), "\r\n"), nil
		}
		n, _ := strconv.ParseInt(m[1], 10, 64)
		if _, err := io.CopyN(&all, c.br, n); err != nil {
			return all.String(), err
		}
	}
}

// write sends bytes as they are.
func (c *client) write(text string) {
	c.t.Helper()
	_ = c.conn.SetWriteDeadline(time.Now().Add(c.patience))
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatalf("send %.60q: %v", text, err)
	}
}

// send sends a command with a new tag, which it returns. After a synchronising
// literal's announcement it waits for the server's "+"; if that does not come,
// the rest is not sent and the answer is returned as early.
func (c *client) send(command string) (tag, early string) {
	c.t.Helper()
	c.tags++
	tag = "t" + strconv.Itoa(c.tags)
	rest := tag + " " + command + "\r\n"
	for rest != "" {
		i := strings.Index(rest, "\r\n") + 2
		line := rest[:i]
		rest = rest[i:]
		if m := announced.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1])
			n = min(n, len(rest))
			if m[2] == "" {
				c.write(line)
				if early = c.line(); !strings.HasPrefix(early, "+") {
					return tag, early
				}
				early, line = "", ""
			}
			line += rest[:n]
			rest = rest[n:]
		}
		if line != "" {
			c.write(line)
		}
	}
	return tag, ""
}

// run sends a command and returns its untagged responses and its tagged one,
// without the tag.
func (c *client) run(command string) (untagged []string, tagged string) {
	c.t.Helper()
	tag, line := c.send(command)
	if line == "" {
		line = c.line()
	}
	for {
		if rest, ok := strings.CutPrefix(line, tag+" "); ok {
			return untagged, rest
		}
		untagged = append(untagged, line)
		line = c.line()
	}
}

// do sends a command and compares all its responses. In what is wanted, "…"
// stands for anything; the last is the tagged response without the tag.
func (c *client) do(command string, want ...string) {
	c.t.Helper()
	got, tagged := c.run(command)
	c.compare(command, append(got, tagged), want)
}

// expect reads as many responses as are wanted.
func (c *client) expect(want ...string) {
	c.t.Helper()
	var got []string
	for range want {
		got = append(got, c.line())
	}
	c.compare("responses", got, want)
}

// quiet sends a command that must be answered by OK, and passes over the rest.
func (c *client) quiet(command string) {
	c.t.Helper()
	if _, tagged := c.run(command); !strings.HasPrefix(tagged, "OK ") {
		c.t.Fatalf("%.80q was answered %q", command, tagged)
	}
}

// closed expects the server to close the connection.
func (c *client) closed() {
	c.t.Helper()
	if line, err := c.read(); err == nil || line != "" {
		c.t.Fatalf("the connection is still open: %q", line)
	}
}

func (c *client) compare(what string, got, want []string) {
	c.t.Helper()
	shown := append([]string(nil), want...)
	for i := range min(len(got), len(shown)) {
		if fits(want[i], got[i]) {
			shown[i] = got[i]
		}
	}
	if diff := cmp.Diff(shown, got); diff != "" {
		c.t.Fatalf("%.80q (-want +got):\n%s", what, diff)
	}
}

// fits tells whether text is as wanted, "…" standing for anything.
func fits(want, text string) bool {
	parts := strings.Split(want, "…")
	if len(parts) == 1 {
		return want == text
	}
	rest, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}
