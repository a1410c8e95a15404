package mailfile

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"time"
)

// startsMbox tells whether a file begins as an mbox does.
func startsMbox(f *os.File) (bool, error) {
	br := readers.Get().(*bufio.Reader)
	defer readers.Put(br)
	br.Reset(io.NewSectionReader(f, 0, lineBuffer))
	line, err := peekLine(br)
	if err != nil {
		return false, err
	}
	_, ok := parseFromLine(line)

	return ok, nil
}

// span is a message found in an mbox.
type span struct {
	begin      int64 // after the "From " line
	start, end int64 // without what our export writes in front, and the empty line after the message
	next       int64 // where what follows begins
	line       int64 // number of the "From " line, counted from 1
	date       time.Time
	status     mboxStatus
	exported   *Exported // what our export says of it
	counted    bool      // its Content-Length is right: nothing is quoted
}

func (s *Source) mboxMessages(ctx context.Context) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		n := 0
		scan := mboxScan{file: s.file, size: s.Bytes}
		err := scan.run(func(sp span) bool {
			if ctx.Err() != nil {
				return false
			}
			n++
			if n == 1 && s.UIDValidity == 0 {
				s.UIDValidity, s.UIDNext = sp.status.validity, sp.status.next
			}
			return yield(s.mboxMessage(n, sp, scan.ends), nil)
		})
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			yield(&Message{Name: filepath.Base(s.Path)}, fmt.Errorf("read mbox: %w", err))
		}
	}
}

func (s *Source) mboxMessage(n int, sp span, ends lineEnds) *Message {
	m := &Message{
		Name:     fmt.Sprintf("%s, message %d (line %d)", filepath.Base(s.Path), n, sp.line),
		UID:      sp.status.uid,
		Flags:    sp.status.flags(),
		Date:     sp.date,
		Bytes:    sp.end - sp.start,
		End:      sp.next,
		Expunged: sp.status.expunged(),
		Internal: sp.status.internal(),
		open: func() (io.ReadCloser, error) {
			return newBody(io.NewSectionReader(s.file, sp.start, sp.end-sp.start), ends, !sp.counted)
		},
	}
	if sp.exported != nil {
		s.exportedMessage(m, sp, ends)
	}

	return m
}

// exportedMessage makes a message of what our export wrote, by all appearances.
func (s *Source) exportedMessage(m *Message, sp span, ends lineEnds) {
	e, plain := sp.exported, *m
	plain.open = func() (io.ReadCloser, error) {
		return newBody(io.NewSectionReader(s.file, sp.begin, sp.end-sp.begin), ends, !sp.counted)
	}
	m.UID, m.Flags, m.Date, m.Exported = e.UID, e.Flags, e.Date, e
	m.Expunged, m.Internal = false, false // by header fields that anybody can send
	whole := func() (*body, error) {
		ends := endsToCRLF
		if e.Verbatim {
			ends = endsKept
		}
		return newBody(io.NewSectionReader(s.file, sp.start, sp.end-sp.start), ends, true)
	}
	m.open = func() (io.ReadCloser, error) {
		b, err := whole()
		if err != nil {
			return nil, err
		}
		return limit(b, e.Size), nil
	}
	m.settle = s.settler(m, sp, &plain, whole)
}

// mboxScan finds the messages of an mbox, which begins with a "From " line.
type mboxScan struct {
	file io.ReaderAt
	size int64
	ends lineEnds // how lines end, from the first line on

	cur     span
	open    bool  // cur has begun
	header  bool  // within cur's header
	counts  bool  // the first message's Content-Length is right
	exports int   // lines that our export has written in front of cur, and are to come
	empty   int64 // octets of the empty line just before pos, 0 if that was another line
	pos     int64
	lines   int64
}

