package integration_test

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"pillarbox/appliance/integration/rig"
)

// signsIn signs in by go-imap's client and returns what it was answered.
func signsIn(t *testing.T, box *rig.Box, addr, user, password string) error {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, box.TLS(t))
	if err != nil {
		return err
	}
	c := imapclient.New(conn, nil)
	defer c.Close()
	return c.Login(user, password).Wait()
}

// alerted tells whether an error is a refusal that programs show.
func alerted(err error, text string) bool {
	var said *imap.Error
	return errors.As(err, &said) && said.Type == imap.StatusResponseTypeNo && said.Code == imap.ResponseCodeAlert && strings.Contains(said.Text, text)
}

// transcript returns what openssl's client is answered to some commands.
func transcript(t *testing.T, box *rig.Box, addr string, commands ...string) string {
	t.Helper()
	cmd := rig.Command{
		Path:  rig.Tool(t, "openssl", "openssl"),
		Args:  []string{"s_client", "-quiet", "-crlf", "-ign_eof", "-connect", addr, "-CAfile", box.CAFile()},
		Stdin: []byte(strings.Join(append(commands, "z LOGOUT"), "\n") + "\n"),
	}
	return cmd.MustRun(t).All()
}

// plan runs a command about a plan that is to succeed.
func plan(t *testing.T, box *rig.Box, args ...string) string {
	t.Helper()
	return box.Command(nil, append([]string{"plan"}, args...)...).MustRun(t).All()
}

// curlTo lists an INBOX by curl; the error is what it says.
func curlTo(t *testing.T, box *rig.Box, addr, user, password string) (string, bool) {
	t.Helper()
	_, port, _ := net.SplitHostPort(addr)
	r := (&rig.Command{Path: rig.Tool(t, "curl", "curl"), Args: []string{
		"--silent", "--show-error", "--verbose", "--ipv4", "--cacert", box.CAFile(), "--user", user + ":" + password, "imaps://localhost:" + port + "/",
	}}).Run(t)
	return r.All(), r.Err == nil
}

// mbsyncTo pulls a mailbox by mbsync; it tells what mbsync says.
func mbsyncTo(t *testing.T, box *rig.Box, addr, user, password string) (string, bool) {
	t.Helper()
	path := rig.Tool(t, "mbsync", "isync")
	_, port, _ := net.SplitHostPort(addr)
	dir := t.TempDir()
	conf := filepath.Join(dir, "mbsyncrc")
	text := fmt.Sprintf("IMAPAccount box\nHost localhost\nPort %s\nUser %s\nPass \"%s\"\nSSLType IMAPS\nCertificateFile %s\nAuthMechs LOGIN\n\nIMAPStore far\nAccount box\n\n"+
		"MaildirStore near\nPath %s/\nInbox %s/inbox\n\nChannel all\nFar :far:\nNear :near:\nPatterns INBOX\nCreate Near\nSync Pull\nSyncState *\n",
		port, user, password, box.CAFile(), dir, dir)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := (&rig.Command{Path: path, Args: []string{"-c", conf, "-a"}}).Run(t)
	return r.All(), r.Err == nil
}

