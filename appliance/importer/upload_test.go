package importer_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pillarbox/appliance/importer"
	"pillarbox/appliance/importer/files"
	"pillarbox/appliance/importer/unpack"
	"pillarbox/storage"
)

// uploads are jobs to which files are uploaded.
type uploads struct {
	*importer.Jobs

	dir  string
	stop func()
	held atomic.Bool // nobody's mail moves
}

func uploadsOf(t *testing.T, h *here, dir string, room func(int64) error) *uploads {
	t.Helper()
	u := &uploads{dir: dir}
	jobs, err := importer.OpenJobs(&importer.JobsConfig{
		Dir: dir, Engine: h.engine, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Room: room,
		Files: func(path, owner string) (importer.Source, error) { return files.Open(path, owner) },
		Unpack: func(ctx context.Context, archive, name, to string) (importer.Unpacked, error) {
			r, err := unpack.File(ctx, archive, name, to, unpack.Limits{Octets: 10 << 20})
			var wrong *unpack.Error
			if errors.As(err, &wrong) {
				err = errors.Join(importer.ErrRefused, err)
			}
			return importer.Unpacked{Files: r.Files, LeftOut: r.LeftOut}, err
		},
		Account: func(ctx context.Context, address string) (*storage.Account, string, error) {
			if u.held.Load() && len(u.List()) > 0 { // the upload is done
				<-ctx.Done()
				return nil, "", ctx.Err()
			}
			if address != "ada@office.example" {
				return nil, "", errors.New("there is no such account")
			}
			return h.account, address, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := jobs.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	u.Jobs, u.stop = jobs, func() {
		cancel()
		<-ended
	}
	t.Cleanup(u.stop)

	return u
}

// upload sends a file as soon as jobs run.
func (u *uploads) upload(t *testing.T, n *importer.NewUpload, data func() io.Reader) (importer.Job, error) {
	t.Helper()
	for {
		job, err := u.Upload(t.Context(), n, data(), "somebody")
		if !errors.Is(err, importer.ErrNotRunning) {
			return job, err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// kept lists what is kept of uploads.
func (u *uploads) kept(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(u.dir, "*.upload"))
	if err != nil {
		t.Fatal(err)
	}

	return all
}

// zipped packs files by name.
func zipped(t *testing.T, all map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range all {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(2019, 5, 4, 3, 2, 2, 0, time.UTC)})
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}

	return b.Bytes()
}

const oneMessage = "From: bob@other.example\r\nSubject: one\r\n\r\ntext\r\n"

func maildirZip(t *testing.T) []byte {
	return zipped(t, map[string]string{"ada@old.example/cur/1.a.host:2,S": oneMessage, "ada@old.example/.Old/cur/2.a.host:2,": oneMessage, "ada@old.example/new/": "", "ada@old.example/.Old/new/": ""})
}

func TestAnUploadMovesIn(t *testing.T) {
	h := newHere(t)
	u := uploadsOf(t, h, filepath.Join(t.TempDir(), "imports"), nil)
	n := &importer.NewUpload{Name: `C:\mail\old.zip`, Account: "ada@office.example"}
	job, err := u.upload(t, n, func() io.Reader { return bytes.NewReader(maildirZip(t)) })
	if err != nil {
		t.Fatal(err)
	}
	if job.From.Upload != "old.zip" || job.From.Path != "" {
		t.Errorf("%+v", job.From)
	}
	job = until(t, u.Jobs, job.ID, func(j *importer.Job) bool { return j.State == importer.Ended })
	if p := job.People[0]; p.Stage != importer.StageDone || p.OK == nil || !*p.OK {
		t.Fatalf("%+v", p)
	}
	if got := h.names(); got != "INBOX 1\nOld 1\n" {
		t.Error(got)
	}
	for end := time.Now().Add(10 * time.Second); len(u.kept(t)) > 0 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	if kept := u.kept(t); len(kept) > 0 {
		t.Errorf("%v is still there", kept)
	}
	if _, err := u.Verify(t.Context(), job.ID, 0, nil, ""); !errors.Is(err, importer.ErrRefused) || !strings.Contains(err.Error(), "upload it again") {
		t.Error(err)
	}
	// The same again: nothing comes twice.
	mbox := "From bob@other.example Sat May  4 03:02:01 2019\nSubject: two\n\ntext\n"
	for range 2 {
		job, err := u.upload(t, &importer.NewUpload{Name: "Letters.mbox", Account: "ada@office.example"}, func() io.Reader { return strings.NewReader(mbox) })
		if err != nil {
			t.Fatal(err)
		}
		until(t, u.Jobs, job.ID, func(j *importer.Job) bool { return j.State == importer.Ended })
	}
	if got := h.names(); got != "INBOX 1\nLetters 1\nOld 1\n" {
		t.Error(got)
	}
}

func TestUploadsThatAreRefusedLeaveNothing(t *testing.T) {
	h := newHere(t)
	full := errors.New("the disk would be full")
	var left int64 = 1 << 40
	u := uploadsOf(t, h, filepath.Join(t.TempDir(), "imports"), func(octets int64) error {
		if left -= octets; left < 0 {
			return full
		}
		return nil
	})
	good := func() io.Reader { return bytes.NewReader(maildirZip(t)) }
	ada := importer.NewUpload{Name: "x.zip", Account: "ada@office.example"}
	for name, c := range map[string]struct {
		n    importer.NewUpload
		data func() io.Reader
		want string
		room int64
	}{
		"no account":      {importer.NewUpload{Account: "eve@office.example"}, good, "no such account", 1 << 40},
		"announced long":  {importer.NewUpload{Account: ada.Account, Size: importer.MaxUpload + 1}, good, "longer than 8 GB", 1 << 60},
		"announced large": {importer.NewUpload{Account: ada.Account, Size: 1 << 30}, good, "no room", 1<<31 - 1},
		"full meanwhile":  {ada, func() io.Reader { return io.LimitReader(zeros{}, 100<<20) }, "no room", 50 << 20},
		"no mail":         {ada, func() io.Reader { return bytes.NewReader(zipped(t, map[string]string{"x/readme": "no"})) }, "no mail in it", 1 << 40},
		"leads out":       {ada, func() io.Reader { return bytes.NewReader(zipped(t, map[string]string{"../../evil": "x"})) }, "outside", 1 << 40},
		"no archive":      {ada, func() io.Reader { return strings.NewReader("%PDF") }, "neither a zip", 1 << 40},
		"breaks off":      {ada, func() io.Reader { return io.MultiReader(good(), broken{}) }, "connection", 1 << 40},
	} {
		t.Run(name, func(t *testing.T) {
			left = c.room
			_, err := u.upload(t, &c.n, c.data)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Error(err)
			}
			if kept := u.kept(t); len(kept) > 0 || len(u.List()) > 0 {
				t.Errorf("%v, %v", kept, u.List())
			}
		})
	}
	if list, _ := filepath.Glob(filepath.Join(u.dir, "..", "*vil*")); len(list) > 0 {
		t.Error(list)
	}
	// Nobody names what was uploaded, or what would be removed, by hand.
	_, err := u.Add(t.Context(), &importer.NewJob{From: importer.From{Upload: "../x"}, People: []importer.Login{{User: "a", Account: ada.Account}}}, "somebody")
	if !errors.Is(err, importer.ErrRefused) {
		t.Error(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the connection is gone") }

// TestUploadsAreBounded has a third come while two are coming.
func TestUploadsAreBounded(t *testing.T) {
	h := newHere(t)
	u := uploadsOf(t, h, filepath.Join(t.TempDir(), "imports"), nil)
	ada := &importer.NewUpload{Name: "x.zip", Account: "ada@office.example"}
	if _, err := u.upload(t, ada, func() io.Reader { return strings.NewReader("") }); !errors.Is(err, importer.ErrRefused) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	for range 2 {
		r, w := io.Pipe()
		defer w.Close()
		go func() {
			_, err := u.Upload(ctx, ada, r, "somebody")
			ended <- err
		}()
		if _, err := w.Write([]byte("PK")); err != nil { // it has a place now
			t.Fatal(err)
		}
		defer context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })()
	}
	if _, err := u.Upload(ctx, ada, bytes.NewReader(maildirZip(t)), "somebody"); !errors.Is(err, importer.ErrUploads) {
		t.Error(err)
	}
	cancel()
	for range 2 {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if kept := u.kept(t); len(kept) > 0 {
		t.Errorf("%v is still there", kept)
	}
	if _, err := u.Upload(t.Context(), ada, bytes.NewReader(maildirZip(t)), "somebody"); err != nil {
		t.Error(err)
	}
}

// TestAnUploadOutlivesARestart pauses one, and starts anew beside what a crash left.
func TestAnUploadOutlivesARestart(t *testing.T) {
	h := newHere(t)
	dir := filepath.Join(t.TempDir(), "imports")
	u := uploadsOf(t, h, dir, nil)
	u.held.Store(true)
	job, err := u.upload(t, &importer.NewUpload{Name: "x.zip", Account: "ada@office.example"}, func() io.Reader { return bytes.NewReader(maildirZip(t)) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Pause(t.Context(), job.ID, "somebody"); err != nil {
		t.Fatal(err)
	}
	u.stop()
	orphan := filepath.Join(dir, "20260101-abcd.upload")
	if err := os.MkdirAll(filepath.Join(orphan, "mail"), 0o700); err != nil {
		t.Fatal(err)
	}
	u = uploadsOf(t, h, dir, nil)
	if kept := u.kept(t); len(kept) != 1 || kept[0] == orphan {
		t.Fatal(kept)
	}
	for {
		if _, err := u.Cancel(t.Context(), job.ID, "somebody"); err == nil {
			break
		} else if !errors.Is(err, importer.ErrNotRunning) {
			t.Fatal(err)
		}
	}
	if kept := u.kept(t); len(kept) > 0 {
		t.Errorf("%v is still there", kept)
	}
}
