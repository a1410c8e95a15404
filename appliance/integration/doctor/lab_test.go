package doctor_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pillarbox/appliance/doctor"
	"pillarbox/appliance/integration/rig"
	"pillarbox/netcfg/netlab"
)

func TestMain(m *testing.M) { netlab.Main(m) }

// The lab's addresses are those that are kept for documentation.
const (
	mailName = "mail.office.example"
	mail4    = "192.0.2.10"
	mail6    = "2001:db8::10"
	dns4     = "192.0.2.53"
	client4  = "192.0.2.77"
	client6  = "2001:db8::77"
	silent4  = "198.51.100.9" // nobody has it
	user     = "ada@office.example"
	password = "correct horse 9"
)

// breaks skips what breaks servers one way after the other, which takes minutes,
// where the tests are to be short.
func breaks(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("breaking servers takes minutes")
	}
}

// sampled skips two of three ways to break a server, of which this is number i,
// unless all are wanted.
func sampled(t *testing.T, i int) {
	t.Helper()
	if i%3 != 0 && os.Getenv("PILLARBOX_DOCTOR") != "full" {
		t.Skip("make doctor-test breaks it in this way, too")
	}
}

// addresses gives the namespace the lab's.
func addresses(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		rig.Need(t, "only root can run mail servers")
	}
	// Nobody connects from the server's own address: it may trust itself.
	for _, command := range []string{
		"addr replace " + client4 + "/32 dev lo", "addr replace " + dns4 + "/32 dev lo", "addr replace " + mail4 + "/32 dev lo",
		"route replace table local local " + mail4 + " dev lo src " + client4,
		"addr replace " + client6 + "/128 dev lo nodad", "addr replace " + mail6 + "/128 dev lo nodad",
		"route replace table local local " + mail6 + " dev lo src " + client6 + " metric 0",
	} {
		if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", command, err, out)
		}
	}
}

// folder makes a folder that servers without privileges can get to, with a
// path that is short enough for sockets.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "doctor")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// daemon is a server that runs until the test ends.
type daemon struct {
	name string
	cmd  *exec.Cmd
	log  string // a file
	end  chan struct{}
}

// run starts a server in the foreground and waits until it takes connections.
func run(t *testing.T, log string, ready []string, path string, args ...string) *daemon {
	t.Helper()
	d := &daemon{name: filepath.Base(path), cmd: exec.Command(path, args...), log: log, end: make(chan struct{})}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	d.cmd.Stdout, d.cmd.Stderr = out, out
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = d.cmd.Wait(); close(d.end) }()
	t.Cleanup(func() {
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-d.end:
		case <-time.After(20 * time.Second):
			_ = d.cmd.Process.Kill()
			<-d.end
		}
		if t.Failed() {
			text, _ := os.ReadFile(log)
			t.Logf("%s says:\n%s", d.name, text[max(0, len(text)-4000):])
		}
	})
	for _, address := range ready {
		d.await(t, address)
	}
	return d
}

func (d *daemon) await(t *testing.T, address string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-d.end:
			text, _ := os.ReadFile(d.log)
			t.Fatalf("%s ended at once\n%s", d.name, text)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(d.log)
			t.Fatalf("%s does not listen on %s: %v\n%s", d.name, address, err, text)
		}
	}
}

// names runs a name server with records in dnsmasq's words, after those of the
// healthy office.
func names(t *testing.T, records ...string) {
	t.Helper()
	addresses(t)
	dir := folder(t)
	text := "port=53\nlisten-address=" + dns4 + "\nbind-interfaces\nno-resolv\nno-hosts\nno-daemon\nuser=root\npid-file=" + dir + "/pid\n" +
		"local=/example/\nlocal=/arpa/\n" + strings.Join(records, "\n") + "\n"
	run(t, filepath.Join(dir, "log"), []string{dns4 + ":53"}, rig.Tool(t, "dnsmasq", "dnsmasq-base"), "--conf-file="+write(t, dir+"/dnsmasq.conf", text))
}

// office are the records of an office where all is well.
func office() []string {
	return []string{
		"host-record=" + mailName + "," + mail4 + "," + mail6,
		"mx-host=office.example," + mailName + ",10",
		"txt-record=office.example,v=spf1 mx -all",
		"txt-record=_dmarc.office.example,v=DMARC1; p=reject; rua=mailto:postmaster@office.example",
	}
}

// ask examines with the lab's DNS and roots.
func ask(t *testing.T, p *pki, r *doctor.Request) *doctor.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c := &doctor.Config{DNS: dns4 + ":53"}
	if p != nil {
		c.Roots = p.roots()
		resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, dns4+":53")
		}}
		transport := &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: p.roots()}, DialContext: (&net.Dialer{Resolver: resolver}).DialContext,
		}
		defer transport.CloseIdleConnections()
		c.HTTP = &http.Client{Transport: transport, Timeout: 10 * time.Second}
	}
	report, err := doctor.New(c).Examine(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// expect demands that exactly these findings are there, notes aside: no more,
// and none twice. With "note:ID" a note is demanded too.
func expect(t *testing.T, r *doctor.Report, want ...string) {
	t.Helper()
	var got, notes, wanted []string
	for _, f := range r.Findings {
		if f.Severity == doctor.Note {
			notes = append(notes, f.ID)
		} else {
			got = append(got, f.ID)
		}
		for what, text := range map[string]string{"what": f.What, "why": f.Why, "do": f.Do, "see": f.See} {
			if text == "" || strings.ContainsAny(text, "{}") && what == "see" {
				t.Errorf("%s: its %s is %q", f.ID, what, text)
			}
		}
	}
	for _, id := range want {
		if note, ok := strings.CutPrefix(id, "note:"); ok {
			if !slices.Contains(notes, note) {
				t.Errorf("no note %s among %q", note, notes)
			}
			continue
		}
		wanted = append(wanted, id)
	}
	slices.Sort(got)
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		t.Errorf("found %q, want %q", got, wanted)
	}
	if r.Well != (len(wanted) == 0) {
		t.Errorf("well is %v", r.Well)
	}
	if t.Failed() {
		t.Log(say(r))
	}
}

func say(r *doctor.Report) string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s %s %v: %s\n    see: %s\n", f.Severity, f.ID, f.Where, f.What, f.See)
	}
	for _, n := range r.NotChecked {
		fmt.Fprintf(&b, "not checked: %s: %s\n", n.What, n.Why)
	}
	fmt.Fprintf(&b, "checked %q\n", r.Checked)
	for _, m := range r.Timings {
		fmt.Fprintf(&b, "%s %.1f ms\n", m.What, m.MS)
	}
	return b.String()
}
