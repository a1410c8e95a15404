package rig

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Where Debian's libpython3.11-testsuite keeps the messages of Python's email
// package.
const pythonMail = "/usr/lib/python3.11/test/test_email/data"

// enmime's test messages come with its module, which the product does not
// use: it is downloaded for its files alone and pinned here.
const (
	enmimeModule = "github.com/jhillyerd/enmime/v2@v2.3.0"
	enmimeSum    = "h1:Y/pzQanyU8nkSgB2npXX8Dha5OItJE/QwbDJM4sf/kU="
)

// Mail is one message of a collection.
type Mail struct {
	Name string // unique within the collection
	File string // where it lies on the disk, as it is
	Raw  []byte // as it is on the disk, with any kind of line ends
	Wire []byte // Raw with each bare LF made CRLF: what the box must give back
}

// RealMail returns the messages, good and broken, that mail libraries test
// themselves with, as far as they are on this machine.
func RealMail(t testing.TB) []Mail {
	t.Helper()
	mails := append(pythonMails(t), enmimeMails(t)...)
	if len(mails) == 0 {
		Need(t, "no collection of real messages is here")
	}
	return mails
}

func pythonMails(t testing.TB) []Mail {
	t.Helper()
	files, err := filepath.Glob(pythonMail + "/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 && InCI() {
		Need(t, "%s is empty (apt-get install libpython3.11-testsuite)", pythonMail)
	}
	return readMails(t, "python", files)
}

func enmimeMails(t testing.TB) []Mail {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", enmimeModule)
	cmd.Dir = t.TempDir() // outside the module, so that go.mod stays as it is
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var module struct{ Dir, Sum, Error string }
	if err == nil {
		err = json.Unmarshal(out, &module)
	}
	if err != nil || module.Error != "" {
		if InCI() {
			Need(t, "%s: %v %s%s", enmimeModule, err, &stderr, module.Error)
		}
		t.Logf("without the messages of %s: %v %s%s", enmimeModule, err, &stderr, module.Error)
		return nil
	}
	if module.Sum != enmimeSum {
		t.Fatalf("%s has the sum %s, want %s", enmimeModule, module.Sum, enmimeSum)
	}
	var files []string
	for _, folder := range []string{"mail", "parts", "low-quality", "encode"} {
		found, err := filepath.Glob(filepath.Join(module.Dir, "testdata", folder, "*.raw"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		t.Fatalf("no message in %s", module.Dir)
	}
	return readMails(t, "enmime", files)
}

func readMails(t testing.TB, collection string, files []string) []Mail {
	t.Helper()
	var mails []Mail
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(raw) == 0 {
			continue
		}
		name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		folder := filepath.Base(filepath.Dir(file))
		mails = append(mails, Mail{
			Name: collection + "-" + folder + "-" + name,
			File: file,
			Raw:  raw,
			Wire: WithCRLF(raw),
		})
	}
	return mails
}

// WithCRLF ends every line that ends with a bare LF by CRLF. Bare CRs stay:
// they are the content of a broken message, not a line end.
func WithCRLF(b []byte) []byte {
	out := make([]byte, 0, len(b)+bytes.Count(b, []byte("\n")))
	for i, c := range b {
		if c == '\n' && (i == 0 || b[i-1] != '\r') {
			out = append(out, '\r')
		}
		out = append(out, c)
	}
	return out
}

// WithLF ends every line with a bare LF, as a Maildir does.
func WithLF(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")) }
