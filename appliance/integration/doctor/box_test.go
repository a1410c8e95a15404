package doctor_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pillarbox/appliance/doctor"
	"pillarbox/appliance/integration/rig"
)

func build(t *testing.T) string {
	t.Helper()
	bin, err := rig.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// box starts our own server on the lab's addresses, with the ports that it has
// in an office.
func box(t *testing.T) *rig.Box {
	t.Helper()
	b := rig.NewBox(t, build(t))
	b.AddAccount(t, user, password)
	b.Args = []string{
		"--name", mailName, "--imaps", mail4 + ":993", "--imaps", "[" + mail6 + "]:993", "--imaps-legacy", mail4 + ":990",
		"--imaps-legacy", "[" + mail6 + "]:990", "--http", mail4 + ":80", "--https", mail4 + ":443",
	}
	b.Start(t)
	return b
}

// examineOwn asks the binary as an administrator does.
func examineOwn(t *testing.T, b *rig.Box, args ...string) *doctor.Report {
	t.Helper()
	out := b.Command([]byte(password+"\n"), append([]string{"doctor", "--json"}, args...)...).Run(t)
	var r doctor.Report
	if err := json.Unmarshal(out.Stdout, &r); err != nil {
		t.Fatalf("%v\n%s", err, out.All())
	}
	if r.Well != (out.Err == nil) {
		t.Errorf("well is %v, and it ended with %v", r.Well, out.Err)
	}
	return &r
}

func TestPillarbox(t *testing.T) {
	names(t, office()...)
	b := box(t)
	from := []string{mailName, "--dns", dns4, "--ca", b.CAFile(), "--user", user}
	t.Run("healthy from outside", func(t *testing.T) {
		r := examineOwn(t, b, append(from, "--password-stdin", "--write")...)
		expect(t, r, "note:imaps-990")
		if !strings.Contains(say(r), "IMAP delivery to IDLE notice 993") {
			t.Error(say(r))
		}
	})
	t.Run("healthy from inside", func(t *testing.T) { expect(t, examineOwn(t, b, "--storage")) })
	t.Run("LMTP", func(t *testing.T) {
		to := netip.MustParseAddrPort(b.LMTP(t))
		r := &doctor.Request{Host: to.Addr().String(), Port: to.Port(), User: user}
		report := ask(t, nil, r)
		expect(t, report)
		if !strings.Contains(say(report), "SMTP recipient") {
			t.Error("it did not find out that it is LMTP\n" + say(report))
		}
		r.User = "nobody@office.example"
		expect(t, ask(t, nil, r), "rcpt-refused")
	})
	t.Run("LMTP without what it demands", func(t *testing.T) {
		for _, lacks := range []string{"PIPELINING", "ENHANCEDSTATUSCODES"} {
			r := &doctor.Request{Host: client4, Service: doctor.LMTP, User: user}
			r.Port = middlebox(t, b.LMTP(t), func(l string) string { return strings.Replace(l, lacks, "XLACKS", 1) })
			expect(t, ask(t, nil, r), "lmtp-public", "note:lmtp-lacks")
		}
	})
	t.Run("whose CA nobody knows", func(t *testing.T) {
		r := &doctor.Request{Host: mailName, User: user, Password: password}
		expect(t, ask(t, newPKI(t), r), "cert-unknown-ca")
	})
	t.Run("by another name", func(t *testing.T) {
		expect(t, examineOwn(t, b, append(from, "--password-stdin", "--name", "mail.elsewhere.example")...), "cert-name")
	})
	t.Run("a wrong password", func(t *testing.T) {
		wrong := filepath.Join(folder(t), "wrong")
		write(t, wrong, "no\n")
		expect(t, examineOwn(t, b, append(from, "--password-file", wrong)...), "login-refused")
	})
	t.Run("another program has the port on another address", func(t *testing.T) {
		ln, err := net.Listen("tcp", client4+":993")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		r := examineOwn(t, b)
		expect(t, r, "port-taken")
		if !strings.Contains(say(r), "the program doctor") {
			t.Errorf("it does not say which program\n%s", say(r))
		}
	})
	b.Stop(t)
	t.Run("it does not run", func(t *testing.T) { expect(t, examineOwn(t, b), "server-down") })
	t.Run("it does not run, and another program has its port", func(t *testing.T) {
		ln, err := net.Listen("tcp", mail4+":993")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		expect(t, examineOwn(t, b), "server-down", "port-taken")
	})
	t.Run("its mail is damaged", func(t *testing.T) {
		b := rig.NewBox(t, build(t))
		b.AddAccount(t, user, password)
		letter := write(t, filepath.Join(folder(t), "letter.eml"), "Subject: long\r\n\r\n"+strings.Repeat("all work and no play\r\n", 1000))
		b.Command(nil, "deliver", "--to", user, letter).MustRun(t)
		bodies, err := filepath.Glob(filepath.Join(b.Dir, "accounts/*/bodies/*"))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, dir := range append(bodies, b.Dir) {
			_ = filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
				if err == nil && d.Type().IsRegular() && strings.Contains(p, "bodies") {
					found++
					return os.WriteFile(p, []byte("other"), 0o600)
				}
				return nil
			})
		}
		if found == 0 {
			t.Fatal("no body was found")
		}
		expect(t, examineOwn(t, b, "--storage"), "server-down", "storage-damaged")
	})
}

