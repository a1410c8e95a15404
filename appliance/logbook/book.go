package logbook

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

const (
	fileName = "pillarbox.log"

	// maxRecent bounds the lines in memory, in octets.
	maxRecent = 128 << 10
	// maxPending is what is gathered at most before it is written: some pages
	// of flash. maxWaiting bounds what waits for a disk that does not answer.
	maxPending = 32 << 10
	maxWaiting = 256 << 10
)

// Config says what a Book keeps.
type Config struct {
	Dir     string        // of the files; "" means that there are none; made if missing
	MaxSize int64         // of one file in octets; 0 means 1 MiB
	Files   int           // how many at most; 0 means 5
	Delay   time.Duration // how long a line may wait to be written; 0 means 1 minute
}

// Book keeps lines that are written to it, each with one Write. It is safe for
// concurrent use.
type Book struct {
	conf Config

	mu       sync.Mutex // never held while the disk is waited for
	recent   []byte
	pending  []byte
	timer    *time.Timer // nil while nothing is pending, or is being written
	flushing bool
	lost     int // lines that the files lack and do not yet say so
	closed   bool

	disk sync.Mutex // taken before mu
	file *os.File
	size int64
	err  error // of the last write
}

// Open returns a Book that goes on with the files that are there.
func Open(c *Config) (*Book, error) {
	b := &Book{conf: *c}
	b.conf.MaxSize = cmp.Or(b.conf.MaxSize, 1<<20)
	b.conf.Files = cmp.Or(b.conf.Files, 5)
	b.conf.Delay = cmp.Or(b.conf.Delay, time.Minute)
	if b.conf.Dir == "" {
		return b, nil
	}
	if err := os.MkdirAll(b.conf.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if err := b.openFile(); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}

	return b, nil
}

// Write takes a line. It never fails, and never waits for the disk.
func (b *Book) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remember(line)
	switch {
	case b.conf.Dir == "" || b.closed:
		return len(line), nil
	case len(b.pending)+len(line) > maxWaiting:
		b.lost++
		return len(line), nil
	}
	b.pending = append(b.pending, line...)
	b.arrange()

	return len(line), nil
}

// arrange sees to it that what is pending will be written.
func (b *Book) arrange() {
	switch {
	case len(b.pending) == 0 || b.flushing:
	case len(b.pending) >= maxPending:
		b.flushing = true
		time.AfterFunc(0, b.flush)
	case b.timer == nil:
		b.timer = time.AfterFunc(b.conf.Delay, b.flush)
	}
}

// remember keeps the newest lines in memory.
func (b *Book) remember(line []byte) {
	line = line[:min(len(line), maxRecent/2)]
	if over := len(b.recent) + len(line) - maxRecent; over > 0 {
		// Half of them go at once, so that few lines move the rest.
		cut := max(over, maxRecent/2)
		if i := bytes.IndexByte(b.recent[cut:], '\n'); i >= 0 {
			cut += i + 1
		}
		b.recent = append(b.recent[:0], b.recent[cut:]...)
	}
	b.recent = append(b.recent, line...)
}

// Sync writes what waits and makes it durable.
func (b *Book) Sync() error {
	b.flush()
	b.disk.Lock()
	defer b.disk.Unlock()
	if b.err != nil || b.file == nil {
		return b.err
	}

	return b.file.Sync()
}

// Close writes what waits. Lines that come later are kept in memory only.
func (b *Book) Close() error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.flush()
	b.disk.Lock()
	defer b.disk.Unlock()
	err := b.err
	if b.file != nil {
		err = errors.Join(err, b.file.Sync(), b.file.Close())
		b.file = nil
	}

	return err
}

// Tail returns the newest lines, at most n, the oldest of them first.
func (b *Book) Tail(n int) []string {
	b.mu.Lock()
	defer b.mu.Unlock()

	return lastLines(b.recent, n)
}

