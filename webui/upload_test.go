package webui_test

import (
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"pillarbox/webui"
)

// upload sends a form with a file; "" leaves the file out.
func (w *browser) upload(path, account, name string, file io.Reader) page {
	w.t.Helper()
	r, out := io.Pipe()
	form := multipart.NewWriter(out)
	go func() {
		err := form.WriteField("upload_account", account)
		if err == nil && file != nil {
			var part io.Writer
			if part, err = form.CreateFormFile("file", name); err == nil {
				_, err = io.Copy(part, file)
			}
		}
		if err == nil {
			err = form.Close()
		}
		_ = out.CloseWithError(err)
	}()

	return w.do(http.MethodPost, path, nil, func(req *http.Request) {
		req.Body, req.ContentLength = r, -1
		req.Header.Set("Content-Type", form.FormDataContentType())
	})
}

func TestAFileIsUploaded(t *testing.T) {
	b := movingBox(t)
	w := b.as(webui.Administrator)
	w.get("/moving").says(t, `action="/moving/upload" enctype="multipart/form-data"`, "8 GB at most")
	w.upload("/moving/upload", "", "x.zip", strings.NewReader("PK")).says(t, `id="upload_account-problem">Say whose mail it becomes.`)
	w.upload("/moving/upload", "anna@office.example", "", nil).says(t, `id="file-problem">Choose a file.`, `value="anna@office.example"`)
	w.upload("/moving/upload", "anna@office.example", "", strings.NewReader("")).says(t, "Choose a file.")
	w.post("/moving/upload", "upload_account", "anna@office.example").says(t, "Choose a file.")
	if asked := b.api.changed(); len(asked) > 0 {
		t.Fatalf("the box was asked %v", asked)
	}

	m := move("running")
	m["from"] = map[string]any{"upload": "old <mail>.zip"}
	b.api.say("POST /v1/imports/archive", m)
	b.api.say("GET /v1/imports/m1", m)
	w.upload("/moving/upload", "anna@office.example", "old <mail>.zip", strings.NewReader("PK and more")).leads(t, "/moving/m1")
	got := b.api.changed()[0]
	if got.Path != "/v1/imports/archive?account=anna%40office.example&keep_uids=yes&name=old+%3Cmail%3E.zip" || got.Body != "PK and more" {
		t.Errorf("%+v", got)
	}
	w.get("/moving/m1").says(t, "From old &lt;mail&gt;.zip")

	b.api.answer("POST /v1/imports/archive", http.StatusBadRequest, map[string]string{"code": "import", "message": "the archive is <damaged>"})
	w.upload("/moving/upload", "anna@office.example", "x.zip", strings.NewReader("PK")).says(t, `id="file-problem">The archive is &lt;damaged&gt;.`, `value="anna@office.example"`)
	b.api.answer("POST /v1/imports/archive", http.StatusInsufficientStorage, map[string]string{"code": "disk-full", "message": "the box has no room for it"})
	w.upload("/moving/upload", "anna@office.example", "x.zip", strings.NewReader("PK")).says(t, `id="file-problem">The box has no room for it.`)
}

// TestAnUploadComesAsItIsSent has the box take the beginning of a file of which the
// rest is not sent before that.
func TestAnUploadComesAsItIsSent(t *testing.T) {
	b := movingBox(t)
	began := make(chan struct{})
	b.api.stream("POST /v1/imports/archive", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadFull(r.Body, make([]byte, 100_000)); err != nil {
			t.Error(err)
		}
		close(began)
		if n, err := io.Copy(io.Discard, r.Body); n != 100_004 || err != nil {
			t.Error(n, err)
		}
		if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Error(err) // the box gives long files time
		}
		_, _ = io.WriteString(w, `{"id":"m1"}`)
	})
	r, w := io.Pipe()
	go func() {
		_, err := w.Write(make([]byte, 200_000)) // what lies in buffers on the way
		if <-began; err == nil {
			_, err = io.WriteString(w, "rest")
		}
		_ = w.CloseWithError(err)
	}()
	b.as(webui.Administrator).upload("/moving/upload", "anna@office.example", "x.zip", r).leads(t, "/moving/m1")
}
