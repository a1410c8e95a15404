package message_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPythonMessages takes the messages that Python tests its parser with.
func TestPythonMessages(t *testing.T) {
	const dir = "/usr/lib/python3.11/test/test_email/data"
	files, err := filepath.Glob(filepath.Join(dir, "msg_*.txt"))
	if err != nil || len(files) == 0 {
		t.Skip("Debian package libpython3.11-testsuite is not installed")
	}
	checkFiles(t, files)
}

// TestEnmimeMessages takes the messages of a library that reads broken mail.
func TestEnmimeMessages(t *testing.T) {
	const module = "github.com/jhillyerd/enmime/v2@v2.3.0"
	out, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module).Output()
	if err != nil {
		t.Skipf("cannot download %s: %v", module, err)
	}
	var info struct{ Dir string }
	if err := json.Unmarshal(out, &info); err != nil {
		t.Fatal(err)
	}
	var files []string
	err = filepath.WalkDir(info.Dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(path, "testdata") &&
			(strings.HasSuffix(path, ".raw") || strings.HasSuffix(path, ".eml")) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Fatalf("found %d messages in %s", len(files), module)
	}
	checkFiles(t, files)
}

// checkFiles parses each file as it is, with CRLF only, and cut off somewhere.
func checkFiles(t *testing.T, files []string) {
	f := newFetcher(t)
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		checkWithClient(t, f, name, body)
		withCR := bytes.ReplaceAll(bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
		checkWithClient(t, f, name+" with CRLF", withCR)
		for _, part := range []int{3, 2} {
			checkWithClient(t, f, name+" cut off", body[:len(body)/part])
		}
	}
	t.Logf("%d messages", len(files))
}
