package exporter_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/exporter"
	"pillarbox/appliance/importer"
	"pillarbox/appliance/integration/rig"
	"pillarbox/appliance/mailfile"
	"pillarbox/storage"
)

// give lets Dovecot's user have a folder.
func give(t *testing.T, dir string) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chown(p, 65534, 65534))
	}); err != nil {
		t.Fatal(err)
	}
}

// served reads a mailbox of another server.
func served(t *testing.T, c *imapclient.Client, mailbox string) []mail {
	t.Helper()
	all := []mail{}
	data, err := c.Status(mailbox, &imap.StatusOptions{NumMessages: true}).Wait()
	if err != nil {
		t.Errorf("%s: %v", mailbox, err)
		return nil
	}
	if *data.NumMessages == 0 {
		return all
	}
	for uid, m := range rig.Contents(t, c, mailbox) {
		flags := slices.DeleteFunc(slices.Clone(m.Flags), func(f imap.Flag) bool { return f == `\Recent` })
		all = append(all, mail{uid, textOf(flags), m.InternalDate.Unix(), string(m.BodySection[0].Bytes)})
	}
	slices.SortFunc(all, func(a, b mail) int { return int(a.UID) - int(b.UID) })
	return all
}

// wire ends all lines by CRLF, and has 0x80 for NUL, as servers give out what is
// kept otherwise.
func wire(all []mail) []mail {
	out := make([]mail, len(all))
	for i, m := range all {
		m.Body = strings.ReplaceAll(string(rig.WithCRLF([]byte(m.Body))), "\x00", "\x80")
		out[i] = m
	}
	return out
}

// TestDovecotServesOurMaildir has a real Dovecot serve an export, with the same
// UIDs, keywords and dates, and go on with it.
func TestDovecotServesOurMaildir(t *testing.T) {
	t.Parallel()
	for name, layout := range map[string]mailfile.Layout{"maildir++": mailfile.LayoutMaildirPlus, "fs": mailfile.LayoutMaildirFS} {
		t.Run(name, func(t *testing.T) {
			if name == "fs" && testing.Short() {
				t.Skip("the other layout is served likewise")
			}
			location := "mail_location = maildir:~/Maildir"
			if name == "fs" {
				location += ":LAYOUT=fs"
			}
			s := rig.Dovecot(t, []string{"ada"}, location,
				"mail_plugins = $mail_plugins listescape", "namespace inbox {\n  inbox = yes\n  separator = /\n}")
			a := open(t)
			fill(t, a)
			dir := filepath.Join(s.Dir, "home", "ada", "Maildir")
			export := func() *exporter.Report { return run(t, a, exporter.NewMaildir(dir, layout)) }
			r := export()
			give(t, filepath.Join(s.Dir, "home"))
			c := s.Client(t, "ada")
			for mailbox, want := range onBox(t, a) {
				// Names that Dovecot has no way to show.
				first, _, _ := strings.Cut(mailbox, "/")
				if strings.HasPrefix(mailbox, "lang") || name == "fs" && slices.Contains([]string{"cur", "dovecot", ".hidden"}, first) {
					if !slices.ContainsFunc(r.Remarks, func(remark string) bool { return strings.HasPrefix(remark, mailbox+": ") }) {
						t.Errorf("%s: no remark among %q", mailbox, r.Remarks)
					}
					continue
				}
				mb := a.Mailbox(mailbox)
				data, err := c.Status(mailbox, &imap.StatusOptions{UIDNext: true, UIDValidity: true}).Wait()
				if err != nil {
					t.Errorf("%s: %v", mailbox, err)
					continue
				}
				if data.UIDValidity != mb.UIDValidity || data.UIDNext != mb.UIDNext {
					t.Errorf("%s: UIDVALIDITY %d, UIDNEXT %d, want %d, %d", mailbox, data.UIDValidity, data.UIDNext, mb.UIDValidity, mb.UIDNext)
				}
				if diff := cmp.Diff(wire(want), served(t, c, mailbox)); diff != "" {
					t.Errorf("%s (-box +Dovecot):\n%.3000s", mailbox, diff)
				}
			}
			subscribed, err := c.List("", "*", &imap.ListOptions{SelectSubscribed: true}).Collect()
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, l := range subscribed {
				names = append(names, l.Mailbox)
			}
			slices.Sort(names)
			if diff := cmp.Diff([]string{"Sent", "empty"}, names); diff != "" {
				t.Errorf("subscriptions (-want +got):\n%s", diff)
			}

			// Somebody works there; on the box, too, until the day.
			if _, err := c.Select("INBOX", nil).Wait(); err != nil {
				t.Fatal(err)
			}
			if err := c.Store(imap.UIDSetNum(5), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{"theirs"}}, nil).Close(); err != nil {
				t.Fatal(err)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			put(t, a, "INBOX", odd["good"], `\Flagged late`, noon)
			r = export()
			if r.Total.Put != 1 || r.Total.Flagged != 1 {
				t.Errorf("%+v", r.Total)
			}
			give(t, filepath.Join(s.Dir, "home"))
			if diff := cmp.Diff(wire(onBox(t, a)["INBOX"]), served(t, s.Client(t, "ada"), "INBOX")); diff != "" {
				t.Errorf("INBOX, once more (-box +Dovecot):\n%.3000s", diff)
			}
			log, err := os.ReadFile(s.Log)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(log)) {
				if strings.Contains(line, "Error") || strings.Contains(line, "Warning") {
					t.Errorf("Dovecot says: %s", line)
				}
			}
		})
	}
}

