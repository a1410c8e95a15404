package importer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of uploads. What is kept of one is gone when its mail is here.
const (
	// MaxUpload is how long an uploaded file may be, in octets.
	MaxUpload = 8 << 30
	maxHeld   = 8 // uploads whose job has not come to its end
	maxComing = 2 // that come at the same time
	askEvery  = 16 << 20
)

// ErrUploads says that others are uploading, or have uploaded and not ended.
var ErrUploads = errors.New("there are too many uploads at the moment; try again when one has ended, or cancel one that is not wanted any more")

// ErrNoRoom says that the disk has no room for what is uploaded.
var ErrNoRoom = errors.New("the box has no room for it")

// Unpacked tells what came out of an archive.
type Unpacked struct {
	Files   int
	LeftOut int // links and the like
}

// NewUpload asks for a job with the mail of a file that comes with it: a zip, a
// tar (also with gzip) or an mbox.
type NewUpload struct {
	Name    string // of the file, as its owner calls it
	Size    int64  // octets that are said to come; 0 if that is not known
	Account string
	Owner   string // chooses whose mail of several; "" where it is one person's
	Options Options
}

// Upload keeps what r has until its mail is here, and begins a job with it. Where
// it fails nothing is left of the file.
func (j *Jobs) Upload(ctx context.Context, n *NewUpload, r io.Reader, by string) (job Job, err error) {
	if err := n.Options.Validate(); err != nil {
		return Job{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if j.conf.Unpack == nil {
		return Job{}, fmt.Errorf("%w: files cannot be uploaded here", ErrRefused)
	}
	if n.Size > MaxUpload {
		return Job{}, tooLong()
	}
	if _, _, err := j.conf.Account(ctx, n.Account); err != nil {
		return Job{}, fmt.Errorf("%s: %w", n.Account, err)
	}
	if err := j.room(2 * n.Size); err != nil { // packed and unpacked
		return Job{}, err
	}
	done, err := j.comes()
	if err != nil {
		return Job{}, err
	}
	defer done()
	id := newID()
	dir := j.shelf.upload(id)
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	out, err := j.unpack(ctx, n, r, dir)
	if err != nil {
		return Job{}, err
	}
	warning := ""
	if out.LeftOut > 0 {
		warning = fmt.Sprintf("%d links and the like of the file were left out: mail that they lead to does not come", out.LeftOut)
	}

	return j.begin(ctx, &NewJob{
		From: From{Upload: shortName(n.Name), Owner: n.Owner}, People: []Login{{User: n.Account, Account: n.Account}}, Options: n.Options,
	}, by, id, warning)
}

func tooLong() error {
	return fmt.Errorf("%w: the file is longer than %d GB, the most that is taken at once; send it in parts", ErrRefused, int64(MaxUpload)>>30)
}

func (j *Jobs) room(octets int64) error {
	if j.conf.Room == nil {
		return nil
	}
	if err := j.conf.Room(octets); err != nil {
		return fmt.Errorf("%w: %w", ErrNoRoom, err)
	}

	return nil
}

// comes takes one of the places for uploads, until done is called.
func (j *Jobs) comes() (done func(), err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	kept := 0
	for _, r := range j.jobs {
		if r.From.Upload != "" && r.needsUpload() {
			kept++
		}
	}
	switch {
	case j.ctx == nil:
		return nil, ErrNotRunning
	case j.coming >= maxComing || kept+j.coming >= maxHeld:
		return nil, ErrUploads
	}
	j.coming++

	return func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.coming--
	}, nil
}

// unpack writes the file beside the folder that it is unpacked to, and removes it.
func (j *Jobs) unpack(ctx context.Context, n *NewUpload, r io.Reader, dir string) (Unpacked, error) {
	mail, archive := filepath.Join(dir, mailFolder), filepath.Join(dir, "archive")
	if err := os.MkdirAll(mail, 0o700); err != nil {
		return Unpacked{}, fmt.Errorf("keep the upload: %w", err)
	}
	f, err := os.OpenFile(archive, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return Unpacked{}, fmt.Errorf("keep the upload: %w", err)
	}
	_, err = io.Copy(f, &bounded{ctx: ctx, r: r, room: j.room})
	if err = errors.Join(err, f.Close()); err != nil {
		return Unpacked{}, fmt.Errorf("keep the upload: %w", err)
	}
	out, err := j.conf.Unpack(ctx, archive, n.Name, mail)
	if err != nil {
		return Unpacked{}, err
	}
	if err := errors.Join(os.Remove(archive), syncAround(dir)); err != nil {
		return Unpacked{}, fmt.Errorf("keep the upload: %w", err)
	}

	return out, nil
}

// syncAround makes all durable that was written to the file system of a folder: a
// job that goes on after a power cut must find what it was begun with, and there
// may be a million files.
func syncAround(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}

	return errors.Join(unix.Syncfs(int(d.Fd())), d.Close())
}

