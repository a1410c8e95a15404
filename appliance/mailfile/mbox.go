package mailfile

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
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
	start, end int64 // without the "From " line and the empty line after the message
	line       int64 // number of the "From " line, counted from 1
	date       time.Time
	status     mboxStatus
}

func (s *Source) mboxMessages(ctx context.Context) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		n := 0
		ends := endsKept
		err := scanMbox(io.NewSectionReader(s.file, 0, s.Bytes), func(e lineEnds) { ends = e }, func(sp span) bool {
			if ctx.Err() != nil {
				return false
			}
			n++
			return yield(&Message{
				Name:  fmt.Sprintf("%s, message %d (line %d)", filepath.Base(s.Path), n, sp.line),
				Flags: sp.status.flags(),
				Date:  sp.date,
				Bytes: sp.end - sp.start,
				open: func() (io.ReadCloser, error) {
					return newBody(io.NewSectionReader(s.file, sp.start, sp.end-sp.start), ends, true)
				},
			}, nil)
		})
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			yield(&Message{Name: filepath.Base(s.Path)}, fmt.Errorf("read mbox: %w", err))
		}
	}
}

// scanMbox finds the messages of an mbox, which begins with a "From " line,
// until found returns false. It tells ends first how lines end.
func scanMbox(r io.Reader, ends func(lineEnds), found func(span) bool) error {
	br := readers.Get().(*bufio.Reader)
	defer readers.Put(br)
	br.Reset(r)

	var (
		cur    span
		open   bool  // cur has begun
		header bool  // within cur's header
		empty  int64 // octets of the empty line just before pos, 0 if that was another line
		inLine bool  // the next piece goes on with a line
		pos    int64
		lines  int64
	)
	for {
		piece, err := br.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		at := pos
		pos += int64(len(piece))
		if len(piece) > 0 && !inLine {
			lines++
			date, ok := time.Time{}, false
			if !open || empty > 0 {
				date, ok = parseFromLine(piece)
			}
			switch {
			case ok:
				if !open {
					ends(endsOf(piece))
				} else {
					cur.end = at - empty
					if !found(cur) {
						return nil
					}
				}
				cur = span{start: pos, line: lines, date: date}
				open, header = true, true
			case header && isEmptyLine(piece):
				header = false
			case header:
				cur.status.field(piece)
			}
		} else if inLine && open && cur.start == at {
			cur.start = pos // the "From " line itself is longer than the buffer
		}
		if len(piece) > 0 {
			empty = 0
			if !inLine && isEmptyLine(piece) {
				empty = int64(len(piece))
			}
			inLine = piece[len(piece)-1] != '\n'
		}
		if errors.Is(err, io.EOF) {
			break
		}
	}
	if open {
		cur.end = max(pos-empty, cur.start)
		found(cur)
	}

	return nil
}

func isEmptyLine(line []byte) bool {
	return len(line) == 1 && line[0] == '\n' || len(line) == 2 && line[0] == '\r' && line[1] == '\n'
}

// mboxStatus gathers what a header tells of flags.
type mboxStatus struct {
	letters string
	mozilla string
}

// field takes one header line.
func (s *mboxStatus) field(line []byte) {
	if len(line) > 200 || len(line) == 0 || (line[0]|0x20 != 's' && line[0]|0x20 != 'x') {
		return
	}
	name, value, ok := strings.Cut(string(line), ":")
	if !ok {
		return
	}
	value = strings.TrimSpace(value)
	switch {
	case len(s.letters) > 64: // a hostile header repeats the field
	case strings.EqualFold(name, "Status"), strings.EqualFold(name, "X-Status"):
		s.letters += value
	case strings.EqualFold(name, "X-Mozilla-Status"):
		s.mozilla = value
	}
}

func (s *mboxStatus) flags() []imap.Flag {
	var set flagSet
	for _, c := range s.letters {
		switch c {
		case 'R':
			set.add(imap.FlagSeen)
		case 'A':
			set.add(imap.FlagAnswered)
		case 'F':
			set.add(imap.FlagFlagged)
		case 'D':
			set.add(imap.FlagDeleted)
		case 'T':
			set.add(imap.FlagDraft)
		}
	}
	// Mozilla's bits; without "expunged" a folder that was never compacted
	// would bring back what its owner deleted.
	var bits uint16
	if _, err := fmt.Sscanf(s.mozilla, "%x", &bits); err == nil {
		for bit, flag := range map[uint16]imap.Flag{
			0x0001: imap.FlagSeen, 0x0002: imap.FlagAnswered, 0x0004: imap.FlagFlagged,
			0x0008: imap.FlagDeleted, 0x1000: imap.FlagForwarded,
		} {
			if bits&bit != 0 {
				set.add(flag)
			}
		}
	}

	return set.sorted()
}