// TestMbsyncReadsWhatWeGaveToDovecot compares through a third program: what we
// exported, a real Dovecot serves and mbsync fetches.
func TestMbsyncReadsWhatWeGaveToDovecot(t *testing.T) {
	t.Parallel()
	program := rig.Tool(t, "mbsync", "isync")
	s := rig.Dovecot(t, []string{"ada"}, "mail_location = maildir:~/Maildir")
	a := open(t)
	for i, m := range rig.Corpus(t, 40) {
		if i%10 != 3 { // mbsync itself refuses some of the broken ones
			put(t, a, []string{"INBOX", "Work"}[i%2], string(m.Raw), textOf(slices.DeleteFunc(m.Flags, func(f imap.Flag) bool { return f[0] != '\\' })), m.Date)
		}
	}
	run(t, a, exporter.NewMaildir(filepath.Join(s.Dir, "home", "ada", "Maildir"), ""))
	give(t, filepath.Join(s.Dir, "home"))
	dir := t.TempDir()
	ca, config := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "mbsyncrc")
	text := fmt.Sprintf(`IMAPAccount old
Tunnel "%s s_client -quiet -verify_quiet -verify_return_error -connect %s:993 -CAfile %s"
User ada
Pass %s
AuthMechs LOGIN

IMAPStore far
Account old

MaildirStore near
Path %[5]s/
Inbox %[5]s/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns INBOX Work
Create Near
CopyArrivalDate yes
Sync Pull
SyncState *
`, rig.Tool(t, "openssl", "openssl"), s.Host, ca, rig.OldPassword, filepath.Join(dir, "mail"))
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "mail"), 0o700), os.WriteFile(ca, s.CA, 0o600), os.WriteFile(config, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	(&rig.Command{Path: program, Args: []string{"-c", config, "all"}, Env: []string{"HOME=" + dir}}).MustRun(t)
	got := atTarget(t, filepath.Join(dir, "mail"))
	for _, mailbox := range []string{"INBOX", "Work"} {
		for i, m := range got[mailbox] { // mbsync's own mark
			if at := strings.Index(m.Body, "X-TUID: "); at >= 0 {
				got[mailbox][i].Body = m.Body[:at] + m.Body[at+len("X-TUID: 0123456789ab\r\n"):]
			}
		}
		if diff := cmp.Diff(shown(onBox(t, a)[mailbox]), shown(got[mailbox])); diff != "" {
			t.Errorf("%s (-box +mbsync):\n%.2000s", mailbox, diff)
		}
	}
}

