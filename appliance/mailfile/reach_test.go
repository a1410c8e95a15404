package mailfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"pillarbox/appliance/mailfile"
)

func TestNoMailMovesThroughTheSystemsFolders(t *testing.T) {
	base := t.TempDir()
	data := filepath.Join(base, "data")
	for _, dir := range []string{"data/certs", "mail"} {
		if err := os.MkdirAll(filepath.Join(base, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"mail/keys": data + "/certs", "mail/etc": "/etc", "mail/other": base + "/mail"} {
		if err := os.Symlink(to, filepath.Join(base, name)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]bool{
		base + "/mail": true, base + "/mail/other/new": true, base + "/mail/not/there/yet": true, base: true, "/srv/mail": true, "/run/media/usb": true, "/etcetera": true,
		data: false, data + "/certs/ca.key": false, base + "/mail/keys": false, base + "/mail/../data/x": false, base + "/mail/keys/new": false,
		"/etc/shadow": false, base + "/mail/etc/shadow": false, "/root/x": false, "/proc/self/environ": false, "/srv/../etc": false, "/": false,
	} {
		err := mailfile.Reachable(path, data)
		var no *mailfile.ReachError
		if (err == nil) != want || err != nil && !errors.As(err, &no) {
			t.Errorf("%s: %v", path, err)
		}
	}
	t.Chdir(base)
	for _, path := range []string{"data/certs/ca.key", "mail/keys", "../../../../../../../etc/shadow"} {
		if mailfile.Reachable(path, data) == nil || path[0] != '.' && mailfile.Reachable(base+"/"+path, "data") == nil {
			t.Errorf("%s is reached from here", path)
		}
	}
	if err := mailfile.Outside("/etc/x", data); err != nil {
		t.Errorf("a command may write where its user may: %v", err)
	}
}
