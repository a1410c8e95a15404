package moving_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"

	"pillarbox/appliance/importer"
	"pillarbox/appliance/integration/rig"
)

const (
	ada      = "ada@office.example"
	password = "the-new-password"
)

// setting reads a number from the environment.
func setting(t *testing.T, name string, usual int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// office is a box with an account, and the old server's CA.
type office struct {
	*rig.Box

	t   *testing.T
	old *rig.OldServer
	ca  string
}

func open(t *testing.T, old *rig.OldServer) *office {
	t.Helper()
	o := &office{Box: rig.NewBox(t, binary), t: t, old: old, ca: filepath.Join(t.TempDir(), "old.crt")}
	o.AddAccount(t, ada, password)
	if err := os.WriteFile(o.ca, old.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	o.Start(t)
	return o
}

// do runs a command of import's, and reads the JSON that it prints into out.
func (o *office) do(stdin string, out any, args ...string) *rig.Output {
	o.t.Helper()
	args = append([]string{"import"}, args...)
	if out != nil {
		args = append(args, "--json")
	}
	r := o.Command([]byte(stdin), args...).Run(o.t)
	if out != nil && r.Err == nil {
		if err := json.Unmarshal(r.Stdout, out); err != nil {
			o.t.Fatalf("%v: %v\n%s", args, err, r.All())
		}
	}
	return r
}

// must is do for what must succeed.
func (o *office) must(stdin string, out any, args ...string) *rig.Output {
	o.t.Helper()
	r := o.do(stdin, out, args...)
	if r.Err != nil {
		o.t.Fatalf("pillarbox import %q: %v\n%s", args, r.Err, r.All())
	}
	return r
}

// await waits until a job is as it should be.
func (o *office) await(id string, good func(*importer.Job) bool) *importer.Job {
	o.t.Helper()
	var job importer.Job
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if o.do("", &job, "status", id); good(&job) {
			return &job
		}
	}
	o.t.Fatalf("it did not come so far: %+v", job)
	return nil
}

func ended(job *importer.Job) bool { return job.State == importer.Ended }

// texts counts the messages of a mailbox by their octets.
func texts(t *testing.T, c *imapclient.Client, mailbox string) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, m := range rig.Contents(t, c, mailbox) {
		out[string(m.BodySection[0].Bytes)]++
	}
	return out
}

// client signs in to the box.
func (o *office) client() *imapclient.Client {
	o.t.Helper()
	c, err := imapclient.DialTLS(o.IMAPS(o.t, "tcp4"), &imapclient.Options{TLSConfig: o.TLS(o.t)})
	if err == nil {
		err = c.Login(ada, password).Wait()
	}
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { c.Close() })
	return c
}

// same expects that a mailbox of the box has what the old server's has.
func (o *office) same(c *imapclient.Client, from, to string) {
	o.t.Helper()
	if want, got := texts(o.t, c, from), texts(o.t, o.client(), to); !maps.Equal(want, got) {
		o.t.Errorf("%s: there are %d messages that are different there, and %d here", from, len(want), len(got))
	}
}

// TestKilledWhileMailMovesIn kills the server at random moments of a move that
// keeps its password. Each time it starts again and goes on by itself: in the
// end nothing is lost and nothing is there twice. PILLARBOX_MOVE says how many
// messages, PILLARBOX_KILLS how often, PILLARBOX_SEED repeats.
func TestKilledWhileMailMovesIn(t *testing.T) {
	t.Parallel()
	n, kills := setting(t, "PILLARBOX_MOVE", 150), setting(t, "PILLARBOX_KILLS", 2)
	if testing.Short() {
		n, kills = 60, 1
	}
	seed := uint64(setting(t, "PILLARBOX_SEED", int(time.Now().UnixNano()%1e9)))
	t.Logf("PILLARBOX_SEED=%d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	old := rig.Dovecot(t, []string{"ada"})
	c := old.Client(t, "ada")
	corpus := rig.Corpus(t, n)
	rig.Put(t, c, "INBOX", corpus[:n/2]...)
	rig.Put(t, c, "Sent", corpus[n/2:n*3/4]...)
	rig.Put(t, c, "Archiv/2024", corpus[n*3/4:]...)
	o := open(t, old)

	// Slow enough to be hit in the midst of it.
	rate := fmt.Sprint(max(n/(kills+1), 20))
	var job importer.Job
	o.must(rig.OldPassword+"\n", &job, "imap", old.Host+":990", "--ca", o.ca, "--user", "ada", "--account", ada,
		"--keep-uids", "--keep-password", "--messages", rate, "--password-stdin")
	secret := filepath.Join(o.Dir, "imports", job.ID+".secret")
	if info, err := os.Stat(secret); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the kept password: %v %v", info, err)
	}
	for i := range kills {
		time.Sleep(time.Duration(200+dice.IntN(1500)) * time.Millisecond)
		o.Kill(t)
		o.Start(t)
		t.Logf("killed %d times", i+1)
	}
	got := o.await(job.ID, ended)
	if p := got.People[0]; p.Stage != importer.StageDone || p.OK == nil || !*p.OK || p.Bad != 0 {
		t.Errorf("%+v", p)
	}
	for from, to := range map[string]string{"INBOX": "INBOX", "Sent": "Sent", "Archiv/2024": "Archiv/2024"} {
		o.same(c, from, to)
	}
	if _, err := os.Stat(secret); !os.IsNotExist(err) {
		t.Errorf("the password is still there: %v", err)
	}
	o.leaksNothing()
	o.Command(nil, "check").MustRun(t)
}

