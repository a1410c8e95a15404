package imap_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	imaplib "github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap"
	"pillarbox/storage"
)

// openings bring a session into a state; the fuzzed bytes follow.
var openings = []string{
	"",
	"a LOGIN u p\r\n",
	"a LOGIN u p\r\nb SELECT INBOX\r\n",
	"a LOGIN u p\r\nb EXAMINE INBOX\r\n",
	"a LOGIN u p\r\nb ENABLE IMAP4rev2 UTF8=ACCEPT CONDSTORE\r\nc SELECT INBOX\r\nd STORE 2 +FLAGS (\\Deleted)\r\ne SEARCH RETURN (SAVE) ALL\r\n",
	"a LOGIN u p\r\nb ENABLE QRESYNC\r\nc SELECT INBOX\r\nd STORE 2 +FLAGS (\\Deleted)\r\ne EXPUNGE\r\n",
}

// arena holds the account that fuzzed sessions work on. It is replaced from
// time to time, since they change it.
type arena struct {
	store  *storage.Store
	server *imap.Server
	id     storage.AccountID
	runs   int
}

func (a *arena) Authenticate(context.Context, string, string, net.Addr) (imap.Identity, error) {
	return imap.Identity{Account: a.id, Address: "u@example.com"}, nil
}

func newArena(f *testing.F) *arena {
	logger := slog.New(slog.DiscardHandler)
	store, err := storage.Open(context.Background(), &storage.Config{Dir: f.TempDir(), Logger: logger})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = store.Close() })
	a := &arena{store: store}
	a.server = imap.New(&imap.Config{
		Accounts: store,
		Stager:   store,
		Auth:     a,
		Logger:   logger,
		Limits:   imap.Limits{LoginDelay: 1, AppendSize: 1 << 16},
	})
	return a
}

// renew makes a new account every few hundred runs.
func (a *arena) renew(t *testing.T) {
	if a.runs++; a.runs%256 != 1 {
		return
	}
	ctx := context.Background()
	if a.id != "" {
		if err := a.store.DeleteAccount(ctx, a.id); err != nil {
			t.Fatal(err)
		}
	}
	a.id = storage.AccountID(fmt.Sprintf("u%d", a.runs))
	err := a.store.CreateAccount(ctx, a.id, []storage.NewMailbox{{Name: "Trash", SpecialUse: imaplib.MailboxAttrTrash}})
	if err != nil {
		t.Fatal(err)
	}
	acct, err := a.store.Account(ctx, a.id)
	if err != nil {
		t.Fatal(err)
	}
	var msgs []storage.AppendMessage
	for _, text := range []string{
		letter,
		"Subject: =?utf-8?q?=C3=BC?=\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nfirst\r\n--x\r\nContent-Type: message/rfc822\r\n\r\n" + letter + "\r\n--x--\r\n",
		"no header at all",
		strings.Repeat("X-Long: line\r\n", 200) + "\r\n" + strings.Repeat("=E4", 1000),
	} {
		body, err := a.store.Stage(ctx, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		msgs = append(msgs, storage.AppendMessage{Body: body})
	}
	if _, err := acct.Append(ctx, acct.Mailbox(storage.Inbox).ID, msgs); err != nil {
		t.Fatal(err)
	}
	if err := acct.SetQuota(ctx, 8<<20); err != nil {
		t.Fatal(err)
	}
}

// script is a connection on which everything was sent already.
type script struct {
	pipe
	in    io.Reader
	out   int64
	chunk int
}

func (s *script) Read(p []byte) (int, error)     { return s.in.Read(p[:min(len(p), s.chunk)]) }
func (s *script) Write(p []byte) (int, error)    { s.out += int64(len(p)); return len(p), nil }
func (*script) Close() error                     { return nil }
func (*script) SetReadDeadline(time.Time) error  { return nil }
func (*script) SetWriteDeadline(time.Time) error { return nil }

// FuzzSession sends any bytes in every state. No handler may panic, the
// session must end by itself, leave nothing running, and not use memory out
// of proportion.
func FuzzSession(f *testing.F) {
	for state := range byte(len(openings)) {
		for _, seed := range sessionSeeds {
			f.Add(state, seed)
		}
	}
	a := newArena(f)
	f.Fuzz(func(t *testing.T, state byte, data string) {
		if len(data) > 4<<10 {
			t.Skip("longer input shows nothing new")
		}
		a.renew(t)
		opening := openings[int(state)%len(openings)]
		conn := &script{in: io.MultiReader(strings.NewReader(opening), bytes.NewReader([]byte(data))), chunk: 1 + int(state)*16}
		goroutines := runtime.NumGoroutine()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)

		done := make(chan struct{})
		go func() {
			defer close(done)
			a.server.ServeConn(t.Context(), conn)
		}()
		select {
		case <-done:
		case <-time.After(30 * time.Second):
			t.Fatal("the session hangs")
		}

		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 256<<20 {
			t.Errorf("%d octets of input took %d MiB", len(data), grown>>20)
		}
		if n := a.server.Stats().Panics; n != 0 {
			t.Errorf("%d handlers panicked", n)
		}
		for wait := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > goroutines; time.Sleep(time.Millisecond) {
			if time.Now().After(wait) {
				t.Fatalf("%d goroutines before, %d after", goroutines, runtime.NumGoroutine())
			}
		}
	})
}

