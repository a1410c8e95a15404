package integration_test

import (
	"bytes"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/integration/rig"
)

// curl runs curl as Ada; the path is what stands after the host in its URL.
func curl(t *testing.T, box *rig.Box, path string, args ...string) []byte {
	t.Helper()
	_, port, _ := strings.Cut(box.IMAPS(t, "tcp4"), ":")
	all := []string{
		"--silent", "--show-error", "--cacert", box.CAFile(),
		"--user", ada + ":" + adaPassword, "imaps://localhost:" + port + path, "--ipv4",
	}
	cmd := rig.Command{Path: rig.Tool(t, "curl", "curl"), Args: append(all, args...)}
	return cmd.MustRun(t).Stdout
}

func TestCurlListsFetchesUploadsAndSearches(t *testing.T) {
	box := openOffice(t)
	c := asAda(t, box, nil)
	createMailbox(t, c, "Entwürfe & Pläne/2026")
	message := rig.Message(8)
	mustAppend(t, c, "INBOX", letter("another"))
	uid := mustAppend(t, c, "INBOX", message)

	t.Run("list", func(t *testing.T) {
		got := string(curl(t, box, "/"))
		for _, want := range []string{"INBOX", "Sent", "Entw&APw-rfe &- Pl&AOQ-ne/2026"} {
			if !strings.Contains(got, want) {
				t.Errorf("%q is not listed:\n%s", want, got)
			}
		}
	})
	t.Run("fetch", func(t *testing.T) {
		got := curl(t, box, "/INBOX;UID="+imap.UIDSetNum(uid).String())
		if !bytes.Equal(got, message) {
			t.Errorf("got %d octets, want the %d that were appended", len(got), len(message))
		}
	})
	t.Run("fetch a section", func(t *testing.T) {
		got := curl(t, box, "/INBOX;UID="+imap.UIDSetNum(uid).String()+";SECTION=HEADER")
		header, _, _ := bytes.Cut(message, []byte("\r\n\r\n"))
		if want := string(header) + "\r\n\r\n"; string(got) != want {
			t.Errorf("got header\n%q\nwant\n%q", got, want)
		}
	})
	t.Run("upload", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "message.eml")
		if err := os.WriteFile(file, message, 0o600); err != nil {
			t.Fatal(err)
		}
		curl(t, box, "/"+url.PathEscape("Entw&APw-rfe &- Pl&AOQ-ne")+"/2026", "--upload-file", file)
		selectMailbox(t, c, "Entwürfe & Pläne/2026")
		for _, got := range bodies(t, c) {
			if !bytes.Equal(got, message) {
				t.Errorf("got %d octets, want the %d that were uploaded", len(got), len(message))
			}
			return
		}
		t.Error("the upload is not there")
	})
	t.Run("search", func(t *testing.T) {
		got := strings.TrimSpace(string(curl(t, box, "/INBOX", "--request", "UID SEARCH SUBJECT another")))
		if got != "* SEARCH 1" {
			t.Errorf("got %q, want %q", got, "* SEARCH 1")
		}
	})
}
