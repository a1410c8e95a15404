package exporter

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/emersion/go-imap/v2"
	"golang.org/x/sync/errgroup"

	"pillarbox/appliance/mailfile"
)

const (
	batch = 128 // messages that share a sync of the folder
	syncs = 16  // files whose syncs are asked for together, so that the disk does them in one
)

// Maildir is a folder with a Maildir for each mailbox.
type Maildir struct {
	dir      string
	folder   *folder // from Begin on
	layout   mailfile.Layout
	manifest mailfile.Manifest
}

// NewMaildir exports to a folder, which may hold a Maildir already. The layout
// is mailfile.LayoutMaildirPlus, Dovecot's own ("" is that, too), or
// mailfile.LayoutMaildirFS.
func NewMaildir(dir string, layout mailfile.Layout) *Maildir {
	if layout == "" {
		layout = mailfile.LayoutMaildirPlus
	}

	return &Maildir{dir: dir, layout: layout}
}

// String implements Target.
func (t *Maildir) String() string { return "maildir " + t.dir }

// Begin implements Target.
func (t *Maildir) Begin(_ context.Context, account string, boxes []Mailbox) error {
	if t.layout != mailfile.LayoutMaildirPlus && t.layout != mailfile.LayoutMaildirFS {
		return refuse("the layout %q is not known: %s or %s is wanted", t.layout, mailfile.LayoutMaildirPlus, mailfile.LayoutMaildirFS)
	}

	var err error
	if t.folder, err = openFolder(t.dir); err != nil {
		return err
	}

	return beginManifest(&t.manifest, t.folder, mailfile.Maildir, account, boxes, t.path)
}

// path is where a mailbox lies, from the target's folder.
func (t *Maildir) path(name string) string {
	if name == inbox {
		return "."
	}
	return maildirPath(name, t.layout)
}

// Put implements Target.
func (t *Maildir) Put(ctx context.Context, j *Job, mb *Mailbox, msgs []Message) error {
	f := &maildirFolder{folder: t.folder, at: t.path(mb.Name), mailbox: mb, job: j, sums: map[imap.UID][32]byte{}}
	j.box.To = f.path(f.at)
	if p := t.path(mb.Name); strings.ContainsAny(p, `\~`) {
		j.remark("its name means something else in a Maildir, or is too long for one: it lies in %s, and Dovecot may show it so", p)
	}
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := f.makeDir(filepath.Join(f.at, sub)); err != nil {
			return err
		}
	}
	if t.layout == mailfile.LayoutMaildirPlus && mb.Name != inbox {
		if err := f.writeFile(filepath.Join(f.at, "maildirfolder"), nil); err != nil {
			return err
		}
	}
	if err := f.list(); err != nil {
		return err
	}
	if err := f.nameKeywords(msgs); err != nil {
		return err
	}
	if err := f.put(ctx, msgs); err != nil {
		return err
	}
	if err := f.leave(msgs); err != nil {
		return err
	}
	if err := f.writeUIDList(); err != nil {
		return err
	}
	if err := f.writeSums(); err != nil {
		return err
	}
	if err := f.verify(ctx, msgs); err != nil {
		return err
	}
	countManifest(&t.manifest, j, mb)

	return nil
}

// Finish implements Target.
func (t *Maildir) Finish(_ context.Context, r *Report) error {
	if err := writeSubscriptions(t.folder, t.layout, t.manifest.Subscribe); err != nil {
		return err
	}

	return finishManifest(&t.manifest, t.folder, r)
}

// Close implements Target.
func (t *Maildir) Close() error { return t.folder.close() }

// maildirFolder is one mailbox at the target.
type maildirFolder struct {
	*folder // nil in an archive

	at      string // of the mailbox in it
	mailbox *Mailbox
	job     *Job

	have    map[imap.UID]string   // what an export put there under this UIDVALIDITY: "cur/name"
	left    []string              // what came from elsewhere, or from an earlier mailbox of the name: "cur/name"
	old     []string              // of left, what an export put there
	letters []imap.Flag           // what has the letters a to z
	sums    map[imap.UID][32]byte // of what was put in this run
}

func (f *maildirFolder) list() error {
	f.have = map[imap.UID]string{}
	for _, sub := range []string{"cur", "new"} {
		entries, err := f.readDir(filepath.Join(f.at, sub))
		if err != nil {
			return fmt.Errorf("list Maildir: %w", err)
		}
		for _, e := range entries {
			name := filepath.Join(sub, e.Name())
			validity, uid, ours := mailfile.ParseMaildirName(e.Name())
			switch {
			case strings.HasPrefix(e.Name(), "."):
			case ours && validity == f.mailbox.UIDValidity && f.have[uid] == "":
				f.have[uid] = name
			default:
				f.left = append(f.left, name)
				if ours {
					f.old = append(f.old, name)
				}
			}
		}
	}

	return f.sweep()
}

