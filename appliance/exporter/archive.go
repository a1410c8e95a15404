package exporter

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/mailfile"
)

// archive has what both kinds have: a folder of the account's name, in which an
// export lies as it would on a disk. Nothing is read back: who takes it reads it
// only once.
type archive struct {
	root     string
	manifest mailfile.Manifest
	path     func(name string) string
}

// NewArchive exports to a stream, as one file: a zip of mboxes (KindMbox) or a
// tar of Maildirs (KindMaildir). A stream that ends before Run returns without
// an error is not whole.
func NewArchive(w io.Writer, kind string) (Target, error) {
	switch kind {
	case KindMbox:
		z := zip.NewWriter(w)
		z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
		return &zipArchive{archive: archive{path: mboxPath}, z: z}, nil
	case KindMaildir:
		t := &Maildir{layout: mailfile.LayoutMaildirPlus}
		return &tarArchive{archive: archive{path: t.path}, t: tar.NewWriter(w)}, nil
	}

	return nil, refuse("the form %q is not known: maildir or mbox is wanted", kind)
}

func (a *archive) begin(kind mailfile.Kind, account string, boxes []Mailbox) error {
	a.root = strings.ReplaceAll(account, "/", "_")
	a.manifest = mailfile.Manifest{Kind: kind, Account: account}
	taken := map[string]string{}
	for _, mb := range boxes {
		p := a.path(mb.Name)
		if other, ok := taken[strings.ToLower(p)]; ok && kind == mailfile.Mbox {
			return refuse("%q and %q would both become %s where case does not count; take the other form", other, mb.Name, p)
		}
		taken[strings.ToLower(p)] = mb.Name
		a.manifest.Mailboxes = append(a.manifest.Mailboxes, mailfile.ManifestMailbox{
			Name: mb.Name, Path: filepath.ToSlash(p), SpecialUse: mb.SpecialUse, UIDValidity: mb.UIDValidity, UIDNext: mb.UIDNext,
		})
		if mb.Subscribed {
			a.manifest.Subscribe = append(a.manifest.Subscribe, mb.Name)
		}
	}

	return nil
}

// at is the name of a file of a mailbox in the archive.
func (a *archive) at(mailbox string, more ...string) string {
	return path.Join(append([]string{a.root, filepath.ToSlash(a.path(mailbox))}, more...)...)
}

func (a *archive) end(r *Report) ([]byte, error) {
	sumUp(&a.manifest, r)

	return a.manifest.Encode()
}

// zipArchive has mboxes.
type zipArchive struct {
	archive

	z *zip.Writer
}

// String implements Target.
func (a *zipArchive) String() string { return "a download as mbox" }

// Begin implements Target.
func (a *zipArchive) Begin(_ context.Context, account string, boxes []Mailbox) error {
	return a.begin(mailfile.Mbox, account, boxes)
}

// Put implements Target.
func (a *zipArchive) Put(ctx context.Context, j *Job, mb *Mailbox, msgs []Message) error {
	w, err := a.z.CreateHeader(&zip.FileHeader{Name: a.at(mb.Name), Method: zip.Deflate, Modified: j.now()})
	if err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	f := &mboxFile{mailbox: mb, job: j, w: bufio.NewWriterSize(w, pieceSize)}
	if err := errors.Join(f.append(ctx, msgs), f.flush()); err != nil {
		return err
	}
	countManifest(&a.manifest, j, mb)

	return nil
}

// Finish implements Target.
func (a *zipArchive) Finish(_ context.Context, r *Report) error {
	text, err := a.end(r)
	if err != nil {
		return err
	}
	w, err := a.z.CreateHeader(&zip.FileHeader{Name: path.Join(a.root, mailfile.ManifestName), Method: zip.Deflate, Modified: r.Ended})
	if err == nil {
		_, err = w.Write(text)
	}
	if err := errors.Join(err, a.z.Close()); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}

	return nil
}