// flush writes what is pending. Lines that the disk does not take are counted
// and given up.
func (b *Book) flush() {
	b.disk.Lock()
	defer b.disk.Unlock()
	b.mu.Lock()
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	b.flushing = true
	batch, lost := b.pending, b.lost
	b.pending = nil
	b.mu.Unlock()

	if len(batch) > 0 {
		b.err = b.writeOut(batch, lost)
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case len(batch) == 0:
	case b.err != nil:
		b.lost += bytes.Count(batch, []byte("\n"))
	default:
		b.lost -= lost
	}
	b.flushing = false
	b.arrange()
}

func (b *Book) writeOut(batch []byte, lost int) error {
	if b.size > 0 && b.size+int64(len(batch)) > b.conf.MaxSize {
		if err := b.rotate(); err != nil {
			return err
		}
	}
	if b.file == nil {
		if err := b.openFile(); err != nil {
			return err
		}
	}
	if lost > 0 {
		note := fmt.Appendf(nil, "time=%s level=WARN msg=\"lines of the log were lost\" count=%d\n",
			time.Now().Format(time.RFC3339), lost)
		batch = append(note, batch...)
	}
	n, err := b.file.Write(batch)
	b.size += int64(n)

	return err
}

func (b *Book) openFile() error {
	f, err := os.OpenFile(b.path(0), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	b.file, b.size = f, info.Size()

	return nil
}

// rotate makes each file one older, and the oldest go.
func (b *Book) rotate() error {
	err := b.file.Close()
	b.file, b.size = nil, 0
	for i := b.conf.Files - 1; i > 0; i-- {
		if e := os.Rename(b.path(i-1), b.path(i)); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	if b.conf.Files == 1 {
		err = errors.Join(err, os.Remove(b.path(0)))
	}

	return err
}

func (b *Book) path(age int) string { return path(b.conf.Dir, age) }

func path(dir string, age int) string {
	name := filepath.Join(dir, fileName)
	if age > 0 {
		name += "." + strconv.Itoa(age)
	}

	return name
}

// Copy writes all lines that are kept to w, the oldest first: those of the files,
// or those in memory where there are none. What comes meanwhile is left out.
func (b *Book) Copy(w io.Writer) error {
	b.flush()
	files, err := b.openAll()
	for _, f := range files {
		defer f.Close()
	}
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	if len(files) == 0 {
		b.mu.Lock()
		recent := bytes.Clone(b.recent)
		b.mu.Unlock()
		if _, err := w.Write(recent); err != nil {
			return fmt.Errorf("copy log: %w", err)
		}
		return nil
	}
	for _, f := range files {
		info, err := f.Stat()
		if err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		if _, err := io.CopyN(w, f, info.Size()); err != nil {
			return fmt.Errorf("copy log: %w", err)
		}
	}

	return nil
}

// openAll opens the files, the oldest first; no line stands in two of them.
func (b *Book) openAll() (files []*os.File, err error) {
	if b.conf.Dir == "" {
		return nil, nil
	}
	b.disk.Lock()
	defer b.disk.Unlock()
	for age := b.conf.Files - 1; age >= 0; age-- {
		f, err := os.Open(b.path(age))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return files, err
		}
		files = append(files, f)
	}

	return files, nil
}

// ReadTail returns the newest lines of the files in a folder, for when no
// server is there to ask.
func ReadTail(dir string, n int) ([]string, error) {
	newest, err := os.ReadFile(path(dir, 0))
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	lines := lastLines(newest, n)
	if len(lines) == n {
		return lines, nil
	}
	older, err := os.ReadFile(path(dir, 1))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read log: %w", err)
	}

	return append(lastLines(older, n-len(lines)), lines...), nil
}

func lastLines(text []byte, n int) []string {
	lines := []string{}
	for line := range bytes.Lines(text) {
		lines = append(lines, string(bytes.TrimRight(line, "\r\n")))
	}

	return lines[max(0, len(lines)-max(n, 0)):]
}

// Handler makes errors durable in the book at once; next writes to it.
func (b *Book) Handler(next slog.Handler) slog.Handler { return &handler{Handler: next, book: b} }

type handler struct {
	slog.Handler

	book *Book
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelError {
		err = errors.Join(err, h.book.Sync())
	}

	return err
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{Handler: h.Handler.WithAttrs(attrs), book: h.book}
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{Handler: h.Handler.WithGroup(name), book: h.book}
}