// bounded is a stranger's file: not longer than MaxUpload, and only as long as
// there is room.
type bounded struct {
	ctx         context.Context // of Upload, which waits for it
	r           io.Reader
	room        func(octets int64) error
	came, asked int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := b.r.Read(p)
	if b.came += int64(n); b.came > MaxUpload {
		return 0, tooLong()
	}
	if b.came > b.asked {
		b.asked = b.came + askEvery
		if err := b.room(askEvery); err != nil {
			return 0, err
		}
	}

	return n, err
}

// mailFolder is what an upload is unpacked to, in the folder of the upload.
const mailFolder = "mail"

// uploaded finds the mail of an upload: most archives have one folder, in which all
// the rest is.
func (s shelf) uploaded(id string) (string, error) {
	at := filepath.Join(s.upload(id), mailFolder)
	for range maxWrapped {
		list, err := os.ReadDir(at)
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%w: what was uploaded is not kept any more; upload it again", ErrRefused)
		}
		if err != nil {
			return "", fmt.Errorf("open the upload: %w", err)
		}
		if len(list) != 1 || list[0].Name() == "cur" || list[0].Name() == "new" {
			return at, nil
		}
		only := list[0].Name()
		if !list[0].IsDir() {
			if file := filepath.Join(at, only); strings.EqualFold(filepath.Ext(only), ".eml") || beginsAs(file, "From ") {
				at = file // in a folder it would have to be called as an mbox is
			}
			return at, nil
		}
		at = filepath.Join(at, only)
	}

	return at, nil
}

// beginsAs tells whether a file's first octets are a text.
func beginsAs(path, text string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	first := make([]byte, len(text))
	_, err = io.ReadFull(f, first)

	return err == nil && string(first) == text
}

const maxWrapped = 10 // folders of which each holds only the next

// shortName is how a stranger calls a file, fit for a list.
func shortName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(path.Base(strings.ReplaceAll(name, `\`, "/")), "_"))
	if len(name) > 100 {
		name = strings.ToValidUTF8(name[:100], "") + "…"
	}

	return name
}

// needsUpload tells whether a job may still read what was uploaded for it: not when
// all of it is here, and not when nobody wants it any more.
func (j *Job) needsUpload() bool {
	switch j.State {
	case Cancelled:
		return false
	case Ended:
		for i := range j.People {
			p := &j.People[i]
			if p.Stage != StageDone || p.OK == nil || !*p.OK || p.Bad > 0 {
				return true // it can be tried again, or compared
			}
		}
		return false
	}

	return true
}

// dropUpload removes what was uploaded for a job that needs it no more. The caller
// does not hold mu: it may take long.
func (j *Jobs) dropUpload(r *running) {
	j.mu.Lock()
	needed := r.From.Upload == "" || r.needsUpload()
	j.mu.Unlock()
	if needed {
		return
	}
	if err := os.RemoveAll(j.shelf.upload(r.ID)); err != nil {
		j.log.Error("what was uploaded for an import that ended is still there", "job", r.ID, "err", err)
	}
}

func newID() string {
	return time.Now().UTC().Format("20060102-") + strings.ToLower(rand.Text()[:4])
}
