package moving_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"pillarbox/appliance/importer"
	"pillarbox/appliance/integration/rig"
)

// fullVariable has so many messages moved, from Dovecot and from Cyrus, and by
// mbsync as well. make move-test sets it to 10000.
const fullVariable = "PILLARBOX_MOVE_FULL"

// TestMoveBesideMbsync moves a whole account from each server into an empty
// box, by ourselves and by mbsync, compares everything and tells the times.
func TestMoveBesideMbsync(t *testing.T) {
	n := setting(t, fullVariable, 0)
	if n == 0 {
		t.Skipf("skipped: it takes minutes; %s=10000 runs it", fullVariable)
	}
	corpus := rig.Corpus(t, n)
	var octets int
	for _, m := range corpus {
		octets += len(m.Raw)
	}
	for name, start := range map[string]func(testing.TB, []string, ...string) *rig.OldServer{"dovecot": rig.Dovecot, "cyrus": rig.Cyrus} {
		t.Run(name, func(t *testing.T) {
			user, sep := "ada", "/"
			var more []string
			if name == "cyrus" {
				user = "ada@old.example"
				more = []string{"altnamespace: yes", "unixhierarchysep: yes"}
			}
			old := start(t, []string{user}, more...)
			c := old.Client(t, user)
			boxes := []string{"INBOX", "Sent", "Customers" + sep + "2023", "Customers" + sep + "2024"}
			taken := 0
			for i, b := range boxes {
				taken += rig.Put(t, c, b, corpus[i*n/len(boxes):(i+1)*n/len(boxes)]...)
			}
			t.Logf("%d messages of %d are there, %d MB in all", taken, n, octets>>20)
			o := open(t, old)
			begin := time.Now()
			var job importer.Job
			o.must(rig.OldPassword+"\n", &job, "imap", old.Host, "--ca", o.ca, "--user", user, "--account", ada, "--keep-uids", "--password-stdin", "--wait")
			p := job.People[0]
			if p.Stage != importer.StageDone || p.OK == nil || !*p.OK || p.Total.Taken != int64(taken) || p.Bad != 0 {
				t.Errorf("%+v", p)
			}
			report := o.report(job.ID)
			took := report.Ended.Sub(report.Started)
			t.Logf("ours: %.1f s with the comparison (%.1f s for the command), %.0f messages/s, the server takes %d MB",
				took.Seconds(), time.Since(begin).Seconds(), float64(taken)/took.Seconds(), o.Memory(t)>>20)
			for _, b := range boxes {
				o.same(c, b, b)
			}
			begin = time.Now()
			o.must(rig.OldPassword+"\n", &job, "imap", old.Host, "--ca", o.ca, "--user", user, "--account", ada, "--keep-uids", "--password-stdin", "--wait")
			t.Logf("ours again, with nothing new: %.1f s with the comparison", time.Since(begin).Seconds())
			o.mbsync(user, taken)
		})
	}
}

func (o *office) report(id string) *importer.Report {
	o.t.Helper()
	var r importer.Report
	o.must("", &r, "report", id)
	return &r
}

// mbsync moves the same into an account of its own.
func (o *office) mbsync(user string, n int) {
	o.t.Helper()
	o.AddAccount(o.t, "bob@office.example", password)
	host, port := split(o.IMAPS(o.t, "tcp4"))
	begin := time.Now()
	out := o.runMbsync(fmt.Sprintf(`IMAPAccount old
Host %s
User %s
Pass %s
SSLType IMAPS
CertificateFile %s

IMAPStore far
Account old

IMAPAccount new
Host %s
Port %s
User bob@office.example
Pass %s
SSLType IMAPS
CertificateFile %s

IMAPStore near
Account new
`, o.old.Host, user, rig.OldPassword, filepath.Join(o.old.Dir, "tls.crt"), host, port, password, filepath.Join(filepath.Dir(o.CAFile()), "server.crt")))
	took := time.Since(begin)
	if out.Err != nil {
		o.t.Logf("mbsync: %v\n%.2000s", out.Err, out.All())
	}
	o.t.Logf("mbsync: %.1f s, %.0f messages/s", took.Seconds(), float64(n)/took.Seconds())
}

func split(address string) (host, port string) {
	for i := len(address) - 1; i > 0; i-- {
		if address[i] == ':' {
			return address[:i], address[i+1:]
		}
	}
	return address, "993"
}
