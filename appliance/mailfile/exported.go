package mailfile

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
)

// exportField is the header field by which the export marks what it wrote into
// an mbox. It is the first line of a message, and tells how many lines are not
// of the message itself.
const exportField = "X-Pillarbox-Export"

// maxExportLines bounds the lines in front of a message.
const maxExportLines = 16

// Exported is what an export tells of a message in front of it, in an mbox:
// enough to have it back octet for octet, and to find what was torn.
type Exported struct {
	UIDValidity uint32
	UID         imap.UID
	Flags       []imap.Flag
	Date        time.Time
	Size        int64    // octets of the message
	SHA256      [32]byte // of the message
	Verbatim    bool     // its line ends are its own; else they are LF for CRLF
}

// Lines returns the header lines, with LF. Status, X-Status and X-Keywords are
// for other programs.
func (e *Exported) Lines() []byte {
	var status, xstatus string
	var words, flags []string
	for _, f := range e.Flags {
		flags = append(flags, string(f))
		switch f {
		case imap.FlagSeen:
			status = "R"
		case imap.FlagAnswered:
			xstatus += "A"
		case imap.FlagFlagged:
			xstatus += "F"
		case imap.FlagDeleted:
			xstatus += "D"
		case imap.FlagDraft:
			xstatus += "T"
		default:
			words = append(words, string(f))
		}
	}
	ends := "lf"
	if e.Verbatim {
		ends = "own"
	}
	var more bytes.Buffer
	fmt.Fprintf(&more, "Status: %sO\n", status)
	if xstatus != "" {
		fmt.Fprintf(&more, "X-Status: %s\n", xstatus)
	}
	if len(words) > 0 {
		fmt.Fprintf(&more, "X-Keywords: %s\n", strings.Join(words, " "))
	}
	fmt.Fprintf(&more, "X-UID: %d\n", e.UID)

	var b bytes.Buffer
	fmt.Fprintf(&b, "%s: 1; lines=%d; validity=%d; uid=%d; date=%q; size=%d; sha256=%x; ends=%s; flags=%q\n",
		exportField, 1+bytes.Count(more.Bytes(), []byte("\n")), e.UIDValidity, e.UID,
		e.Date.Format(time.RFC3339), e.Size, e.SHA256, ends, strings.Join(flags, " "))
	b.Write(more.Bytes())

	return b.Bytes()
}

// parseExported reads the first line of a message.
func parseExported(line []byte) (e *Exported, lines int, ok bool) {
	value, ok := bytes.CutPrefix(line, []byte(exportField+": "))
	if !ok || !bytes.HasSuffix(value, []byte("\n")) {
		return nil, 0, false
	}
	version, p, err := mime.ParseMediaType("x/" + strings.TrimSpace(string(value)))
	if err != nil || version != "x/1" {
		return nil, 0, false
	}
	lines, err = strconv.Atoi(p["lines"])
	if err != nil || lines < 1 || lines > maxExportLines {
		return nil, 0, false
	}
	e = &Exported{Verbatim: p["ends"] == "own"}
	validity, err1 := strconv.ParseUint(p["validity"], 10, 32)
	uid, err2 := strconv.ParseUint(p["uid"], 10, 32)
	date, err3 := time.Parse(time.RFC3339, p["date"])
	size, err4 := strconv.ParseInt(p["size"], 10, 64)
	sum, err5 := hex.DecodeString(p["sha256"])
	for _, err := range []error{err1, err2, err3, err4, err5} {
		if err != nil {
			return nil, 0, false
		}
	}
	if uid == 0 || size < 0 || len(sum) != len(e.SHA256) {
		return nil, 0, false
	}
	e.UIDValidity, e.UID, e.Date, e.Size = uint32(validity), imap.UID(uid), date, size
	copy(e.SHA256[:], sum)
	var set flagSet
	for _, word := range strings.Fields(p["flags"]) {
		if isKeyword(strings.TrimPrefix(word, `\`)) {
			set.add(imap.Flag(word))
		}
	}
	e.Flags = set.sorted()

	return e, lines, true
}

// MaildirName is the name, without flags, that the export gives to a message
// in a Maildir. Verbatim marks one whose line ends are its own; those of any
// other are LF for CRLF. Size and virtual are Dovecot's S= and W=: the octets
// of the file, and with CRLF at each line's end.
func MaildirName(date time.Time, validity uint32, uid imap.UID, verbatim bool, size, virtual int64) string {
	host := exportHost
	if verbatim {
		host = verbatimHost
	}

	return fmt.Sprintf("%d.V%dU%d.%s,S=%d,W=%d", max(date.Unix(), 0), validity, uid, host, size, virtual)
}

// Where other programs put the name of a host.
const (
	exportHost   = "pillarbox"
	verbatimHost = "pillarbox-verbatim"
)

// exportedName tells whether the export wrote a file of a Maildir.
func exportedName(name string) (ours, verbatim bool) {
	parts := strings.SplitN(name, ".", 3)
	if len(parts) < 3 || !strings.HasPrefix(parts[1], "V") || !strings.Contains(parts[1], "U") {
		return false, false
	}
	host, _, _ := strings.Cut(baseName(parts[2]), ",")

	return host == exportHost || host == verbatimHost, host == verbatimHost
}

// ParseMaildirName finds the message that the export put into a file.
func ParseMaildirName(name string) (validity uint32, uid imap.UID, ok bool) {
	if ours, _ := exportedName(name); !ours {
		return 0, 0, false
	}
	v, u, _ := strings.Cut(strings.Split(name, ".")[1][1:], "U")
	vn, err1 := strconv.ParseUint(v, 10, 32)
	un, err2 := strconv.ParseUint(u, 10, 32)

	return uint32(vn), imap.UID(un), err1 == nil && err2 == nil && un > 0
}

// exactly cuts what follows a message's last octet.
type exactly struct {
	io.Reader
	io.Closer
}

func limit(r io.ReadCloser, n int64) io.ReadCloser {
	return exactly{Reader: io.LimitReader(r, n), Closer: r}
}