// to is an account of another server as a target.
func to(s *rig.OldServer, prefix string, change ...func(*importer.Server)) exporter.Target {
	conf := importer.Server{Host: s.Host, User: "ada", Secret: rig.OldPassword, CA: string(s.CA)}
	for _, f := range change {
		f(&conf)
	}
	return exporter.NewIMAP(&conf, nil, prefix)
}

// shown are messages without their UIDs, sorted, and with CRLF.
func shown(all []mail) []mail {
	out := wire(all)
	for i := range out {
		out[i].UID = 0
	}
	slices.SortFunc(out, func(a, b mail) int { return strings.Compare(fmt.Sprint(a.Date, a.Body), fmt.Sprint(b.Date, b.Body)) })
	return out
}

// office puts a corpus of real and made messages on the box.
func office(t *testing.T, a *storage.Account, n int) {
	t.Helper()
	for i, m := range rig.Corpus(t, n) {
		put(t, a, []string{"INBOX", "Sent", "Projekte/Größe & Gewicht", "Archive/2024"}[i%4], string(m.Raw), textOf(m.Flags), m.Date)
	}
}

// changedByDovecot are messages that Dovecot gives out otherwise than they came:
// with 0x80 for NUL, without a CR, and without the last octet.
var changedByDovecot = []string{"NUL and 8 bits", "CR CR LF", "CR at the end", "CR at a piece's end"}

// TestAServerThatChangesMessages expects that what Dovecot changes is told, and
// known again nevertheless.
func TestAServerThatChangesMessages(t *testing.T) {
	t.Parallel()
	s := rig.Dovecot(t, []string{"ada"})
	a := open(t)
	for i, name := range changedByDovecot {
		put(t, a, "INBOX", odd[name], "", noon.Add(time.Duration(i)*time.Hour))
	}
	put(t, a, "INBOX", "Message-ID: <x@y>\r\n\r\n\x00\r\n", "", noon)
	put(t, a, "INBOX", "", "", noon) // which it refuses
	for range 2 {
		r, err := exporter.Run(t.Context(), exporter.Stored(a), to(s, ""), &exporter.Options{Account: "ada@office.example", VerifyAll: true})
		if err != nil || r.Total.Put+r.Total.Known != 5 || len(r.Differences) != 5 || len(r.Bad) != 1 || r.OK() {
			t.Errorf("%v %+v %q %v", err, r.Total, r.Differences, r.Bad)
		}
		if n := len(served(t, s.Client(t, "ada"), "INBOX")); n != 5 {
			t.Errorf("%d messages", n)
		}
	}
}

func TestToDovecot(t *testing.T) {
	t.Parallel()
	s := rig.Dovecot(t, []string{"ada"})
	a := open(t)
	office(t, a, 80)
	kept := 0
	for name, body := range odd {
		if body != "" && !slices.Contains(changedByDovecot, name) {
			put(t, a, "odd", body, `\Seen `+strings.ReplaceAll(name, " ", "-"), noon)
			kept++
		}
	}
	port := func(c *importer.Server) { c.Port = 990 }
	r := run(t, a, to(s, "", port))
	want := int64(80 + kept)
	if r.Total.Put != want || r.Total.Verified != want {
		t.Errorf("%+v %q", r.Total, r.Remarks)
	}
	c := s.Client(t, "ada")
	for mailbox, have := range onBox(t, a) {
		if diff := cmp.Diff(shown(have), shown(served(t, c, mailbox))); diff != "" {
			t.Errorf("%s (-box +Dovecot):\n%.3000s", mailbox, diff)
		}
	}

	// Nothing moves twice; what has changed does.
	if r := run(t, a, to(s, "")); r.Total.Put != 0 || r.Total.Known != want || r.Total.Flagged != 0 {
		t.Errorf("%+v", r.Total)
	}
	mb := a.Mailbox("INBOX").ID
	if _, err := a.Store(t.Context(), mb, imap.UIDSetNum(1, 2), storage.FlagOp{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagFlagged, "new"}}); err != nil {
		t.Fatal(err)
	}
	put(t, a, "INBOX", odd["good"], "", noon)
	r = run(t, a, to(s, ""), func(o *exporter.Options) { o.VerifyAll = true })
	if r.Total.Put != 1 || r.Total.Flagged != 2 || r.Total.Verified != want+1 {
		t.Errorf("%+v", r.Total)
	}
	if diff := cmp.Diff(shown(onBox(t, a)["INBOX"]), shown(served(t, c, "INBOX"))); diff != "" {
		t.Errorf("INBOX (-box +Dovecot):\n%.3000s", diff)
	}

	// Below a mailbox of its own, by an administrator who signs in for the person.
	r = run(t, a, to(s, "From the box", func(c *importer.Server) {
		c.Port, c.Security, c.Admin, c.AdminBy, c.Secret = 143, importer.STARTTLS, rig.OldAdmin, importer.ByMasterUser, rig.OldAdminPass
	}))
	if n := len(served(t, c, "From the box/Archive/2024")); n != 20 {
		t.Errorf("%d messages below the prefix, %+v", n, r.Total)
	}
}

