package exporter

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
	"golang.org/x/sys/unix"

	"pillarbox/appliance/mailfile"
)

// Mbox is a folder of mboxes, as Thunderbird keeps its local folders.
type Mbox struct {
	dir      string
	folder   *folder // from Begin on
	manifest mailfile.Manifest
}

// NewMbox exports to a folder.
func NewMbox(dir string) *Mbox { return &Mbox{dir: dir} }

// String implements Target.
func (t *Mbox) String() string { return "mbox " + t.dir }

// Begin implements Target.
func (t *Mbox) Begin(_ context.Context, account string, boxes []Mailbox) error {
	var err error
	if t.folder, err = openFolder(t.dir); err != nil {
		return err
	}

	return beginManifest(&t.manifest, t.folder, mailfile.Mbox, account, boxes, mboxPath)
}

// Put implements Target.
func (t *Mbox) Put(ctx context.Context, j *Job, mb *Mailbox, msgs []Message) error {
	f := &mboxFile{folder: t.folder, name: mboxPath(mb.Name), mailbox: mb, job: j}
	j.box.To = f.path(f.name)
	if err := f.makeDir(filepath.Dir(f.name)); err != nil {
		return err
	}
	if err := f.put(ctx, msgs); err != nil {
		return err
	}
	if err := f.verify(ctx, msgs); err != nil {
		return err
	}
	countManifest(&t.manifest, j, mb)

	return nil
}

// Finish implements Target.
func (t *Mbox) Finish(_ context.Context, r *Report) error {
	return finishManifest(&t.manifest, t.folder, r)
}

// Close implements Target.
func (t *Mbox) Close() error { return t.folder.close() }

// syncEvery is how much is written to an mbox between two syncs, in octets.
const syncEvery = 16 << 20

// mboxFile is one mailbox at the target.
type mboxFile struct {
	*folder // nil in an archive

	name    string // of the file in it
	mailbox *Mailbox
	job     *Job

	file    *os.File // nil in an archive
	w       *bufio.Writer
	written int64     // since the last sync
	waiting []Message // written and not yet counted
}

// scanned is what an mbox holds.
type scanned struct {
	messages []mailfile.Exported // that are whole, in the order of the file
	ends     []int64             // where they end
	foreign  bool                // there is what no export has written
	torn     bool                // something that is not whole follows, at the end
	damaged  bool                // something in the middle is not whole
}

// scan reads a file. All of it is hashed: it is what tells a torn end. Ours says
// that nobody else can have written what is not whole.
func (f *mboxFile) scan(ctx context.Context, name string, ours bool) (s scanned, err error) {
	fi, err := f.Stat(name)
	if err != nil || fi.Size() == 0 {
		return s, err
	}
	src, err := mailfile.Open(f.path(name))
	if err != nil {
		return s, err
	}
	defer src.Close()
	if src.Kind != mailfile.Mbox {
		// The first lines may be torn.
		s.torn, s.foreign = true, !ours
		return s, nil
	}
	for m, err := range src.Messages(ctx) {
		if err != nil {
			return s, err
		}
		s.damaged = s.damaged || s.torn
		if m.Exported == nil {
			s.torn = true
			s.foreign = s.foreign || !ours
			continue
		}
		body, err := m.Open()
		if err != nil {
			return s, err
		}
		sum, _, err := sumOf(body)
		if err := errors.Join(err, body.Close()); err != nil {
			return s, err
		}
		if sum != m.Exported.SHA256 {
			s.torn = true
			continue
		}
		if !s.torn {
			s.messages = append(s.messages, *m.Exported)
			s.ends = append(s.ends, m.End)
		}
	}
	// The empty line after the last message is missing, or a piece of the next
	// one's first line follows it.
	if whole, err := f.endsInEmptyLine(name, fi.Size()); err != nil || whole {
		return s, err
	}
	if n := len(s.messages); !s.torn && n > 0 {
		s.messages, s.ends = s.messages[:n-1], s.ends[:n-1]
	}
	s.torn, s.foreign = true, s.foreign || !ours

	return s, nil
}

