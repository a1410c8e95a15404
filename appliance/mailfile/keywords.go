package mailfile

import (
	"bufio"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// MaildirKeywords is how many keywords the file names of a Maildir can tell:
// the letters a to z.
const MaildirKeywords = 26

// ManyKeywords is a file that the export writes beside dovecot-keywords where a
// mailbox has more keywords than letters: a UID and keywords on each line.
const ManyKeywords = "pillarbox-keywords"

// ReadKeywords reads Dovecot's list of what the lower-case letters mean. A
// Maildir without one has none; a letter without a meaning is "".
func ReadKeywords(dir string) []imap.Flag {
	f, err := openRegular(filepath.Join(dir, "dovecot-keywords"))
	if err != nil {
		return nil
	}
	defer f.Close()

	return parseKeywords(f)
}

func parseKeywords(r io.Reader) []imap.Flag {
	keywords := make([]imap.Flag, MaildirKeywords)
	sc := bufio.NewScanner(io.LimitReader(r, lineBuffer))
	for sc.Scan() {
		number, name, ok := strings.Cut(sc.Text(), " ")
		i, err := strconv.Atoi(number)
		if name = strings.TrimSpace(name); ok && err == nil && i >= 0 && i < MaildirKeywords && isKeyword(name) {
			keywords[i] = imap.Flag(name)
		}
	}

	return keywords
}

// isKeyword tells whether a word can be a keyword (RFC 9051, section 9).
func isKeyword(word string) bool {
	if word == "" || len(word) > 255 || word[0] == '\\' {
		return false
	}
	for _, c := range []byte(word) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return false
		}
	}

	return true
}

// Bounds of what is read of the keywords that have no letter: in octets of the
// file, and of one message.
const (
	maxManyKeywords = 16 << 20
	maxManyWords    = 256
)

// readManyKeywords reads the keywords that have no letter, of messages that are
// wanted.
func readManyKeywords(dir string, wanted func(imap.UID) bool) map[imap.UID][]imap.Flag {
	f, err := openRegular(filepath.Join(dir, ManyKeywords))
	if err != nil {
		return nil
	}
	defer f.Close()

	return parseManyKeywords(f, wanted)
}

func parseManyKeywords(r io.Reader, wanted func(imap.UID) bool) map[imap.UID][]imap.Flag {
	many, known := map[imap.UID][]imap.Flag{}, map[string]imap.Flag{}
	sc := bufio.NewScanner(io.LimitReader(r, maxManyKeywords))
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 2 {
			continue
		}
		uid, err := strconv.ParseUint(f[0], 10, 32)
		if err != nil || uid == 0 || !wanted(imap.UID(uid)) || many[imap.UID(uid)] != nil {
			continue
		}
		for _, word := range f[1:min(len(f), 1+maxManyWords)] {
			if !isKeyword(word) {
				continue
			}
			if _, ok := known[word]; !ok { // messages share them, and not the lines
				known[strings.Clone(word)] = imap.Flag(strings.Clone(word))
			}
			many[imap.UID(uid)] = append(many[imap.UID(uid)], known[word])
		}
	}

	return many
}
