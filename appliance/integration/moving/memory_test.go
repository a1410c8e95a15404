package moving_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/importer"
	"pillarbox/appliance/integration/rig"
)

// maxOwn is what the server may take above what it has when nothing happens,
// while it moves 200,000 messages of four people: a small box has 1 GB.
const maxOwn = 150 << 20 // octets

// TestTheBoxStaysSmall moves the mail of four people at the same time, and looks
// at the memory of the server alone. PILLARBOX_MOVE_MEMORY says how many
// messages they have together (make move-test sets 200,000).
func TestTheBoxStaysSmall(t *testing.T) {
	n := setting(t, "PILLARBOX_MOVE_MEMORY", 800)
	const people = 4
	addr, ca := endless(t, n/people)
	o := open(t, &rig.OldServer{CA: ca})
	list := "user,account,password\n"
	for i := range people {
		who := fmt.Sprintf("p%d@office.example", i)
		if i > 0 { // as the box runs
			o.accountCommand(t, "account", "add", who, "--password-stdin")
		} else {
			who = ada
		}
		list += fmt.Sprintf("u%d,%s,secret\n", i, who)
	}
	file := filepath.Join(t.TempDir(), "people.csv")
	if err := os.WriteFile(file, []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	idle := o.memory()
	var most memory
	done := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-done:
				return
			case <-time.After(50 * time.Millisecond):
			}
			now := o.memory()
			most.all, most.own = max(most.all, now.all), max(most.own, now.own)
		}
	}()
	begin := time.Now()
	var job importer.Job
	o.must("", &job, "imap", addr, "--people", file, "--together", strconv.Itoa(people), "--ca", o.ca)
	for end := time.Now().Add(20 * time.Minute); !ended(&job) && time.Now().Before(end); time.Sleep(time.Second) {
		o.must("", &job, "status", job.ID)
	}
	took := time.Since(begin)
	close(done)
	<-watched
	for _, p := range job.People {
		if p.Total.Taken != int64(n/people) || p.OK == nil || !*p.OK {
			t.Errorf("%+v", p)
		}
	}
	t.Logf("%d messages of %d people in %.1f s (%.0f a second): idle %d MB of its own (%d in all), at most %d (%d in all, with pages of files)",
		n, people, took.Seconds(), float64(n)/took.Seconds(), idle.own>>20, idle.all>>20, most.own>>20, most.all>>20)
	if grown := most.own - idle.own; grown > maxOwn {
		t.Errorf("it takes %d MB more than when nothing happens", grown>>20)
	}
}

// accountCommand runs a command that wants a password.
func (o *office) accountCommand(t *testing.T, args ...string) {
	t.Helper()
	if r := o.Command([]byte(password+"\n"), args...).Run(t); r.Err != nil {
		t.Fatalf("%q: %v\n%s", args, r.Err, r.All())
	}
}

// memory is what a process holds, in octets.
type memory struct {
	all int64 // with pages of files, which go when others need the room
	own int64
}

func (o *office) memory() (m memory) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", o.PID()))
	if err != nil {
		return m
	}
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			m.all = kb << 10
		case "RssAnon":
			m.own = kb << 10
		}
	}
	return m
}

// endless is an IMAP server that takes no memory for its mail: it makes each
// message when it is asked for. Everybody has as much.
func endless(t *testing.T, messages int) (addr string, ca []byte) {
	t.Helper()
	cert, key, ca := rig.Certificate(t, t.TempDir(), "127.0.0.1")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go (&endlessConn{c: c, out: bufio.NewWriterSize(c, 32<<10), messages: messages}).serve()
		}
	}()
	return ln.Addr().String(), ca
}

type endlessConn struct {
	c        net.Conn
	out      *bufio.Writer
	user     string
	messages int
}

func (s *endlessConn) serve() {
	defer s.c.Close()
	in := bufio.NewReader(s.c)
	fmt.Fprint(s.out, "* OK ready\r\n")
	for s.out.Flush() == nil {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		tag, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		verb, rest, _ := strings.Cut(command, " ")
		switch verb {
		case "CAPABILITY":
			fmt.Fprint(s.out, "* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\n")
		case "AUTHENTICATE":
			text, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(rest, "PLAIN "))
			s.user = strings.Split(string(text)+"\x00\x00", "\x00")[1]
		case "LIST", "LSUB":
			fmt.Fprintf(s.out, "* %s () \"/\" INBOX\r\n", verb)
		case "STATUS":
			fmt.Fprintf(s.out, "* STATUS INBOX (MESSAGES %d UIDNEXT %d UIDVALIDITY 7)\r\n", s.messages, s.messages+1)
		case "EXAMINE":
			fmt.Fprintf(s.out, "* %d EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT %d] x\r\n", s.messages, s.messages+1)
		case "UID":
			s.uid(rest)
		}
		fmt.Fprintf(s.out, "%s OK done\r\n", tag)
	}
}

func (s *endlessConn) uid(rest string) {
	verb, rest, _ := strings.Cut(rest, " ")
	if verb == "SEARCH" {
		fmt.Fprint(s.out, "* SEARCH")
		for uid := 1; uid <= s.messages; uid++ {
			fmt.Fprintf(s.out, " %d", uid)
		}
		fmt.Fprint(s.out, "\r\n")
		return
	}
	set, items, _ := strings.Cut(rest, " ")
	for part := range strings.SplitSeq(set, ",") {
		from, to, some := strings.Cut(part, ":")
		if !some {
			to = from
		}
		first, _ := strconv.Atoi(from)
		last, _ := strconv.Atoi(to)
		for uid := first; uid <= last; uid++ {
			text := s.text(uid)
			if strings.Contains(items, "BODY.PEEK[]") {
				fmt.Fprintf(s.out, "* %d FETCH (UID %d BODY[] {%d}\r\n%s)\r\n", uid, uid, len(text), text)
			} else {
				fmt.Fprintf(s.out, "* %d FETCH (UID %d FLAGS (\\Seen) INTERNALDATE \"01-Mar-2024 08:00:00 +0100\" RFC822.SIZE %d)\r\n", uid, uid, len(text))
			}
		}
	}
}

// text makes a message: most have 2 KB, one of 100 has 50, one of 5,000 has 5 MB.
func (s *endlessConn) text(uid int) string {
	size := 2 << 10
	switch {
	case uid%5000 == 4999:
		size = 5 << 20
	case uid%100 == 99:
		size = 50 << 10
	}
	head := fmt.Sprintf("From: sender%d@elsewhere.example\r\nTo: %s@old.example\r\nSubject: message %d\r\nMessage-ID: <%d.%s@elsewhere.example>\r\n\r\n", uid%500, s.user, uid, uid, s.user)
	return head + strings.Repeat("So it goes on, line by line, until there is enough of it to be a message.\r\n", size/76)
}