// sweep removes what a run that was cut off left in tmp.
func (f *maildirFolder) sweep() error {
	entries, err := f.readDir(filepath.Join(f.at, "tmp"))
	if err != nil {
		return fmt.Errorf("list Maildir: %w", err)
	}
	for _, e := range entries {
		if _, _, ours := mailfile.ParseMaildirName(e.Name()); ours {
			if err := f.removeFile(filepath.Join(f.at, "tmp", e.Name())); err != nil {
				return err
			}
		}
	}

	return nil
}

func (f *maildirFolder) put(ctx context.Context, msgs []Message) error {
	var missing []Message
	for i := range msgs {
		m := &msgs[i]
		name, ok := f.have[m.UID]
		if !ok {
			missing = append(missing, *m)
			continue
		}
		flagged, err := f.flag(name, m)
		if err != nil {
			return err
		}
		f.job.box.Known++
		if flagged {
			f.job.box.Flagged++
		}
		f.job.done(m)
	}
	for part := range slices.Chunk(missing, batch) {
		if err := f.putBatch(ctx, part); err != nil {
			return err
		}
	}
	if f.job.box.Flagged > 0 && len(missing) == 0 {
		return f.syncDir(filepath.Join(f.at, "cur"))
	}

	return nil
}

// flag renames a message's file for its flags.
func (f *maildirFolder) flag(name string, m *Message) (changed bool, err error) {
	base := filepath.Base(name)
	if i := strings.LastIndex(base, ":2,"); i >= 0 {
		base = base[:i]
	}
	want := filepath.Join("cur", base+f.info(m))
	if want == name {
		return false, nil
	}
	if err := f.Rename(filepath.Join(f.at, name), filepath.Join(f.at, want)); err != nil {
		return false, fmt.Errorf("set flags: %w", err)
	}
	f.have[m.UID] = want

	return true, nil
}

// putBatch writes messages and makes them durable, and only then counts them.
func (f *maildirFolder) putBatch(ctx context.Context, msgs []Message) error {
	type written struct {
		temp, name string
		sum        [32]byte
	}
	all := make([]written, len(msgs))
	err := f.job.mail.Read(ctx, dataOf(msgs), func(i int, body io.ReaderAt, size int64, err error) error {
		m := &msgs[i]
		if gone(err) {
			return nil
		}
		var s shape
		if err == nil {
			s, err = look(body, size)
		}
		if err != nil { // of reading: the box's own disk
			f.job.bad(m, "it cannot be read on the box: "+err.Error())
			return nil
		}
		name := mailfile.MaildirName(m.Date, f.mailbox.UIDValidity, m.UID, s.verbatim, s.size, s.virtual)
		temp := filepath.Join(f.at, "tmp", name)
		if err := f.writeMessage(temp, body, size, &s, m.Date); err != nil {
			return errors.Join(fmt.Errorf("write message: %w", err), f.removeFile(temp))
		}
		all[i] = written{temp, filepath.Join("cur", name+f.info(m)), s.sum}
		return nil
	})
	if err != nil {
		return err
	}
	var wg errgroup.Group
	wg.SetLimit(syncs)
	for i := range all {
		if all[i].temp != "" {
			wg.Go(func() error { return f.syncFile(all[i].temp) })
		}
	}
	if err := wg.Wait(); err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	for i := range all {
		if all[i].temp == "" {
			continue
		}
		err := f.Rename(all[i].temp, filepath.Join(f.at, all[i].name))
		if errors.Is(err, syscall.EINVAL) {
			err = errors.Join(errName, err)
		}
		if err != nil {
			return fmt.Errorf("write message: %w", err)
		}
	}
	if err := f.syncDir(filepath.Join(f.at, "cur")); err != nil {
		return err
	}
	for i := range all {
		m := &msgs[i]
		if all[i].temp == "" {
			continue
		}
		f.have[m.UID], f.sums[m.UID] = all[i].name, all[i].sum
		f.job.box.Put++
		f.job.box.PutBytes += m.Size
		f.job.done(m)
	}

	return nil
}

// writeMessage writes a message's file with its date.
func (f *folder) writeMessage(name string, body io.ReaderAt, size int64, s *shape, date time.Time) error {
	file, err := f.create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(file, pieceSize)
	err = writeBody(w, io.NewSectionReader(body, 0, size), s, false)
	if err == nil {
		err = w.Flush()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}

	return f.Chtimes(name, date, date)
}

// info is the end of a file's name: flags and keywords in alphabetical order.
func (f *maildirFolder) info(m *Message) string {
	var letters []byte
	for _, flag := range m.Flags {
		switch flag {
		case imap.FlagSeen:
			letters = append(letters, 'S')
		case imap.FlagAnswered:
			letters = append(letters, 'R')
		case imap.FlagFlagged:
			letters = append(letters, 'F')
		case imap.FlagDeleted:
			letters = append(letters, 'T')
		case imap.FlagDraft:
			letters = append(letters, 'D')
		default:
			if i := slices.IndexFunc(f.letters, func(l imap.Flag) bool { return strings.EqualFold(string(l), string(flag)) }); i >= 0 {
				letters = append(letters, 'a'+byte(i))
			}
		}
	}
	slices.Sort(letters)

	return ":2," + string(letters)
}