// sessionSeeds have something of every command, right and wrong.
var sessionSeeds = []string{
	"",
	"\r\n",
	"x CAPABILITY\r\nx NOOP\r\nx ID (\"name\" NIL)\r\nx STARTTLS\r\nx LOGOUT\r\n",
	"x LOGIN {1+}\r\nu {1}\r\np\r\nx AUTHENTICATE PLAIN\r\n*\r\nx AUTHENTICATE LOGIN dQ==\r\ncA==\r\n",
	"x AUTHENTICATE PLAIN AHUAcA==\r\n",
	"x LIST \"\" (\"*\" %) RETURN (STATUS (MESSAGES UIDNEXT))\r\nx LSUB \"\" %\r\nx XLIST \"\" *\r\nx LIST (SUBSCRIBED RECURSIVEMATCH) \"\" *%*%*\r\n",
	"x CREATE &AOQ-/b (USE (\\Junk))\r\nx RENAME &AOQ-/b c\r\nx SUBSCRIBE c\r\nx DELETE c\r\nx RENAME INBOX d\r\nx NAMESPACE\r\n",
	"x STATUS INBOX (MESSAGES RECENT SIZE DELETED DELETED-STORAGE HIGHESTMODSEQ)\r\nx GETQUOTAROOT INBOX\r\nx SETQUOTA \"\" (STORAGE 1)\r\n",
	"x APPEND INBOX (\\Seen kw) \"01-Jan-2024 00:00:00 +0000\" {5+}\r\nhello ~{3+}\r\na\x00b\r\nx APPEND INBOX {0+}\r\n\r\n",
	"x APPEND INBOX {99999999+}\r\nx DELETE Trash\r\n",
	"x APPEND INBOX UTF8 (~{5+}\r\nhello)\r\nx APPEND None {15+}\r\nx DELETE Trash\r\n\r\n",
	"x IDLE\r\nDONE\r\nx IDLE\r\nx NOOP\r\n",
	"x ENABLE QRESYNC\r\nx SELECT INBOX (QRESYNC (1 1 1:9 (1:2 1:2)))\r\nx UID FETCH 1:* (SAVEDATE EMAILID THREADID) (CHANGEDSINCE 1 VANISHED)\r\n",
	"x UID FETCH 4294967295,* (UID) (VANISHED CHANGEDSINCE 0)\r\nx UID FETCH $ (UID) (CHANGEDSINCE 1 VANISHED)\r\nx STATUS INBOX (MAILBOXID)\r\n",
	"x SEARCH OR EMAILID M1-1 THREADID T\r\nx UID SEARCH SAVEDON 1-Feb-2026 SAVEDATESUPPORTED 1\r\nx MOVE 1 Trash\r\nx CLOSE\r\n",
	"x SELECT INBOX (CONDSTORE)\r\nx FETCH 1:* (UID FLAGS ENVELOPE BODYSTRUCTURE MODSEQ)\r\nx CLOSE\r\n",
	"x FETCH 1:* ALL\r\nx UID FETCH 1:* (BODY[HEADER.FIELDS (Subject)]<0.10> BODY.PEEK[2.1.TEXT] BINARY[1] BINARY.SIZE[2] RFC822.PEEK)\r\n",
	"x STORE 1:* +FLAGS (\\Deleted $x)\r\nx UID STORE 1 (UNCHANGEDSINCE 1) FLAGS.SILENT ()\r\nx EXPUNGE\r\nx UID EXPUNGE 1:*\r\n",
	"x SEARCH RETURN (SAVE COUNT MIN) OR (NOT SEEN) BODY \"e\" LARGER 1\r\nx COPY $ Trash\r\nx UID MOVE $ Trash\r\nx FETCH $ UID\r\n",
	"x SEARCH CHARSET UTF-8 SUBJECT {2+}\r\n\xc3\xbc HEADER X \"\" SINCE 1-Jan-2020 YOUNGER 5 MODSEQ 1 1:*,$\r\n",
	"x SEARCH " + strings.Repeat("NOT (", 100) + "ALL" + strings.Repeat(")", 100) + "\r\n",
	"x UNSELECT\r\nx EXAMINE Trash\r\nx CHECK\r\nx STORE 1 FLAGS ()\r\n",
	"x LOGIN {4294967296+}\r\n",
	"x FETCH 4294967295:* (FLAGS)\r\nx FETCH 0 FLAGS\r\nx FETCH *:1 BODY[1.2.3.4.5.6.7.8.9.1.2.3]\r\n",
	strings.Repeat("(", 500) + "\r\n" + strings.Repeat("x ", 500) + "\r\n",
}
