package mailfile

import (
	"bufio"
	"errors"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// maxUIDLine bounds a line of a list of UIDs, in octets.
const maxUIDLine = 8 << 10

// UIDList is what Dovecot (dovecot-uidlist, versions 1 and 3) or Courier
// (courierimapuiddb, version 1) knows of the files of a Maildir.
type UIDList struct {
	Validity uint32
	Next     imap.UID
	GUID     string              // of the mailbox; "" if it does not tell
	UIDs     map[string]imap.UID // by the file's name without flags
}

// errUIDList says that a file is not a list of UIDs.
var errUIDList = errors.New("not a list of UIDs")

// readUIDList reads the list of a Maildir; one without has no UIDs. Of a list
// that is damaged what could be read counts: a file that it lacks only gets
// another UID.
func readUIDList(dir string, wanted func(name string) bool) UIDList {
	for _, name := range []string{"dovecot-uidlist", "courierimapuiddb"} {
		f, err := openRegular(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		list, err := parseUIDList(f, wanted)
		_ = f.Close() // it was only read
		if err == nil {
			return list
		}
	}

	return UIDList{}
}

// ReadUIDs reads the list of UIDs of a Maildir, with all files that it names.
func ReadUIDs(dir string) UIDList {
	return readUIDList(dir, func(string) bool { return true })
}

// parseUIDList reads a list; of its files it keeps those that are wanted.
//
//	1 1275660208 25022                                 (version 1)
//	25021 1276528487.M364837P9451.host,S=1355,W=1394
//
//	3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1
//	25021 W1394 :1276528487.M364837P9451.host,S=1355
func parseUIDList(r io.Reader, wanted func(name string) bool) (UIDList, error) {
	var l UIDList
	br := bufio.NewReaderSize(r, maxUIDLine)
	first, ok := uidLine(br)
	if !ok || !l.header(first) {
		return l, errUIDList
	}
	l.UIDs = map[string]imap.UID{}
	for {
		line, ok := uidLine(br)
		if !ok {
			return l, nil
		}
		number, rest, _ := strings.Cut(line, " ")
		uid, err := strconv.ParseUint(number, 10, 32)
		if err != nil || uid == 0 {
			continue
		}
		// In version 3 values stand before the name, which begins with a colon.
		name := rest
		if !strings.HasPrefix(rest, ":") {
			if _, after, ok := strings.Cut(rest, " :"); ok {
				name = after
			}
		} else {
			name = rest[1:]
		}
		if name = baseName(name); name != "" && wanted(name) {
			l.UIDs[name] = imap.UID(uid)
			l.Next = max(l.Next, imap.UID(uid)+1)
		}
	}
}

// header takes the first line.
func (l *UIDList) header(line string) bool {
	f := strings.Fields(line)
	if len(f) < 2 {
		return false
	}
	var validity, next string
	switch f[0] {
	case "1":
		validity = f[1]
		if len(f) > 2 {
			next = f[2]
		}
	case "3":
		for _, value := range f[1:] {
			switch value[0] {
			case 'V':
				validity = value[1:]
			case 'N':
				next = value[1:]
			case 'G':
				l.GUID = value[1:]
			}
		}
	default:
		return false
	}
	v, err := strconv.ParseUint(validity, 10, 32)
	if err != nil || v == 0 {
		return false
	}
	l.Validity = uint32(v)
	if n, err := strconv.ParseUint(next, 10, 32); err == nil {
		l.Next = imap.UID(n)
	}

	return true
}

// uidLine returns the next line; one that is too long comes out empty.
func uidLine(br *bufio.Reader) (string, bool) {
	line, err := br.ReadSlice('\n')
	long := false
	for errors.Is(err, bufio.ErrBufferFull) {
		long = true
		line, err = br.ReadSlice('\n')
	}
	if err != nil && len(line) == 0 && !long {
		return "", false
	}
	if long {
		return "", err == nil
	}

	return strings.TrimRight(string(line), "\r\n"), true
}

// baseName returns a file's name without its flags.
func baseName(name string) string {
	if i := strings.LastIndexAny(name, ":;!"); i >= 0 && strings.HasPrefix(name[i+1:], "2,") {
		return name[:i]
	}

	return name
}