// TestWhatGoesAtTheTargetMeanwhileIsTold has somebody expunge a message there
// that an earlier run had brought, while another one is at work.
func TestWhatGoesAtTheTargetMeanwhileIsTold(t *testing.T) {
	t.Parallel()
	s := rig.Dovecot(t, []string{"ada"})
	a := open(t)
	for i := range 3 {
		put(t, a, "INBOX", odd["good"], "", noon.Add(time.Duration(i)*time.Hour))
	}
	run(t, a, to(s, ""))
	c := s.Client(t, "ada")
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	expunge := func(exporter.Progress) {
		if err := errors.Join(
			c.Store(imap.UIDSetNum(2), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(),
			c.Expunge().Close(),
		); err != nil {
			t.Error(err)
		}
	}
	r, err := exporter.Run(t.Context(), exporter.Stored(a), to(s, ""), &exporter.Options{Account: "ada@office.example", Progress: expunge})
	if err != nil || r.OK() || len(r.Differences) != 1 || !strings.Contains(r.Differences[0], "is not there") {
		t.Errorf("%v %+v %q", err, r.Total, r.Differences)
	}
}

func TestToCyrus(t *testing.T) {
	t.Parallel()
	// Levels are separated by dots, and the person's mailboxes lie below INBOX.
	const user = "ada@office.example"
	signIn := func(c *importer.Server) { c.User = user }
	s := rig.Cyrus(t, []string{user}, "unixhierarchysep: no", "altnamespace: no", "autocreate_inbox_folders: Sent", "xlist-sent: Sent")
	a := open(t)
	office(t, a, 60)
	put(t, a, "INBOX", "Subject: x\r\n\r\n\x00\r\n", "", noon)
	put(t, a, "INBOX", "Subject: x\n\nbare\n", "", noon)
	put(t, a, "Ver.1", odd["good"], "", noon)
	r, err := exporter.Run(t.Context(), exporter.Stored(a), to(s, "", signIn), &exporter.Options{Account: "ada@office.example"})
	if err != nil {
		t.Fatal(err)
	}
	refused := map[imap.UID]bool{}
	for _, b := range r.Bad {
		if b.Mailbox != "INBOX" || !strings.Contains(b.Reason, "the server refuses it: Message contains ") {
			t.Errorf("refused: %+v", b)
		}
		refused[b.UID] = true
	}
	if len(refused) < 1 || len(refused) > 2 || r.Total.Put+r.Total.Refused != 63 || len(r.Differences) > 0 {
		t.Errorf("%+v %v %q", r.Total, r.Bad, r.Differences)
	}
	c := s.Client(t, user)
	for ours, theirs := range map[string]string{
		"INBOX": "INBOX", "Sent": "INBOX.Sent", "Projekte/Größe & Gewicht": "INBOX.Projekte.Größe & Gewicht",
		"Archive/2024": "INBOX.Archive.2024", "Ver.1": "INBOX.Ver_1",
	} {
		have := slices.DeleteFunc(onBox(t, a)[ours], func(m mail) bool { return ours == "INBOX" && refused[m.UID] })
		if diff := cmp.Diff(shown(have), shown(served(t, c, theirs))); diff != "" {
			t.Errorf("%s (-box +Cyrus):\n%.3000s", ours, diff)
		}
	}
	again, err := exporter.Run(t.Context(), exporter.Stored(a), to(s, "", signIn), &exporter.Options{Account: "ada@office.example"})
	if err != nil || again.Total.Put != 0 || again.Total.Known != r.Total.Put {
		t.Errorf("%v %+v", err, again.Total)
	}
}

// cutting is a way to a server that is cut after so many octets, the first times.
type cutting struct {
	net.Conn

	left *atomic.Int64
}

func (c *cutting) Write(p []byte) (int, error) {
	if c.left.Add(-int64(len(p))) < 0 {
		c.Conn.Close()
		return 0, io.ErrClosedPipe
	}
	return c.Conn.Write(p)
}

func TestAConnectionThatIsLost(t *testing.T) {
	t.Parallel()
	s := rig.Dovecot(t, []string{"ada"})
	a := open(t)
	putMany(t, a, 60, func(i int) (string, string) {
		return fmt.Sprintf("Subject: %d\r\n\r\n%s\r\n", i, strings.Repeat("x", 2000)), `\Seen`
	})
	cuts := 0
	way := &importer.Way{Dial: nil}
	dial := func(network, address string) (net.Conn, error) {
		conn, err := net.Dial(network, address)
		left := &atomic.Int64{}
		left.Store(50_000)
		if cuts++; cuts > 3 {
			left.Store(1 << 40)
		}
		return &cutting{conn, left}, err
	}
	way.Dial = dialer(dial)
	server := &importer.Server{Host: s.Host, User: "ada", Secret: rig.OldPassword, CA: string(s.CA)}
	r := run(t, a, exporter.NewIMAP(server, way, ""))
	if cuts < 3 || r.Total.Put+r.Total.Known != 60 {
		t.Errorf("%d connections, %+v", cuts, r.Total)
	}
	if diff := cmp.Diff(shown(onBox(t, a)["INBOX"]), shown(served(t, s.Client(t, "ada"), "INBOX"))); diff != "" {
		t.Errorf("(-box +Dovecot):\n%.3000s", diff)
	}
}

func TestATargetThatIsFull(t *testing.T) {
	t.Parallel()
	a := open(t)
	putMany(t, a, 100, func(i int) (string, string) {
		sum := sha256.Sum256([]byte{byte(i)})
		return fmt.Sprintf("Subject: %d\r\n\r\n%s\r\n", i, strings.Repeat(fmt.Sprintf("%x\r\n", sum), 300)), ""
	})
	t.Run("a quota", func(t *testing.T) {
		s := rig.Dovecot(t, []string{"ada"}, "mail_plugins = $mail_plugins quota", "plugin {\n  quota = count:User quota\n  quota_rule = *:storage=1M\n  quota_vsizes = yes\n}")
		r, err := exporter.Run(t.Context(), exporter.Stored(a), to(s, ""), &exporter.Options{Account: "ada@office.example"})
		if err == nil || !strings.HasPrefix(err.Error(), "the target's quota is used up") || r.Total.Put == 0 || r.Total.Put > 60 {
			t.Errorf("%v, %+v", err, r.Total)
		}
	})
	for name, target := range targets {
		t.Run("a disk, "+name, func(t *testing.T) {
			dir := smallDisk(t)
			r, err := exporter.Run(t.Context(), exporter.Stored(a), target(dir), &exporter.Options{Account: "ada@office.example"})
			if err == nil || !strings.HasPrefix(err.Error(), "the target's disk is full: make room there; then resume the export") {
				t.Errorf("%v, %+v", err, r.Total)
			}
			grow(t, dir)
			r = run(t, a, target(dir))
			if r.Total.Put+r.Total.Known != 100 {
				t.Errorf("with room: %+v", r.Total)
			}
			if diff := cmp.Diff(onBox(t, a)["INBOX"], atTarget(t, dir)["INBOX"]); diff != "" {
				t.Errorf("(-box +target):\n%.1000s", diff)
			}
		})
	}
}
