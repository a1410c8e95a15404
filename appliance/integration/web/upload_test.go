package web_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestAFileMovesIn has an administrator upload the mail of one person for another,
// in the browser, and what is none.
func TestAFileMovesIn(t *testing.T) {
	long(t)
	o, b := busyOffice(t)
	e := newEyes(t)
	dir := t.TempDir()
	archive, other := filepath.Join(dir, "ada.tar"), filepath.Join(dir, "notes.zip")
	o.Command(nil, "export", "archive", archive, "--form", "maildir", "--account", "ada@office.example").MustRun(t)
	if err := os.WriteFile(other, []byte("no archive"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := func(path string) act {
		return chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{path})
	}
	b.open("/moving")
	b.do("upload what is no archive", fill("upload_account", "charles@office.example"), file(other), wrong("Upload and begin", "file"))
	e.look(b, "moving-upload-wrong")
	b.do("upload for nobody", fill("upload_account", "nobody@office.example"), file(archive), wrong("Upload and begin", "upload_account"))
	b.open("/moving")
	b.do("upload it", fill("upload_account", "charles@office.example"), file(archive), press("Upload and begin", "From ada.tar"))
	const compared = `//tr[contains(., "charles@office.example")]//span[contains(., "compared")]`
	b.do("it comes to its end by itself", chromedp.WaitVisible(chromedp.Search(compared)))
	b.do("it is there after a reload", chromedp.Reload(), sees("From ada.tar"), chromedp.WaitVisible(chromedp.Search(compared)))
	e.look(b, "moving-upload")
	if left, _ := filepath.Glob(filepath.Join(o.Dir, "imports", "*.upload")); len(left) > 0 {
		t.Errorf("%v is still there", left)
	}
}