// Close implements Target.
func (a *zipArchive) Close() error { return nil }

// tarArchive has Maildirs.
type tarArchive struct {
	archive

	t *tar.Writer
}

// String implements Target.
func (a *tarArchive) String() string { return "a download as Maildir" }

// Begin implements Target.
func (a *tarArchive) Begin(_ context.Context, account string, boxes []Mailbox) error {
	return a.begin(mailfile.Maildir, account, boxes)
}

// Put implements Target.
func (a *tarArchive) Put(ctx context.Context, j *Job, mb *Mailbox, msgs []Message) error {
	for _, dir := range []string{"", "cur", "new", "tmp"} {
		h := &tar.Header{Typeflag: tar.TypeDir, Name: a.at(mb.Name, dir) + "/", Mode: 0o700, ModTime: j.now()}
		if err := a.t.WriteHeader(h); err != nil {
			return fmt.Errorf("write archive: %w", err)
		}
	}
	f := &maildirFolder{mailbox: mb, job: j}
	rest, _ := f.giveLetters(msgs)
	names, sums := map[imap.UID]string{}, map[imap.UID][32]byte{}
	err := j.mail.Read(ctx, dataOf(msgs), func(i int, body io.ReaderAt, size int64, err error) error {
		m := &msgs[i]
		if gone(err) {
			return nil
		}
		var s shape
		if err == nil {
			s, err = look(body, size)
		}
		if err != nil {
			j.bad(m, "it cannot be read on the box: "+err.Error())
			return nil
		}
		name := mailfile.MaildirName(m.Date, mb.UIDValidity, m.UID, s.verbatim, s.size, s.virtual)
		if err := a.message(a.at(mb.Name, "cur", name+f.info(m)), m.Date, &s, io.NewSectionReader(body, 0, size)); err != nil {
			return fmt.Errorf("write archive: %w", err)
		}
		names[m.UID], sums[m.UID] = name, s.sum
		j.box.Put++
		j.box.PutBytes += m.Size
		j.done(m)
		return nil
	})
	lists := map[string][]byte{
		uidFile: uidList(mb.UIDValidity, mb.UIDNext, "", names), mailfile.Sums: mailfile.SumList(mb.UIDValidity, sums),
	}
	if list := f.keywordList(); len(list) > 0 {
		lists[keywordFile] = list
	}
	if len(rest) > 0 {
		lists[mailfile.ManyKeywords] = f.manyKeywords(rest, msgs)
	}
	if mb.Name != inbox {
		lists["maildirfolder"] = nil
	}
	for name, text := range lists {
		err = errors.Join(err, a.file(a.at(mb.Name, name), j.now(), text))
	}
	countManifest(&a.manifest, j, mb)

	return err
}

func (a *tarArchive) message(name string, date time.Time, s *shape, body io.Reader) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: s.size, ModTime: date}
	if err := a.t.WriteHeader(h); err != nil {
		return err
	}

	return writeBody(a.t, body, s, false)
}

func (a *tarArchive) file(name string, date time.Time, text []byte) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: int64(len(text)), ModTime: date}
	err := a.t.WriteHeader(h)
	if err == nil {
		_, err = a.t.Write(text)
	}
	if err != nil {
		return fmt.Errorf("write archive: %w", err)
	}

	return nil
}

// Finish implements Target.
func (a *tarArchive) Finish(_ context.Context, r *Report) error {
	text, err := a.end(r)
	if err != nil {
		return err
	}
	list := subscriptionList(mailfile.LayoutMaildirPlus, a.manifest.Subscribe)
	if err := errors.Join(
		a.file(path.Join(a.root, "subscriptions"), r.Ended, list),
		a.file(path.Join(a.root, mailfile.ManifestName), r.Ended, text), a.t.Close(),
	); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}

	return nil
}

// Close implements Target.
func (a *tarArchive) Close() error { return nil }