// leave deals with what is there and not, or not any more, on the box.
func (f *maildirFolder) leave(msgs []Message) error {
	index := byUID(msgs)
	remove := f.old
	for uid, name := range f.have {
		if index[uid] == nil {
			remove = append(remove, name)
			if f.job.o.Expunge {
				delete(f.have, uid)
			}
		}
	}
	if !f.job.o.Expunge {
		f.job.box.Left = int64(len(f.left) - len(f.old) + len(remove))
		return nil
	}
	for _, name := range remove {
		if err := f.removeFile(filepath.Join(f.at, name)); err != nil {
			return err
		}
		f.job.box.Removed++
	}
	f.left = slices.DeleteFunc(f.left, func(name string) bool { return !f.has(filepath.Join(f.at, name)) })
	f.job.box.Left = int64(len(f.left))
	if len(remove) == 0 {
		return nil
	}

	return f.syncDir(filepath.Join(f.at, "cur"))
}

// verify reads back what was put there, as the importer would.
func (f *maildirFolder) verify(ctx context.Context, msgs []Message) error {
	src, err := mailfile.Open(f.path(f.at))
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	defer src.Close()
	if f.job.o.VerifyAll {
		if err := f.sumAll(ctx, msgs); err != nil {
			return err
		}
	}
	index := byUID(msgs)
	seen := map[imap.UID]bool{}
	for m, err := range src.Messages(ctx) {
		validity, uid, ours := mailfile.ParseMaildirName(m.Key)
		if !ours || validity != f.mailbox.UIDValidity || index[uid] == nil || seen[uid] {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue
		}
		seen[uid] = true
		if err := f.compare(m, err, index[uid]); err != nil {
			return err
		}
	}
	for i := range msgs {
		if _, put := f.have[msgs[i].UID]; put && !seen[msgs[i].UID] {
			f.job.differs("message %d is not there", msgs[i].UID)
		}
	}

	return nil
}

// compare holds a message of the target against that of the box.
func (f *maildirFolder) compare(m *mailfile.Message, err error, want *Message) error {
	if err != nil {
		f.job.differs("message %d: %v", want.UID, err)
		return nil
	}
	if m.UID != want.UID && m.UID != 0 {
		f.job.differs("message %d has the UID %d", want.UID, m.UID)
	}
	if !sameFlags(m.Flags, want.Flags) {
		f.job.differs("message %d has the flags %v, not %v", want.UID, m.Flags, want.Flags)
	}
	// FAT has even seconds alone.
	if d := m.Date.Unix() - want.Date.Unix(); d < -1 || d > 1 {
		f.job.differs("message %d has the date %s, not %s", want.UID, m.Date.Format(time.RFC3339), want.Date.Format(time.RFC3339))
	}
	sum, ok := f.sums[want.UID]
	if !ok {
		return nil
	}
	body, err := m.Open()
	if err != nil {
		f.job.differs("message %d: %v", want.UID, err)
		return nil
	}
	got, size, err := sumOf(body)
	if err := errors.Join(err, body.Close()); err != nil {
		f.job.differs("message %d: %v", want.UID, err)
		return nil
	}
	if got != sum {
		f.job.differs("message %d has other octets: %d, not %d", want.UID, size, want.Size)
		return nil
	}
	f.job.box.Verified++

	return nil
}

// sumAll hashes on the box what was put there in earlier runs.
func (f *maildirFolder) sumAll(ctx context.Context, msgs []Message) error {
	var earlier []Message
	for _, m := range msgs {
		if _, known := f.sums[m.UID]; !known && f.have[m.UID] != "" {
			earlier = append(earlier, m)
		}
	}

	return sumBox(ctx, f.job, earlier, func(m *Message, sum [32]byte) { f.sums[m.UID] = sum })
}

// sumBox hashes messages on the box.
func sumBox(ctx context.Context, j *Job, msgs []Message, take func(m *Message, sum [32]byte)) error {
	for part := range slices.Chunk(msgs, batch) {
		err := j.mail.Read(ctx, dataOf(part), func(i int, body io.ReaderAt, size int64, err error) error {
			if err != nil {
				return nil // there is nothing to compare with
			}
			sum, _, err := sumOf(io.NewSectionReader(body, 0, size))
			if err == nil {
				take(&part[i], sum)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}

	return nil
}

// sameFlags compares without order and, as IMAP does, case.
func sameFlags(a, b []imap.Flag) bool {
	return slices.Equal(foldFlags(a), foldFlags(b))
}

func foldFlags(flags []imap.Flag) []string {
	folded := make([]string, 0, len(flags))
	for _, f := range flags {
		folded = append(folded, strings.ToLower(string(f)))
	}
	slices.Sort(folded)

	return slices.Compact(folded)
}