// TestAnOfficeLeavesPort990 with the programs that people have, on both ports.
func TestAnOfficeLeavesPort990(t *testing.T) {
	box := openOffice(t)
	old, modern := box.Legacy(t, "tcp4"), box.IMAPS(t, "tcp4")
	if err := signsIn(t, box, old, ada, adaPassword); err != nil {
		t.Fatal(err)
	}
	plan(t, box, "make", "leave-990", "--why", "the port is for something else", "--pilot", ada, "--phase", "everybody")
	if text := transcript(t, box, old, "a LOGIN "+ada+" \""+adaPassword+"\""); strings.Contains(text, "ALERT") {
		t.Errorf("an alert before the plan is approved:\n%s", text)
	}
	plan(t, box, "start", "leave-990")
	box.WaitLog(t, "plan: moved", "to=announce")

	t.Log("announce")
	text := transcript(t, box, old, "a LOGIN "+ada+" \""+adaPassword+"\"", "b NOOP")
	alert, ok := strings.Index(text, "* OK [ALERT] Port 990 will not be served here any more"), strings.Index(text, "a OK ")
	if alert < 0 || ok < alert || strings.Count(text, "ALERT") != 1 {
		t.Errorf("openssl shows:\n%s", text)
	}
	if text := transcript(t, box, modern, "a LOGIN "+ada+" \""+adaPassword+"\""); strings.Contains(text, "ALERT") {
		t.Errorf("an alert on 993:\n%s", text)
	}
	if text, ok := curlTo(t, box, old, ada, adaPassword); !ok || !strings.Contains(text, "[ALERT] Port 990 will not") {
		t.Errorf("curl: %s", text)
	}
	// mbsync 1.4 prints alerts.
	if text, ok := mbsyncTo(t, box, old, ada, adaPassword); !ok || !strings.Contains(text, "Port 990 will not be served") {
		t.Errorf("mbsync: %s", text)
	}
	box.WaitLog(t, "message delivered", "recipient="+ada)
	mail := transcript(t, box, modern, "a LOGIN "+ada+" \""+adaPassword+"\"", "b SELECT INBOX", "c FETCH * BODY[]")
	if !strings.Contains(mail, "Please change a device: port 990 ends") || !strings.Contains(mail, "Port:        993") || !strings.Contains(mail, "127.0.0.1") {
		t.Errorf("the mail:\n%s", mail)
	}

	t.Log("pilot")
	if r := box.Command(nil, "plan", "next", "leave-990").Run(t); r.Err == nil || !strings.Contains(r.All(), "is known only since") {
		t.Errorf("on the first day: %s", r.All())
	}
	plan(t, box, "next", "leave-990", "--anyway", "--why", "a test")
	err := signsIn(t, box, old, ada, adaPassword)
	if !alerted(err, "Your password is right, but port 990 is over for you") {
		t.Errorf("the pilot on 990: %v", err)
	}
	text = transcript(t, box, old, "a LOGIN "+ada+" \""+adaPassword+"\"", "b NOOP")
	if !strings.Contains(text, "a NO [ALERT] Your password is right") || !strings.Contains(text, "* BYE ") {
		t.Errorf("openssl shows:\n%s", text)
	}
	if text, ok := curlTo(t, box, old, ada, adaPassword); ok || !strings.Contains(text, "NO [ALERT] Your password is right") {
		t.Errorf("curl: %s", text)
	}
	if text, ok := mbsyncTo(t, box, old, ada, adaPassword); ok || !strings.Contains(text, "Your password is right") {
		t.Errorf("mbsync: %s", text)
	}
	for range 12 { // more than ban somebody
		if err := signsIn(t, box, old, ada, adaPassword); !alerted(err, "port 990 is over") {
			t.Fatalf("again: %v", err)
		}
	}
	if text := box.Command(nil, "ban", "list").MustRun(t).All(); !strings.Contains(text, "Nobody is banned") {
		t.Errorf("bans: %s", text)
	}
	if err := signsIn(t, box, modern, ada, adaPassword); err != nil {
		t.Errorf("the pilot on 993: %v", err)
	}
	if err := signsIn(t, box, old, bob, bobPassword); err != nil {
		t.Errorf("somebody else on 990: %v", err)
	}

	t.Log("closed, over a crash")
	plan(t, box, "next", "leave-990", "--anyway")
	plan(t, box, "next", "leave-990", "--anyway")
	box.Kill(t)
	box.Start(t)
	old, modern = box.Legacy(t, "tcp4"), box.IMAPS(t, "tcp4")
	if text := transcript(t, box, old); !strings.HasPrefix(strings.TrimSpace(text[strings.Index(text, "* "):]), "* BYE [ALERT] Port 990 is not served here any more.") {
		t.Errorf("openssl shows:\n%s", text)
	}
	if err := signsIn(t, box, old, bob, bobPassword); err == nil {
		t.Error("somebody is let in by a closed port")
	}

	t.Log("silent")
	plan(t, box, "next", "leave-990")
	if c, err := net.DialTimeout("tcp", old, 10*time.Second); err == nil {
		c.Close()
		t.Error("the port still listens")
	}
	if err := signsIn(t, box, modern, bob, bobPassword); err != nil {
		t.Errorf("on 993: %v", err)
	}
	if text := plan(t, box, "show"); !strings.Contains(text, "leave-990: silent, done") {
		t.Errorf("show:\n%s", text)
	}
	if text := box.Command(nil, "network", "history").MustRun(t).All(); !strings.Contains(text, "by the plan leave-990: Leaving port 990 for 993: silent; approved by ") {
		t.Errorf("history:\n%s", text)
	}

	t.Log("and back by one command")
	plan(t, box, "rollback", "leave-990", "--why", "the scanner in the hall")
	var status struct {
		Listeners []struct{ Name, Address string }
	}
	if err := json.Unmarshal(box.Command(nil, "status", "--json").Run(t).Stdout, &status); err != nil {
		t.Fatal(err)
	}
	back := "" // another port was free
	for _, l := range status.Listeners {
		if l.Name == "imaps-legacy" && strings.HasPrefix(l.Address, "127.") {
			back = l.Address
		}
	}
	if err := signsIn(t, box, back, bob, bobPassword); err != nil {
		t.Errorf("taken back, on 990: %v", err)
	}
	records := box.Command(nil, "audit", "list", "--kind", "plan", "-n", "100").MustRun(t).All()
	for _, kind := range []string{"plan.made", "plan.started", "plan.moved", "plan.ended", "plan.rolled-back"} {
		if !strings.Contains(records, kind) {
			t.Errorf("the record has no %s:\n%s", kind, records)
		}
	}
	file := filepath.Join(t.TempDir(), "report.html")
	plan(t, box, "report", "-o", file)
	if page, err := os.ReadFile(file); err != nil || !strings.Contains(string(page), "the scanner in the hall") || !strings.Contains(string(page), ada) {
		t.Errorf("the report: %v", err)
	}
}

