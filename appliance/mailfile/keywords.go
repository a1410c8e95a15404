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

// readManyKeywords reads the keywords that have no letter.
func readManyKeywords(dir string) map[imap.UID][]imap.Flag {
	f, err := openRegular(filepath.Join(dir, ManyKeywords))
	if err != nil {
		return nil
	}
	defer f.Close()

	return parseManyKeywords(f)
}

func parseManyKeywords(r io.Reader) map[imap.UID][]imap.Flag {
	many := map[imap.UID][]imap.Flag{}
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 2 {
			continue
		}
		uid, err := strconv.ParseUint(f[0], 10, 32)
		if err != nil || uid == 0 {
			continue
		}
		for _, word := range f[1:] {
			if isKeyword(word) {
				many[imap.UID(uid)] = append(many[imap.UID(uid)], imap.Flag(word))
			}
		}
	}

	return many
}
