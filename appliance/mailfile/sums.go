package mailfile

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// Sums is a file that the export writes beside a Maildir's messages. Its first
// line has the UIDVALIDITY, each other one a UID and the SHA-256 of the message
// as [Message.Open] gives it.
const Sums = "pillarbox-sums"

const sumsHead = "1 V"

// maxSums bounds what is read of that file, in octets: 800,000 messages.
const maxSums = 64 << 20

// SumList returns that file's text.
func SumList(validity uint32, sums map[imap.UID][32]byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%d\n", sumsHead, validity)
	for _, uid := range slices.Sorted(maps.Keys(sums)) {
		fmt.Fprintf(&b, "%d %x\n", uid, sums[uid])
	}

	return b.Bytes()
}

// ReadSums reads the sums of a folder's messages with a UIDVALIDITY, as far as
// they can be read; nil if there are none.
func ReadSums(dir string, validity uint32) map[imap.UID][32]byte {
	f, err := openRegular(filepath.Join(dir, Sums))
	if err != nil {
		return nil
	}
	defer f.Close()

	return parseSums(f, validity)
}

func parseSums(r io.Reader, validity uint32) map[imap.UID][32]byte {
	sc := bufio.NewScanner(io.LimitReader(r, maxSums))
	if !sc.Scan() || sc.Text() != sumsHead+strconv.FormatUint(uint64(validity), 10) {
		return nil
	}
	sums := map[imap.UID][32]byte{}
	for sc.Scan() {
		number, text, _ := strings.Cut(sc.Text(), " ")
		uid, err1 := strconv.ParseUint(number, 10, 32)
		sum, err2 := hex.DecodeString(text)
		if err := errors.Join(err1, err2); err != nil || uid == 0 || len(sum) != sha256.Size {
			continue
		}
		sums[imap.UID(uid)] = [32]byte(sum)
	}

	return sums
}

// promise takes over what the export says of the folder.
func (s *Source) promise(mb *ManifestMailbox) {
	s.promised = mb
	if s.Kind == Maildir {
		s.sums = ReadSums(s.Path, mb.UIDValidity)
	}
}

// Promised is how many messages the export says that the folder holds; 0 if it
// is none.
func (s *Source) Promised() int {
	if s.promised == nil {
		return 0
	}

	return s.promised.Messages
}

// Sum returns the SHA-256 that the message had when it was exported.
func (s *Source) Sum(m *Message) (sum [32]byte, ok bool) {
	if m.Exported != nil {
		return m.Exported.SHA256, true
	}
	if uid := s.exportedUID(m.Key); uid != 0 {
		sum, ok = s.sums[uid]
	}

	return sum, ok
}

// exportedUID is the UID that a file of this export has; 0 if it is another's.
func (s *Source) exportedUID(name string) imap.UID {
	if s.promised == nil {
		return 0
	}
	validity, uid, ok := ParseMaildirName(name)
	if !ok || validity != s.promised.UIDValidity {
		return 0
	}

	return uid
}

// Lost lists the UIDs whose sums a Maildir has, and not the messages.
func (s *Source) Lost() []imap.UID {
	if len(s.sums) == 0 {
		return nil
	}
	lost := maps.Clone(s.sums)
	for i := range s.entries {
		delete(lost, s.exportedUID(s.entries[i].name))
	}

	return slices.Sorted(maps.Keys(lost))
}

// Settle reads a message of an mbox that has in front of it what our export
// writes there, and finds out whether to believe that: a sender can write it,
// too. Where the message that follows is not the one that it speaks of, it is
// part of the message, unless the export's manifest has the mailbox; then the
// message is damaged, and taken as it is.
func (s *Source) Settle(m *Message) error {
	if m.settle == nil {
		return nil
	}
	settle := m.settle
	m.settle = nil

	return settle(s.promised != nil && m.Exported.UIDValidity == s.promised.UIDValidity)
}

// settler returns what decides it for a message of an mbox. Plain is the message
// with all that stands there; whole opens what follows what the export writes.
func (s *Source) settler(m *Message, sp span, plain *Message, whole func() (*body, error)) func(ours bool) error {
	return func(ours bool) error {
		b, err := whole()
		if err != nil {
			return fmt.Errorf("read mbox: %w", err)
		}
		sum, rest, err := split(b, m.Exported.Size)
		if err := errors.Join(err, b.Close()); err != nil {
			return fmt.Errorf("read mbox: %w", err)
		}
		cut := rest > len(crlf) // of the end of the last line
		switch fits := sum == m.Exported.SHA256 && !cut; {
		case fits && (ours || s.writtenByExport(sp)):
		case ours && cut:
			m.open = func() (io.ReadCloser, error) { return whole() }
		case !ours:
			*m = *plain
			return nil
		}
		if s.UIDValidity == 0 {
			s.UIDValidity = m.Exported.UIDValidity
		}

		return nil
	}
}

// split hashes the first n octets, and counts those after them, three at most.
func split(r io.Reader, n int64) (sum [32]byte, rest int, err error) {
	h := sha256.New()
	if _, err := io.CopyN(h, r, n); err != nil && !errors.Is(err, io.EOF) {
		return sum, 0, err
	}
	rest, err = io.ReadFull(r, make([]byte, len(crlf)+1))
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	h.Sum(sum[:0])

	return sum, rest, err
}

// writtenByExport tells whether nothing but what our export writes stands in
// front of a message.
func (s *Source) writtenByExport(sp span) bool {
	if sp.start-sp.begin > maxExportLines*maxStatusLine {
		return false
	}
	lines, err := io.ReadAll(io.NewSectionReader(s.file, sp.begin, sp.start-sp.begin))
	if err != nil {
		return false
	}
	for line := range bytes.Lines(lines) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		if !slices.Contains([]string{exportField, "Status", "X-Status", "X-Keywords", "X-UID"}, string(name)) {
			return false
		}
	}

	return true
}