// TestABrownoutOpensAgainAfterAKill in the middle of it, with a real program.
func TestABrownoutOpensAgainAfterAKill(t *testing.T) {
	if testing.Short() {
		t.Skip("a brown-out takes its time")
	}
	const length = 12 * time.Second
	box := openOffice(t)
	plan(t, box, "make", "leave-990")
	plan(t, box, "next", "leave-990", "--now")
	plan(t, box, "brown-out", "leave-990", "--at", "2s", "--for", length.String())
	old := box.Legacy(t, "tcp4")
	if text := transcript(t, box, old, "a LOGIN "+ada+" \""+adaPassword+"\""); !strings.Contains(text, "A test: on ") {
		t.Errorf("beforehand:\n%s", text)
	}
	box.WaitLog(t, "plan: brownout", "to=on")
	ends := time.Now().Add(length)
	if err := signsIn(t, box, old, ada, adaPassword); !alerted(err, "Your password is right") {
		t.Fatalf("in it: %v", err)
	}
	if err := signsIn(t, box, box.IMAPS(t, "tcp4"), ada, adaPassword); err != nil {
		t.Errorf("993 in it: %v", err)
	}
	time.Sleep(time.Second) // until who tried is on the disk
	box.Kill(t)
	box.Start(t)
	old = box.Legacy(t, "tcp4")
	if err := signsIn(t, box, old, bob, bobPassword); time.Now().Before(ends.Add(-time.Second)) && !alerted(err, "Your password is right") {
		t.Errorf("after the kill: %v", err)
	}
	time.Sleep(time.Until(ends.Add(time.Second)))
	if err := signsIn(t, box, old, ada, adaPassword); err != nil {
		t.Errorf("it does not open: %v", err)
	}
	box.WaitLog(t, "plan: brownout", "to=over")
	var s struct {
		Brownouts []struct {
			State       string
			Tried, Came []string
		}
	}
	if err := json.Unmarshal(box.Command(nil, "plan", "show", "leave-990", "--json").MustRun(t).Stdout, &s); err != nil {
		t.Fatal(err)
	}
	if b := s.Brownouts; len(b) != 1 || b[0].State != "over" || !strings.Contains(fmt.Sprint(b[0].Tried), ada) || !strings.Contains(fmt.Sprint(b[0].Came), ada) {
		t.Errorf("brown-outs: %+v", b)
	}
}

