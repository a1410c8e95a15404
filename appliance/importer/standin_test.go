package importer_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pillarbox/appliance/importer"
	"pillarbox/appliance/integration/rig"
)

// standIn is an IMAP server that behaves as it is told: as Exchange documents,
// or worse. Its mail is of one person.
type standIn struct {
	caps  string
	greet string
	token string                  // XOAUTH2 takes it; "" if no token is taken
	holds func(token string) bool // takes others; nil takes none
	boxes []*standBox
	// silence is that of the way to it.
	silence time.Duration
	subs    []string // that LSUB lists, as on the wire; nil: it refuses LSUB
	// answer may answer a command in the server's stead, with lines that end it
	// ("" goes on as usual), or hang up.
	answer func(n int, command string) (text string, hangUp bool)

	conns  sync.Map
	repeat time.Duration // 0: an answer is given once; else for ever

	mu       sync.Mutex
	commands []string // without tags and secrets
	at       net.Addr
	ca       []byte
}

type standBox struct {
	name     string // as it is on the wire
	attrs    string
	validity uint32
	msgs     []standMessage
}

type standMessage struct {
	uid   uint32
	flags string
	date  string // "" for a usual one
	size  int    // 0 for that of the body
	body  string
	fate  string // "", no, drop, trickle (for ever), first (BODY[] before UID), other (of another UID, likewise), nil, unsaid (not listed), ungiven (OK without it), refused (NO when it is listed)
}

const standPassword = "correct horse"

func (s *standIn) start(t *testing.T) *standIn {
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
	s.at, s.ca = ln.Addr(), ca
	if s.greet == "" {
		s.greet = "OK ready"
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.conns.Store(c, nil)
			wg.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		s.hangUp()
		wg.Wait()
	})
	return s
}

// hangUp ends all connections.
func (s *standIn) hangUp() {
	s.conns.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
}

// source signs in to it.
func (s *standIn) source(t *testing.T, change ...func(*importer.Server)) *importer.IMAP {
	t.Helper()
	conf := importer.Server{Host: "127.0.0.1", Port: s.port(), User: "ada", Secret: standPassword, CA: string(s.ca), Connections: 2}
	for _, f := range change {
		f(&conf)
	}
	src, err := importer.NewIMAP(&importer.IMAPConfig{Server: conf, Way: importer.Way{Silence: s.silence}, Logger: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src
}

// bodies counts the commands that ask for messages.
func (s *standIn) bodies() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.commands {
		if strings.Contains(c, "BODY.PEEK") {
			n++
		}
	}
	return n
}

func (s *standIn) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	say := func(format string, args ...any) { fmt.Fprintf(c, format+"\r\n", args...) }
	say("* %s", s.greet)
	var box *standBox
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		tag, command, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		verb, rest, _ := strings.Cut(command, " ")
		s.mu.Lock()
		shown := command
		if verb == "AUTHENTICATE" || verb == "LOGIN" {
			shown = verb
		}
		s.commands = append(s.commands, shown)
		n := len(s.commands)
		s.mu.Unlock()
		if s.answer != nil {
			text, hangUp := s.answer(n, command)
			for text != "" && s.repeat > 0 {
				if _, err := io.WriteString(c, text); err != nil {
					return
				}
				time.Sleep(s.repeat)
			}
			if text != "" {
				fmt.Fprint(c, strings.NewReplacer("(TAG", "(TAG", "TAG", tag).Replace(text)) // (TAG "x") is ESEARCH's
			}
			if hangUp {
				return
			}
			if text != "" {
				continue
			}
		}
		switch verb {
		case "CAPABILITY":
			say("* CAPABILITY %s", s.caps)
		case "ID":
			say(`* ID ("name" "Microsoft.Exchange.Imap4.Imap4Server" "version" "15.20")`)
		case "AUTHENTICATE":
			if why := s.authenticate(c, in, rest); why != "" {
				say("%s NO %s", tag, why)
				continue
			}
		case "NAMESPACE":
			say(`* NAMESPACE (("" "/")) NIL NIL`)
		case "LIST":
			for _, b := range s.boxes {
				say(`* LIST (%s) "/" "%s"`, b.attrs, b.name)
			}
		case "LSUB":
			if s.subs == nil {
				say("%s BAD what is that?", tag)
				continue
			}
			for _, name := range s.subs {
				say(`* LSUB () "/" "%s"`, name)
			}
		case "STATUS":
			if b := s.find(rest); b != nil {
				say(`* STATUS "%s" (MESSAGES %d UIDNEXT %d UIDVALIDITY %d)`, b.name, len(b.msgs), b.next(), b.validity)
			}
		case "EXAMINE":
			if box = s.find(rest); box == nil {
				say("%s NO there is none", tag)
				continue
			}
			say("* %d EXISTS\r\n* FLAGS (\\Seen)\r\n* OK [UIDVALIDITY %d] x\r\n* OK [UIDNEXT %d] x", len(box.msgs), box.validity, box.next())
		case "SEARCH": // UID n
			at := slices.IndexFunc(box.msgs, func(m standMessage) bool { return "UID "+strconv.Itoa(int(m.uid)) == rest })
			say("* SEARCH %d", at+1)
		case "FETCH": // n and the message
			number, items, _ := strings.Cut(rest, " ")
			n, _ := strconv.Atoi(number)
			if s.uid(c, say, tag, fmt.Sprintf("FETCH %d %s", box.msgs[n-1].uid, items), box) {
				return
			}
			continue
		case "UID":
			if s.uid(c, say, tag, rest, box) {
				return
			}
			continue
		case "LOGOUT":
			say("* BYE\r\n%s OK", tag)
			return
		}
		say("%s OK done", tag)
	}
}

