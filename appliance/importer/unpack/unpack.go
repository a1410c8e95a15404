package unpack

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"
)

// Error says what is wrong with an archive, in words for who packed it.
type Error struct{ Text string }

// Error implements error.
func (e *Error) Error() string { return e.Text }

// ErrNoRoom says that the disk has no room for what is in the archive.
var ErrNoRoom = errors.New("there is no room for it")

func wrong(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// Limits bound what comes out of an archive.
type Limits struct {
	Octets int64 // in all; 0 means 32 GiB
	Files  int   // with folders; 0 means 1,000,000
	// Ratio is how many octets may come out for one of the archive, above 64 MiB in
	// all; 0 means 100. Mail seldom comes to 10, zeros come to 1,000.
	Ratio int64
	// Room fails where the disk has no room for so many octets more; nil means that
	// there always is.
	Room func(octets int64) error
}

const (
	usualOctets = 32 << 30
	usualFiles  = 1_000_000
	usualRatio  = 100
	freeOfRatio = 64 << 20
	block       = 4 << 10 // octets that a file takes at least
	askEvery    = 16 << 20
	maxDepth    = 60
	maxName     = 255 // octets of one level
	sniffed     = 512
)

// Result tells what came out.
type Result struct {
	Files   int   // without folders
	Octets  int64 // of the files
	LeftOut int   // links, pipes and devices
}

// File lays out an archive in dir, which is there and empty. name is how its owner
// calls it, and what an mbox is called. What is wrong with the archive is an *Error.
func File(ctx context.Context, archive, name, dir string, limits Limits) (Result, error) {
	f, err := os.Open(archive)
	if err != nil {
		return Result{}, fmt.Errorf("open archive: %w", err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return Result{}, fmt.Errorf("open archive: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Result{}, fmt.Errorf("open folder: %w", err)
	}
	defer root.Close()
	u := newUnpacker(ctx, root, fi.Size(), limits)
	head := make([]byte, sniffed)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return Result{}, fmt.Errorf("read archive: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return Result{}, fmt.Errorf("read archive: %w", err)
	}
	switch head = head[:n]; {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, []byte("PK\x05\x06")):
		err = u.zip(f, fi.Size())
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		err = u.gzip(f, name)
	default:
		err = u.plain(f, head, name)
	}

	return u.result, err
}

// unpacker writes into a folder and keeps to the limits.
type unpacker struct {
	ctx    context.Context // of File, which waits for it
	root   *os.Root
	packed int64
	limits Limits
	result Result
	files  int   // with folders
	spent  int64 // octets on the disk, at least
	asked  int64 // of them, those for which Room was asked
	made   map[string]bool
}

func newUnpacker(ctx context.Context, root *os.Root, packed int64, l Limits) *unpacker {
	if l.Octets == 0 {
		l.Octets = usualOctets
	}
	if l.Files == 0 {
		l.Files = usualFiles
	}
	if l.Ratio == 0 {
		l.Ratio = usualRatio
	}
	if l.Room == nil {
		l.Room = func(int64) error { return nil }
	}

	return &unpacker{ctx: ctx, root: root, packed: packed, limits: l, made: map[string]bool{".": true}}
}

// plain takes a tar, or a file that is no archive and has mail in it.
func (u *unpacker) plain(r io.Reader, head []byte, name string) error {
	switch {
	case len(head) > 262 && string(head[257:262]) == "ustar", strings.EqualFold(path.Ext(name), ".tar"):
		return u.tar(r)
	case bytes.HasPrefix(head, []byte("From ")), strings.EqualFold(path.Ext(name), ".eml"):
		return u.file(fileName(name), r, time.Time{})
	case bytes.HasPrefix(head, []byte("!BDN")):
		return wrong("this is Outlook's own format (PST), which is not read: have Outlook put the mail on its server, and move it in from there")
	case len(head) == 0:
		return wrong("the file is empty")
	}

	return wrong("this is neither a zip, nor a tar (also with gzip), nor an mbox")
}

// gzip takes a tar or an mbox that was packed with gzip.
func (u *unpacker) gzip(f io.Reader, name string) error {
	z, err := gzip.NewReader(bufio.NewReaderSize(f, 1<<16))
	if err != nil {
		return damaged(err)
	}
	r := bufio.NewReaderSize(&inflated{u: u, r: z}, 1<<16)
	head, err := r.Peek(sniffed)
	if err != nil && !errors.Is(err, io.EOF) {
		return damaged(err)
	}
	name = strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".GZ")
	if err := u.plain(r, head, name); err != nil {
		return err
	}
	// What is behind a tar's end is read, so that the sum of all is verified.
	if _, err := io.Copy(io.Discard, r); err != nil {
		return damaged(err)
	}

	return nil
}

// inflated bounds what gzip makes, also of what is passed over.
type inflated struct {
	u     *unpacker
	r     io.Reader
	taken int64
}

// Read implements io.Reader.
func (i *inflated) Read(p []byte) (int, error) {
	if err := i.u.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := i.r.Read(p)
	if i.taken += int64(n); i.u.tooLarge(i.taken) {
		return 0, i.u.bomb()
	}

	return n, err
}

func (u *unpacker) tar(r io.Reader) error {
	end := &trailing{r: r}
	t := tar.NewReader(end)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) && end.zeros < tarBlock {
			err = io.ErrUnexpectedEOF // the library takes a missing end for one
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return damaged(err)
		}
		switch h.Typeflag {
		case tar.TypeDir:
			err = u.folder(h.Name)
		case tar.TypeReg, tar.TypeGNUSparse:
			err = u.file(h.Name, t, h.ModTime)
		case tar.TypeLink: // as Dovecot and Cyrus have a message that lies in two mailboxes
			err = u.again(h.Name, h.Linkname, h.ModTime)
		case tar.TypeXGlobalHeader:
		default:
			err = u.leaveOut()
		}
		if err != nil {
			return err
		}
	}
}

// tarBlock is of zeros at the end of a tar.
const tarBlock = 512

// trailing counts the zeros at the end of what was read.
type trailing struct {
	r     io.Reader
	zeros int64
}

// Read implements io.Reader.
func (t *trailing) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	rest := bytes.TrimRight(p[:n], "\x00")
	if len(rest) > 0 {
		t.zeros = 0
	}
	t.zeros += int64(n - len(rest))

	return n, err
}

// damaged says that an archive cannot be read.
func damaged(err error) error {
	var mine *Error
	if errors.As(err, &mine) || errors.Is(err, ErrNoRoom) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return wrong("the archive is cut off before its end: send it again, or pack it anew")
	}

	return wrong("the archive is damaged (%v): send it again, or pack it anew", err)
}

// fileName makes a name for a file that comes alone of what its owner calls it.
func fileName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, path.Base(strings.ReplaceAll(name, `\`, "/")))
	name = strings.TrimLeft(name, ".")
	if len(name) > 200 {
		name = strings.ToValidUTF8(name[:200], "")
	}
	if name == "" || name == "/" {
		return "INBOX"
	}

	return name
}