func (f *folder) endsInEmptyLine(name string, size int64) (bool, error) {
	file, err := f.Open(name)
	if err != nil {
		return false, err
	}
	var last [2]byte
	n, err := file.ReadAt(last[:], max(size-2, 0))
	if errors.Is(err, io.EOF) {
		err = nil
	}

	return n == 2 && last == [2]byte{'\n', '\n'}, errors.Join(err, file.Close())
}

// end is where the last whole message ends.
func (s *scanned) end() int64 {
	if len(s.ends) == 0 {
		return 0
	}

	return s.ends[len(s.ends)-1]
}

func (f *mboxFile) put(ctx context.Context, msgs []Message) error {
	was, err := f.scan(ctx, f.name, f.has(f.mark()))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return f.make(ctx, msgs)
	case err != nil:
		return fmt.Errorf("read %s: %w", f.path(f.name), err)
	case was.foreign && len(was.messages) == 0:
		return refuse("%s is there, and no export wrote it; choose another folder", f.path(f.name))
	case was.foreign, was.damaged:
		return refuse("%s was changed by another program since it was exported; choose another folder, or move that file away", f.path(f.name))
	}
	kept, ok := f.prefix(was.messages, msgs)
	if !ok {
		return f.merge(ctx, was.messages, msgs)
	}
	f.known(msgs[:kept])
	if kept == len(msgs) && !was.torn {
		return nil
	}
	// Only new messages: they are added in place. Until they are whole a mark
	// says that what is torn is of no other program.
	if err := f.writeFile(f.mark(), nil); err != nil {
		return err
	}
	if err := f.fill(ctx, f.name, was.end(), msgs[kept:]); err != nil {
		return err
	}

	return f.removeFile(f.mark())
}

func (f *mboxFile) partial() string { return f.name + ".partial" }
func (f *mboxFile) mark() string    { return f.name + ".adding.partial" }

// make makes the file, or goes on where a run before was cut off.
func (f *mboxFile) make(ctx context.Context, msgs []Message) error {
	was, err := f.scan(ctx, f.partial(), true)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read %s: %w", f.path(f.partial()), err)
	}
	kept, ok := f.prefix(was.messages, msgs)
	if !ok || was.damaged {
		kept, was.ends = 0, nil
	}
	f.known(msgs[:kept])
	if err := f.fill(ctx, f.partial(), was.end(), msgs[kept:]); err != nil {
		return err
	}

	return f.finish()
}

func (f *mboxFile) known(msgs []Message) {
	for i := range msgs {
		f.job.box.Known++
		f.job.done(&msgs[i])
	}
}

// fill writes messages to a file from an offset on, durably.
func (f *mboxFile) fill(ctx context.Context, name string, at int64, msgs []Message) error {
	if err := f.openAt(name, at); err != nil {
		return err
	}
	// Also what was written before an error need not be written again.
	return errors.Join(f.append(ctx, msgs), f.flush(), f.file.Close())
}

// finish gives the finished file its name.
func (f *mboxFile) finish() error {
	if err := f.Rename(f.partial(), f.name); err != nil {
		return fmt.Errorf("write mbox: %w", err)
	}

	return f.syncDir(filepath.Dir(f.name))
}

// prefix tells how many of the first messages a file has, and whether it has
// nothing else.
func (f *mboxFile) prefix(have []mailfile.Exported, msgs []Message) (int, bool) {
	if len(have) > len(msgs) {
		return 0, false
	}
	for i := range have {
		if !f.same(&have[i], &msgs[i]) {
			return 0, false
		}
	}

	return len(have), true
}

// same tells that a message at the target is that of the box, flags and all.
func (f *mboxFile) same(e *mailfile.Exported, m *Message) bool {
	return f.is(e, m) && sameFlags(e.Flags, m.Flags)
}