func (s *standIn) authenticate(c net.Conn, in *bufio.Reader, rest string) (refused string) {
	mech, ir, has := strings.Cut(rest, " ")
	if !has {
		fmt.Fprint(c, "+ \r\n")
		ir, _ = in.ReadString('\n')
	}
	b, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(ir))
	switch {
	case mech == "PLAIN" && s.token == "" && string(b) == "\x00ada\x00"+standPassword:
		return ""
	case mech == "XOAUTH2" && s.takes(string(b)):
		return ""
	case mech == "XOAUTH2":
		fmt.Fprint(c, "+ eyJzdGF0dXMiOiI0MDAifQ==\r\n")
		_, _ = in.ReadString('\n')
	}
	return "AUTHENTICATE failed."
}

// takes tells whether a token opens somebody's mailbox.
func (s *standIn) takes(response string) bool {
	user, token, ok := strings.Cut(strings.TrimSuffix(response, "\x01\x01"), "\x01auth=Bearer ")
	if s.holds != nil {
		return ok && strings.HasPrefix(user, "user=") && s.holds(token)
	}
	return s.token != "" && ok && user == "user=ada" && token == s.token
}

func (s *standIn) find(rest string) *standBox {
	for _, b := range s.boxes {
		if quoted := `"` + b.name + `"`; strings.HasPrefix(rest, quoted) || rest == b.name || strings.HasPrefix(rest, b.name+" ") {
			return b
		}
	}
	return nil
}

func (b *standBox) next() uint32 {
	next := uint32(1)
	for _, m := range b.msgs {
		next = max(next, m.uid+1)
	}
	return next
}

// uid answers UID SEARCH and UID FETCH, and tells whether to hang up.
func (s *standIn) uid(c io.Writer, say func(string, ...any), tag, rest string, box *standBox) bool {
	verb, args, _ := strings.Cut(rest, " ")
	if verb == "SEARCH" {
		var uids []string
		only, some := strings.CutPrefix(args, "UID ")
		for _, m := range box.msgs {
			if some && !inSet(uidSet(only), m.uid) {
				continue
			}
			uids = append(uids, strconv.Itoa(int(m.uid)))
		}
		say("* SEARCH %s\r\n%s OK", strings.Join(uids, " "), tag)
		return false
	}
	text, items, _ := strings.Cut(args, " ")
	set := uidSet(text)
	failed := false
	for i, m := range box.msgs {
		if !inSet(set, m.uid) {
			continue
		}
		if !strings.Contains(items, "BODY.PEEK[]") {
			if m.fate == "unsaid" || m.fate == "refused" {
				failed = failed || m.fate == "refused"
				continue
			}
			line := fmt.Sprintf("* %d FETCH (UID %d RFC822.SIZE %d", i+1, m.uid, max(m.size, len(m.body)))
			if strings.Contains(items, "FLAGS") {
				line += fmt.Sprintf(" FLAGS (%s)", m.flags)
			}
			if strings.Contains(items, "INTERNALDATE") {
				date := m.date
				if date == "" {
					date = "01-Mar-2024 08:00:00 +0100"
				}
				line += fmt.Sprintf(" INTERNALDATE %q", date)
			}
			say("%s)", line)
			continue
		}
		switch m.fate {
		case "ungiven":
		case "no":
			failed = true
		case "drop":
			fmt.Fprintf(c, "* %d FETCH (UID %d BODY[] {%d}\r\n%s", i+1, m.uid, len(m.body), m.body[:len(m.body)/2])
			return true
		case "trickle":
			fmt.Fprintf(c, "* %d FETCH (UID %d BODY[] {%d}\r\n", i+1, m.uid, len(m.body))
			for {
				if _, err := io.WriteString(c, "x"); err != nil {
					return true
				}
				time.Sleep(20 * time.Millisecond)
			}
		case "first":
			say("* %d FETCH (BODY[] {%d}\r\n%s UID %d)", i+1, len(m.body), m.body, m.uid)
		case "other":
			say("* %d FETCH (BODY[] {%d}\r\n%s UID %d)", i+1, len(m.body), m.body, m.uid+1)
		case "nil":
			say("* %d FETCH (UID %d BODY[] NIL)", i+1, m.uid)
		default:
			say("* %d FETCH (UID %d BODY[] {%d}\r\n%s)", i+1, m.uid, len(m.body), m.body)
		}
	}
	if failed {
		say("%s NO The specified message cannot be retrieved.", tag)
	} else {
		say("%s OK", tag)
	}
	return false
}

// uidSet reads ranges of UIDs.
func uidSet(set string) (out [][2]uint64) {
	for part := range strings.SplitSeq(set, ",") {
		from, to, ok := strings.Cut(part, ":")
		if !ok {
			to = from
		}
		a, _ := strconv.ParseUint(from, 10, 32)
		b, _ := strconv.ParseUint(to, 10, 32)
		out = append(out, [2]uint64{min(a, b), max(a, b)})
	}
	return out
}

func inSet(set [][2]uint64, uid uint32) bool {
	return slices.ContainsFunc(set, func(r [2]uint64) bool { return uint64(uid) >= r[0] && uint64(uid) <= r[1] })
}

func (s *standIn) port() uint16 { return uint16(s.at.(*net.TCPAddr).Port) }