// run calls found with each message, until it returns false.
func (m *mboxScan) run(found func(span) bool) error {
	br := readers.Get().(*bufio.Reader)
	defer readers.Put(br)
	br.Reset(io.NewSectionReader(m.file, 0, m.size))
	inLine := false // the next piece goes on with a line
	for {
		piece, err := br.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		at := m.pos
		m.pos += int64(len(piece))
		if len(piece) > 0 && !inLine {
			if !m.line(piece, at, found) {
				return nil
			}
		} else if inLine && m.open && m.cur.start == at {
			if m.cur.exported == nil {
				m.cur.begin = m.pos
			}
			m.cur.start = m.pos // the "From " line itself is longer than the buffer
		}
		if len(piece) > 0 {
			m.empty = 0
			if !inLine && isEmptyLine(piece) {
				m.empty = int64(len(piece))
			}
			inLine = piece[len(piece)-1] != '\n'
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if end, ok := m.counted(piece); ok {
			// The lines of what is passed over are counted, for a person's sake.
			n, err := countLines(io.NewSectionReader(m.file, m.pos, end-m.pos))
			if err != nil {
				return err
			}
			m.lines += n
			m.pos, m.cur.counted, m.header, m.empty = end, true, false, 0
			br.Reset(io.NewSectionReader(m.file, m.pos, m.size-m.pos))
			inLine = false
		}
	}
	if m.open {
		m.cur.end, m.cur.next = max(m.pos-m.empty, m.cur.start), m.pos
		found(m.cur)
	}

	return nil
}

// line takes the line, or the first piece of a long one, at an offset.
func (m *mboxScan) line(piece []byte, at int64, found func(span) bool) bool {
	m.lines++
	date, ok := time.Time{}, false
	if !m.open || m.empty > 0 || m.cur.counted && m.cur.end == at {
		date, ok = parseFromLine(piece)
	}
	switch {
	case ok:
		if !m.open {
			m.ends = endsOf(piece)
		} else {
			m.cur.end, m.cur.next = at-m.empty, at
			if !found(m.cur) {
				return false
			}
		}
		m.cur = span{begin: m.pos, start: m.pos, line: m.lines, date: date}
		m.open, m.header, m.exports = true, true, 0
	case m.exports > 0:
		m.exports--
		m.cur.start = m.pos
		m.cur.status.field(piece)
	case m.header && m.cur.start == at && m.cur.exported == nil && m.export(piece):
	case m.header && isEmptyLine(piece):
		m.header = false
	case m.header:
		m.cur.status.field(piece)
	}

	return true
}

// export takes the first line of what our export has written in front of a
// message.
func (m *mboxScan) export(piece []byte) bool {
	e, lines, ok := parseExported(piece)
	if ok {
		m.cur.exported, m.exports, m.cur.start = e, lines-1, m.pos
	}

	return ok
}

// counted tells where the message ends by its Content-Length, at the end of
// its header. Files are edited after it was written, and senders write it, too:
// it is believed only where a message begins or the file ends just there, and
// only if that is so of the first message.
func (m *mboxScan) counted(piece []byte) (end int64, ok bool) {
	n := m.cur.status.length
	if m.header || n == 0 || !isEmptyLine(piece) {
		return 0, false
	}
	m.cur.status.length = 0 // what follows is the body
	if n > m.size-m.pos || m.cur.exported != nil || m.cur.line > 1 && !m.counts {
		return 0, false
	}
	end = m.pos + n
	next := make([]byte, min(maxFromLine, m.size-end))
	if _, err := m.file.ReadAt(next, end); err != nil && !errors.Is(err, io.EOF) {
		return 0, false
	}
	rest := trimEnd(next)
	ended := endsLine(m.file, end)
	if !ended { // some do not count the last line's end
		rest = trimEnd(rest)
	}
	line, _, _ := bytes.Cut(rest, crlf[1:])
	_, begins := parseFromLine(line)
	ok = len(rest) == 0 || begins && (ended || len(rest) < len(next))
	m.counts = m.counts || ok
	m.cur.end = end

	return end, ok
}

// maxFromLine is how much of a "From " line is looked at, in octets.
const maxFromLine = 1024

func endsLine(r io.ReaderAt, at int64) bool {
	var last [1]byte
	_, err := r.ReadAt(last[:], at-1)

	return err == nil && last[0] == '\n'
}

func trimEnd(b []byte) []byte {
	if rest, ok := bytes.CutPrefix(b, crlf); ok {
		return rest
	}

	return bytes.TrimPrefix(b, crlf[1:])
}

func countLines(r io.Reader) (n int64, err error) {
	buf := make([]byte, lineBuffer)
	for {
		k, err := r.Read(buf)
		n += int64(bytes.Count(buf[:k], crlf[1:]))
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

func isEmptyLine(line []byte) bool {
	return len(line) == 1 && line[0] == '\n' || len(line) == 2 && line[0] == '\r' && line[1] == '\n'
}