func (f *mboxFile) is(e *mailfile.Exported, m *Message) bool {
	return e.UIDValidity == f.mailbox.UIDValidity && e.UID == m.UID && e.Size == m.Size
}

// openAt opens a file to write on from an offset.
func (f *mboxFile) openAt(name string, at int64) error {
	file, err := f.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	// A name that another program gave to a file of its own.
	var fi unix.Stat_t
	if err = unix.Fstat(int(file.Fd()), &fi); err == nil && (fi.Nlink > 1 || fi.Mode&unix.S_IFMT != unix.S_IFREG) {
		err = refuse("%s has another name elsewhere, or is no file: choose another folder, or move it away", f.path(name))
	}
	if err == nil {
		err = file.Truncate(at)
	}
	if err == nil {
		_, err = file.Seek(at, io.SeekStart)
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.file, f.w = file, bufio.NewWriterSize(file, 1<<20)

	return nil
}

// flush makes what was written durable, and only then counts it.
func (f *mboxFile) flush() error {
	if err := f.w.Flush(); err != nil {
		return fmt.Errorf("write mbox: %w", err)
	}
	if f.file != nil {
		if err := f.file.Sync(); err != nil {
			return fmt.Errorf("write mbox: %w", err)
		}
	}
	for i := range f.waiting {
		m := &f.waiting[i]
		f.job.box.Put++
		f.job.box.PutBytes += m.Size
		f.job.done(m)
	}
	f.waiting, f.written = f.waiting[:0], 0

	return nil
}

// append writes messages of the box.
func (f *mboxFile) append(ctx context.Context, msgs []Message) error {
	for part := range slices.Chunk(msgs, batch) {
		err := f.job.mail.Read(ctx, dataOf(part), func(i int, body io.ReaderAt, size int64, err error) error {
			return f.one(&part[i], body, size, err)
		})
		if err != nil {
			return err
		}
	}

	return nil
}

func (f *mboxFile) one(m *Message, body io.ReaderAt, size int64, err error) error {
	if gone(err) {
		return nil
	}
	var s shape
	if err == nil {
		s, err = look(body, size)
	}
	if err != nil {
		f.job.bad(m, "it cannot be read on the box: "+err.Error())
		return nil
	}
	e := mailfile.Exported{
		UIDValidity: f.mailbox.UIDValidity, UID: m.UID, Flags: m.Flags, Date: m.Date, Size: size, SHA256: s.sum, Verbatim: s.verbatim,
	}
	if err := f.write(&e, io.NewSectionReader(body, 0, size), &s); err != nil {
		return fmt.Errorf("write mbox: %w", err)
	}
	f.waiting = append(f.waiting, *m)
	if f.written += size; f.written >= syncEvery {
		return f.flush()
	}

	return nil
}

// write writes a message as mboxrd has it.
func (f *mboxFile) write(e *mailfile.Exported, body io.Reader, s *shape) error {
	fmt.Fprintf(f.w, "From MAILER-DAEMON %s\n", e.Date.UTC().Format(time.ANSIC))
	if _, err := f.w.Write(e.Lines()); err != nil {
		return err
	}
	end := endWriter{w: f.w}
	if err := writeBody(&end, body, s, true); err != nil {
		return err
	}
	if end.last != '\n' {
		if _, err := f.w.WriteString("\n"); err != nil {
			return err
		}
	}
	_, err := f.w.WriteString("\n")

	return err
}

// endWriter remembers the last octet.
type endWriter struct {
	w    io.Writer
	last byte
}

func (e *endWriter) Write(p []byte) (int, error) {
	if len(p) > 0 {
		e.last = p[len(p)-1]
	}

	return e.w.Write(p)
}

// merge writes the file anew: flags have changed, or messages went. What is at
// the target and not on the box any more stays unless it is to be removed.
func (f *mboxFile) merge(ctx context.Context, have []mailfile.Exported, msgs []Message) error {
	if err := f.openAt(f.partial(), 0); err != nil {
		return err
	}
	err := f.mergeInto(ctx, have, msgs)
	if err == nil {
		err = f.flush()
	}
	if err := errors.Join(err, f.file.Close()); err != nil {
		return errors.Join(err, f.removeFile(f.partial()))
	}

	return f.finish()
}

func (f *mboxFile) mergeInto(ctx context.Context, have []mailfile.Exported, msgs []Message) error {
	src, err := mailfile.Open(f.path(f.name))
	if err != nil {
		return fmt.Errorf("read mbox: %w", err)
	}
	defer src.Close()
	index := byUID(msgs)
	there := map[imap.UID]bool{}
	for i := range have {
		if m := index[have[i].UID]; m != nil && f.is(&have[i], m) {
			there[m.UID] = true
		}
	}
	done := 0 // of msgs
	upTo := func(uid imap.UID) error {
		var part []Message
		for ; done < len(msgs) && msgs[done].UID < uid; done++ {
			if !there[msgs[done].UID] {
				part = append(part, msgs[done])
			}
		}
		return f.append(ctx, part)
	}
	for m, err := range src.Messages(ctx) {
		if err != nil {
			return fmt.Errorf("read mbox: %w", err)
		}
		e := m.Exported
		if e == nil {
			continue // it is torn, and comes again
		}
		now := index[e.UID]
		if now == nil || !f.is(e, now) {
			if f.job.o.Expunge {
				f.job.box.Removed++
				continue
			}
			f.job.box.Left++
		} else if err := upTo(e.UID); err != nil {
			return err
		}
		if err := f.again(m, e, now); err != nil {
			return err
		}
	}

	return upTo(1<<32 - 1)
}

// again writes a message that the target has, with the flags of now, that on
// the box, nil if it is gone there.
func (f *mboxFile) again(m *mailfile.Message, e *mailfile.Exported, now *Message) error {
	if now != nil && f.is(e, now) {
		f.job.box.Known++
		if !sameFlags(e.Flags, now.Flags) {
			f.job.box.Flagged++
			e.Flags = now.Flags
		}
		f.job.done(now)
	}
	body, err := m.Open()
	if err != nil {
		return fmt.Errorf("read mbox: %w", err)
	}
	err = f.write(e, body, &shape{verbatim: e.Verbatim})
	f.written += e.Size

	return errors.Join(err, body.Close())
}

// verify reads the file back.
func (f *mboxFile) verify(ctx context.Context, msgs []Message) error {
	if fi, err := f.Stat(f.name); err == nil && fi.Size() == 0 {
		return nil
	}
	now, err := f.scan(ctx, f.name, false)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if now.torn || now.damaged || now.foreign {
		f.job.differs("%s is damaged", f.path(f.name))
	}
	var sums map[imap.UID][32]byte
	if f.job.o.VerifyAll {
		sums = map[imap.UID][32]byte{}
		if err := sumBox(ctx, f.job, msgs, func(m *Message, sum [32]byte) { sums[m.UID] = sum }); err != nil {
			return err
		}
	}
	index := byUID(msgs)
	for i := range now.messages {
		e := &now.messages[i]
		m := index[e.UID]
		if m == nil || !f.is(e, m) {
			continue
		}
		delete(index, e.UID)
		if !sameFlags(e.Flags, m.Flags) {
			f.job.differs("message %d has the flags %v, not %v", e.UID, e.Flags, m.Flags)
		}
		if sum, ok := sums[e.UID]; ok && sum != e.SHA256 {
			f.job.differs("message %d has other octets", e.UID)
			continue
		}
		f.job.box.Verified++
	}
	missing := int64(len(index)) - f.job.box.Refused
	if missing > 0 {
		f.job.differs("%d messages are not there", missing)
	}

	return nil
}