// leaksNothing looks for the password in the data folder and the log.
func (o *office) leaksNothing() {
	o.t.Helper()
	err := filepath.WalkDir(o.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte(rig.OldPassword)) || bytes.Contains(text, []byte(rig.OldAdminPass)) {
			o.t.Errorf("%s holds the password", path)
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		o.t.Error(err)
	}
	var lines []string
	out := o.Command(nil, "log", "--json").Run(o.t)
	_ = json.Unmarshal(out.Stdout, &lines)
	if strings.Contains(out.All(), rig.OldPassword) {
		o.t.Error("the log holds the password")
	}
}

// TestTailUntilTheCutOver follows a source, is paused and resumed, and takes
// what came up to the cut-over.
func TestTailUntilTheCutOver(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: it waits for much")
	}
	t.Parallel()
	old := rig.Dovecot(t, []string{"ada"})
	c := old.Client(t, "ada")
	corpus := rig.Corpus(t, 40)
	rig.Put(t, c, "INBOX", corpus[:20]...)
	o := open(t, old)

	// Who does not trust the certificate is told which it is.
	r := o.do(rig.OldPassword+"\n", nil, "imap", old.Host, "--user", "ada", "--account", ada, "--password-stdin")
	_, rest, found := strings.Cut(r.All(), "fingerprint (SHA-256) is ")
	if r.Err == nil || !found {
		t.Fatalf("a private certificate: %v\n%s", r.Err, r.All())
	}
	pin := rest[:64]
	if r := o.do("wrong\n", nil, "imap", old.Host, "--fingerprint", pin, "--user", "ada", "--account", ada, "--password-stdin"); r.Err == nil || !strings.Contains(r.All(), "refuses the log-in") {
		t.Errorf("a wrong password: %v\n%s", r.Err, r.All())
	}
	var job importer.Job
	o.must(rig.OldPassword+"\n", &job, "imap", old.Host, "--fingerprint", pin, "--user", "ada", "--account", ada, "--follow", "--poll", "10", "--password-stdin")
	caughtUp := func(n int64) func(*importer.Job) bool {
		return func(j *importer.Job) bool {
			return j.People[0].Stage == importer.StageFollowing && j.People[0].Total.Taken == n
		}
	}
	o.await(job.ID, caughtUp(20))
	begin := time.Now()
	rig.Put(t, c, "INBOX", corpus[20:25]...)
	o.await(job.ID, caughtUp(25))
	t.Logf("5 messages came %v after they were there", time.Since(begin))

	o.must("", nil, "pause", job.ID)
	rig.Put(t, c, "INBOX", corpus[25:30]...)
	o.must("", nil, "resume", job.ID)
	o.await(job.ID, caughtUp(30))

	// Without a kept password a restart waits for somebody.
	o.Stop(t)
	rig.Put(t, c, "INBOX", corpus[30:]...)
	o.Start(t)
	o.await(job.ID, func(j *importer.Job) bool { return j.State == importer.Locked })
	o.must(rig.OldPassword+"\n", nil, "resume", job.ID, "--password-stdin")
	o.await(job.ID, caughtUp(40))
	o.must("", nil, "cut-over", job.ID)
	got := o.await(job.ID, ended)
	if p := got.People[0]; p.Stage != importer.StageDone || p.OK == nil || !*p.OK {
		t.Errorf("%+v", p)
	}
	o.same(c, "INBOX", "INBOX")
	o.must(rig.OldPassword+"\n", nil, "verify", job.ID, "--password-stdin")
	out := o.must("", nil, "report", job.ID)
	if !strings.Contains(out.All(), "it is all here") {
		t.Errorf("the report:\n%s", out.All())
	}
	o.leaksNothing()
	records := o.Command(nil, "audit", "list", "--json").Run(t)
	for _, want := range []string{"import.started", "import.changed", "import.ended"} {
		if !strings.Contains(records.All(), want) {
			t.Errorf("the record lacks %s\n%s", want, records.All())
		}
	}
	o.must("", nil, "remove", job.ID)
	var list []importer.Job
	if o.must("", &list, "list"); len(list) != 0 {
		t.Errorf("the list has %+v", list)
	}
}

// TestAnOfficeMovesAtOnce takes several people by a list and an administrator's
// password, from Dovecot by its master user.
func TestAnOfficeMovesAtOnce(t *testing.T) {
	t.Parallel()
	people := []string{"ada", "bob", "cleo"}
	old := rig.Dovecot(t, people)
	corpus := rig.Corpus(t, 30)
	o := open(t, old)
	var list strings.Builder
	list.WriteString("user;account\n")
	for i, p := range people {
		rig.Put(t, old.Client(t, p), "INBOX", corpus[i*10:i*10+10]...)
		if p != "ada" {
			o.AddAccount(t, p+"@office.example", password)
		}
		fmt.Fprintf(&list, "%s;%s@office.example\n", p, p)
	}
	file := filepath.Join(t.TempDir(), "people.csv")
	if err := os.WriteFile(file, []byte(list.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"imap", old.Host, "--ca", o.ca, "--people", file, "--admin", rig.OldAdmin, "--master-user", "--password-stdin"}
	var dry []importer.Report
	o.must(rig.OldAdminPass+"\n", &dry, append(args, "--dry-run")...)
	if len(dry) != 3 || slices.ContainsFunc(dry, func(r importer.Report) bool { return r.Estimate.Messages != 10 }) {
		t.Errorf("the dry run: %+v", dry)
	}
	var job importer.Job
	o.must(rig.OldAdminPass+"\n", &job, append(args, "--wait")...)
	for _, p := range job.People {
		if p.Stage != importer.StageDone || p.Total.Taken != 10 || p.OK == nil || !*p.OK {
			t.Errorf("%+v", p)
		}
	}
	o.leaksNothing()
}
