package mailfile_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"pillarbox/appliance/mailfile"
)

// TestALinkToElsewhereIsNotFollowed has somebody's Maildir lead to a secret that
// only who imports can read.
func TestALinkToElsewhereIsNotFollowed(t *testing.T) {
	secret := t.TempDir()
	file := filepath.Join(secret, "ca.key")
	if err := os.WriteFile(file, []byte("a: secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	make := func(t *testing.T) string {
		dir := t.TempDir()
		for _, sub := range []string{"cur", "tmp"} {
			if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	link := func(t *testing.T, to, path string) {
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("message", func(t *testing.T) {
		dir := make(t)
		if err := os.WriteFile(filepath.Join(dir, "cur", "1.a:2,"), []byte("a: b\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		link(t, "1.a:2,", filepath.Join(dir, "cur", "2.b:2,"))
		link(t, file, filepath.Join(dir, "cur", "3.c:2,"))
		src, err := mailfile.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		n := 0
		for m, err := range src.Messages(t.Context()) {
			n++
			if n == 3 {
				if !errors.Is(err, mailfile.ErrElsewhere) {
					t.Errorf("%s: %v", m.Name, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", m.Name, err)
				continue
			}
			body, err := m.Open()
			if err != nil {
				t.Fatal(err)
			}
			if text, err := io.ReadAll(body); err != nil || string(text) != "a: b\r\n" {
				t.Errorf("%s: %q %v", m.Name, text, err)
			}
			body.Close()
		}
		if n != 3 {
			t.Errorf("%d messages", n)
		}
	})
	t.Run("a file that becomes a link", func(t *testing.T) {
		dir := make(t)
		name := filepath.Join(dir, "cur", "1.a:2,")
		if err := os.WriteFile(name, []byte("a: b\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		src, err := mailfile.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		for m, err := range src.Messages(t.Context()) {
			if err := errors.Join(err, os.Remove(name), os.Symlink(file, name)); err != nil {
				t.Fatal(err)
			}
			if _, err := m.Open(); !errors.Is(err, mailfile.ErrElsewhere) {
				t.Errorf("it is opened: %v", err)
			}
		}
	})
	t.Run("folder", func(t *testing.T) {
		dir := make(t)
		link(t, secret, filepath.Join(dir, "new"))
		if _, err := mailfile.Open(dir); !errors.Is(err, mailfile.ErrElsewhere) {
			t.Errorf("it is opened: %v", err)
		}
	})
	t.Run("list", func(t *testing.T) {
		dir := make(t)
		link(t, file, filepath.Join(dir, "subscriptions"))
		tree, err := mailfile.OpenTree(dir, "")
		if err != nil || len(tree.Subscribed) != 0 {
			t.Errorf("subscribed are %q: %v", tree.Subscribed, err)
		}
	})
	t.Run("mbox", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "Inbox"), []byte("From a Thu Jan  1 10:00:00 2026\na: b\n\nx\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		link(t, file, filepath.Join(dir, "Sent"))
		tree, err := mailfile.OpenTree(dir, "")
		if err != nil || len(tree.Folders) != 1 || len(tree.Notes) != 1 {
			t.Errorf("%+v %v", tree, err)
		}
	})
}