// TestPlansChangeWhatIsOfferedAndHowStrictTLSIs by the same steps.
func TestPlansChangeWhatIsOfferedAndHowStrictTLSIs(t *testing.T) {
	box := openOffice(t)
	for _, kind := range []string{"tls-1.3", "no-passwords"} {
		plan(t, box, "make", kind)
		plan(t, box, "next", kind, "--now")
	}
	conf := box.TLS(t)
	conf.MaxVersion = tls.VersionTLS12
	w, err := rig.DialWire(box.IMAPS(t, "tcp4"), conf)
	if err != nil {
		t.Fatal(err)
	}
	var answer strings.Builder
	if err := w.Start("LOGIN " + ada + ` "` + adaPassword + `"`); err != nil {
		t.Fatal(err)
	}
	_, err = w.Wait(&answer)
	if text := answer.String(); err != nil || !strings.Contains(text, "TLS 1.2 will not") || !strings.Contains(text, "sending the password will not") {
		t.Errorf("TLS 1.2 with LOGIN: %v\n%s", err, text)
	}
	w.Close()
	for _, kind := range []string{"tls-1.3", "no-passwords"} {
		plan(t, box, "next", kind, "--now", "--anyway")
	}
	if conn, err := tls.Dial("tcp", box.IMAPS(t, "tcp4"), conf); err == nil {
		conn.Close()
		t.Error("TLS 1.2 is still spoken")
	}
	if got := fmt.Sprint(offered(t, box, box.IMAPS(t, "tcp4"))); strings.Contains(got, "PLAIN") || !strings.Contains(got, "SCRAM-SHA-256") {
		t.Errorf("offered: %s", got)
	}
	for _, kind := range []string{"tls-1.3", "no-passwords"} {
		plan(t, box, "rollback", kind)
	}
	if got := fmt.Sprint(offered(t, box, box.IMAPS(t, "tcp4"))); !strings.Contains(got, "PLAIN") {
		t.Errorf("taken back: %s", got)
	}
	conn, err := tls.Dial("tcp", box.IMAPS(t, "tcp4"), conf)
	if err != nil {
		t.Fatalf("taken back, TLS 1.2: %v", err)
	}
	conn.Close()
}

// TestARiseInFailuresTakesThePlanBack without anybody doing anything.
func TestARiseInFailuresTakesThePlanBack(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes until somebody looks at the clock, twice")
	}
	box := openOffice(t)
	file := filepath.Join(t.TempDir(), "plan.json")
	text := `{"kind": "leave-990", "steps": [{"stage": "pilot", "who": {"people": ["` + ada + `"]}}],
		"measures": {"window": "1m", "min_tries": 4, "rise": 30, "patience": "1s"}}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	plan(t, box, "make", "leave-990", "--file", file)
	plan(t, box, "next", "leave-990")
	plan(t, box, "next", "leave-990", "--anyway")
	old, modern := box.Legacy(t, "tcp4"), box.IMAPS(t, "tcp4")
	if err := signsIn(t, box, old, ada, adaPassword); !alerted(err, "is over for you") {
		t.Fatalf("the pilot: %v", err)
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if err := signsIn(t, box, modern, bob, fmt.Sprint("wrong ", i)); err == nil {
				t.Error("a wrong password lets somebody in")
			}
		})
	}
	all.Wait()
	box.WaitLog(t, "plan: paused", "sign-ins by port 993 fail")
	box.WaitLog(t, "plan: rolled-back", "to=announce")
	if err := signsIn(t, box, old, ada, adaPassword); err != nil {
		t.Errorf("taken back, and the pilot is refused: %v", err)
	}
	if text := box.Command(nil, "status").Run(t).All(); !strings.Contains(text, "A plan is paused") {
		t.Errorf("status:\n%s", text)
	}
}