// TestMachine lets disks, memory and flash be bad.
func TestMachine(t *testing.T) {
	addresses(t)
	disk := func(t *testing.T, options string) string {
		t.Helper()
		dir := folder(t)
		if out, err := exec.Command("mount", "-t", "tmpfs", "-o", options, "tmpfs", dir).CombinedOutput(); err != nil {
			t.Fatalf("mount: %v\n%s", err, out)
		}
		t.Cleanup(func() { _ = exec.Command("umount", dir).Run() })
		return dir
	}
	fill := func(t *testing.T, dir string, octets int) {
		t.Helper()
		write(t, filepath.Join(dir, "mail"), strings.Repeat("x", octets))
	}
	system := func(t *testing.T, files map[string]string) string {
		t.Helper()
		dir := folder(t)
		for name, text := range files {
			if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, name), text)
		}
		return dir
	}
	good := map[string]string{
		"proc/net/tcp": "", "proc/net/tcp6": "", "proc/meminfo": "MemTotal:  448000 kB\nMemAvailable:  380000 kB\n",
		"sys/block/mmcblk0/device/life_time": "0x01 0x02\n", "sys/block/mmcblk0/device/pre_eol_info": "0x01\n",
	}
	with := func(name, text string) map[string]string {
		all := map[string]string{name: text}
		for n, v := range good {
			if n != name {
				all[n] = v
			}
		}
		return all
	}
	for _, tt := range []struct {
		name  string
		files map[string]string
		dir   func(t *testing.T) string
		want  []string
	}{
		{"well", good, func(t *testing.T) string { return disk(t, "size=200m") }, nil},
		{"full", good, func(t *testing.T) string { d := disk(t, "size=20m"); fill(t, d, 20<<20-64<<10); return d }, []string{"disk-full"}},
		{"almost full", good, func(t *testing.T) string { d := disk(t, "size=20m"); fill(t, d, 20<<20-600<<10); return d }, []string{"disk-low"}},
		{"no more files", good, func(t *testing.T) string { return disk(t, "size=200m,nr_inodes=40") }, []string{"disk-full"}},
		{"read-only", good, func(t *testing.T) string { return disk(t, "size=200m,ro") }, []string{"disk-read-only"}},
		{"no memory", with("proc/meminfo", "MemTotal:  448000 kB\nMemAvailable:  10000 kB\n"), func(t *testing.T) string { return disk(t, "size=200m") }, []string{"memory-low"}},
		{"worn flash", with("sys/block/mmcblk0/device/life_time", "0x02 0x0a\n"), func(t *testing.T) string { return disk(t, "size=200m") }, []string{"flash-worn"}},
		{"flash without reserve", with("sys/block/mmcblk0/device/pre_eol_info", "0x03\n"), func(t *testing.T) string { return disk(t, "size=200m") }, []string{"flash-worn"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := doctor.New(&doctor.Config{System: system(t, tt.files)}).ExamineBox(t.Context(), &doctor.Request{}, &doctor.Box{
				Running: true, Dir: tt.dir(t),
			})
			if err != nil {
				t.Fatal(err)
			}
			expect(t, r, tt.want...)
		})
	}
	t.Run("what the box says and its firewall", func(t *testing.T) {
		for _, command := range []string{"link add inside type veth peer name beyond", "link set inside up", "addr add 192.168.7.1/24 dev inside"} {
			if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
				t.Fatalf("ip %s: %v\n%s", command, err, out)
			}
		}
		r, err := doctor.New(&doctor.Config{}).ExamineBox(t.Context(), &doctor.Request{}, &doctor.Box{
			Dir: disk(t, "size=200m"), Listeners: []doctor.Listener{{Service: doctor.IMAPS, Name: "imaps", Address: "0.0.0.0:993"}},
			Firewall: func(_ context.Context, source netip.Addr, port uint16) (doctor.Verdict, error) {
				return doctor.Verdict{Rule: "input policy", Why: source.String()}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		expect(t, r, "server-down", "firewall-refuses")
		r, err = doctor.New(&doctor.Config{}).ExamineBox(t.Context(), &doctor.Request{}, &doctor.Box{
			Dir: disk(t, "size=200m"), Running: true, Listeners: []doctor.Listener{{Service: doctor.IMAPS, Name: "imaps", Address: "0.0.0.0:993"}},
			Conditions: []doctor.Condition{{Name: "clock", Title: "The clock is not set", Text: "Wait.", Severity: doctor.Warning}},
		})
		if err != nil {
			t.Fatal(err)
		}
		expect(t, r, "box-warning", "not-listening")
		r, err = doctor.New(&doctor.Config{}).ExamineBox(t.Context(), &doctor.Request{}, &doctor.Box{
			Dir: disk(t, "size=200m"), Running: true,
			Conditions: []doctor.Condition{
				{Name: "storage", Title: "Storage does not work", Text: "See the disk.", Severity: doctor.Broken},
				{Name: "note", Title: "A note", Text: "Nothing.", Severity: doctor.Note},
			},
			Stored: func(context.Context) (int, error) { return 0, errors.New("read the index: input/output error") },
		})
		if err != nil {
			t.Fatal(err)
		}
		expect(t, r, "box-broken", "storage-unread", "note:box-note")
	})
}
