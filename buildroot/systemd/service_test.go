package systemd_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestTheServiceUnderARealSystemd follows the README on a Debian: installs,
// serves, is killed, hangs, is reloaded, loses port 990 and stops.
func TestTheServiceUnderARealSystemd(t *testing.T) {
	d := startDebian(t)
	const address, password = "ada@office.example", "a long enough password"

	d.run("systemd-sysusers")
	d.run("systemctl", "daemon-reload")
	d.run("systemctl", "enable", "--now", "pillarbox")
	if got := d.show("pillarbox", "ActiveState"); got != "active" {
		t.Fatalf("the service is %s", got)
	}
	if user := d.run("sh", "-c", "ps -o user= -p $(systemctl show --value -p MainPID pillarbox)"); strings.TrimSpace(user) != "pillarbox" {
		t.Errorf("it runs as %s", user)
	}
	for _, port := range []string{"993", "990"} {
		if err := d.greets(port); err != nil {
			t.Error(err)
		}
	}

	const asUser = "runuser -u pillarbox -- pillarbox "
	d.run("sh", "-c", "printf %s '"+password+"' | "+asUser+"account add "+address+" --password-stdin --data /var/lib/pillarbox")
	d.run("sh", "-c", "printf 'Subject: by command\\n\\nkept\\n' | "+asUser+"deliver --to "+address+" --data /var/lib/pillarbox")
	fetch := func() error {
		out, err := d.try("curl", "-sS", "--max-time", "20", "--cacert", "/var/lib/pillarbox/certs/ca.crt",
			"--user", address+":"+password, "imaps://localhost/INBOX;UID=1")
		if err != nil || !strings.Contains(out, "kept") {
			return fmt.Errorf("fetch: %w\n%s", err, out)
		}
		return nil
	}
	if err := fetch(); err != nil {
		t.Error(err)
	}
	// The journal takes lines in its own time.
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		out := d.run("journalctl", "--no-pager", "-u", "pillarbox", "-o", "cat", "ACCOUNT="+address)
		if strings.Contains(out, "log") {
			break
		}
		if time.Now().After(end) {
			t.Errorf("the journal does not know the account:\n%s", out)
			break
		}
	}

	restarts := 0
	for _, tt := range []struct{ name, signal string }{
		{"killed", "KILL"},
		{"broken down, as by a panic", "ABRT"},
		{"hung, which only the watchdog sees", "STOP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.signal == "STOP" {
				// Minutes are right for an office, not for a test.
				d.run("sh", "-c", "mkdir -p /run/systemd/system/pillarbox.service.d && "+
					"printf '[Service]\\nWatchdogSec=20s\\nTimeoutAbortSec=5s\\n' > /run/systemd/system/pillarbox.service.d/quick.conf")
				d.run("systemctl", "daemon-reload")
				d.run("systemctl", "restart", "pillarbox")
				restarts = 0
			}
			d.run("systemctl", "kill", "--kill-whom=main", "--signal="+tt.signal, "pillarbox")
			restarts++
			await(t, "it is started again", func() error {
				n, err := strconv.Atoi(d.show("pillarbox", "NRestarts"))
				if err != nil || n < restarts {
					return fmt.Errorf("%d restarts, %w", n, err)
				}
				if got := d.show("pillarbox", "ActiveState"); got != "active" {
					return errors.New(got)
				}
				return fetch()
			})
		})
	}

	before := d.show("pillarbox", "MainPID")
	d.run("systemctl", "reload", "pillarbox")
	if after := d.show("pillarbox", "MainPID"); after != before || d.show("pillarbox", "ActiveState") != "active" {
		t.Errorf("a reload made process %s of %s", after, before)
	}

	d.run("systemctl", "mask", "--now", "pillarbox-imaps-legacy.socket")
	d.run("systemctl", "restart", "pillarbox")
	if err := d.greets("990"); err == nil {
		t.Error("port 990 still answers")
	}
	if err := fetch(); err != nil {
		t.Error(err)
	}

	d.run("systemctl", "stop", "pillarbox")
	if got := d.show("pillarbox", "Result"); got != "success" {
		t.Errorf("it ended with %s", got)
	}
}
