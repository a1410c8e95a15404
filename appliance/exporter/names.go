package exporter

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"pillarbox/appliance/imap/wire"
	"pillarbox/appliance/mailfile"
)

// maxFileName is what file systems take, less what programs add, in octets.
const maxFileName = 200

// maildirPath is the path of a mailbox other than INBOX. A dot and what means
// something to a Maildir is written as Dovecot's listescape plugin does: "\2e".
func maildirPath(name string, layout mailfile.Layout) string {
	levels := strings.Split(name, "/")
	for i, level := range levels {
		level = strings.ReplaceAll(string(wire.AppendUTF7(nil, level)), `\`, `\5c`)
		if layout == mailfile.LayoutMaildirPlus {
			level = strings.ReplaceAll(level, ".", `\2e`)
		} else if isSpecial(level) {
			level = fmt.Sprintf(`\%02x%s`, level[0], level[1:])
		}
		levels[i] = level
	}
	if layout == mailfile.LayoutMaildirPlus {
		return "." + short(strings.Join(levels, "."))
	}
	for i := range levels {
		levels[i] = short(levels[i])
	}

	return filepath.Join(levels...)
}

// isSpecial tells of names that mean something beside mailboxes.
func isSpecial(level string) bool {
	switch level {
	case "cur", "new", "tmp", "subscriptions", mailfile.ManifestName:
		return true
	}

	return strings.HasPrefix(level, ".") || strings.HasPrefix(level, "dovecot") || strings.HasPrefix(level, "pillarbox-") || strings.HasSuffix(level, ".sbd")
}

// short makes a name fit for a file system; the manifest knows the whole.
func short(name string) string {
	if len(name) <= maxFileName {
		return name
	}
	sum := sha256.Sum256([]byte(name))

	return strings.ToValidUTF8(name[:maxFileName-33], "") + "~" + hex.EncodeToString(sum[:16])
}

// mboxPath is the path of a mailbox as Thunderbird has it: what is below
// "Archive" lies in "Archive.sbd".
func mboxPath(name string) string {
	levels := strings.Split(name, "/")
	for i, level := range levels {
		levels[i] = short(mboxLevel(level))
		if i < len(levels)-1 {
			levels[i] += ".sbd"
		}
	}

	return filepath.Join(levels...)
}

// mboxLevel writes what some file system, or the importer, takes for something
// else as "%2e".
func mboxLevel(level string) string {
	var b strings.Builder
	for i, r := range level {
		first, last := i == 0, i+len(string(r)) == len(level)
		odd := strings.ContainsRune(`%/\:*?"<>|`, r) || first && r == '.' || last && (r == '.' || r == ' ')
		// ".msf", ".mbox" and the like at the end.
		odd = odd || r == '.' && slices.Contains([]string{".sbd", ".msf", ".mbox", ".mbx", ".dat", ".html", ".json", ".partial", ".lock", ".log", ".db"}, level[i:])
		if odd {
			fmt.Fprintf(&b, "%%%02x", r)
		} else {
			b.WriteRune(r)
		}
	}
	if b.String() == "subscriptions" || strings.HasPrefix(b.String(), "dovecot") {
		return fmt.Sprintf("%%%02x%s", b.String()[0], b.String()[1:])
	}

	return b.String()
}

// writeSubscriptions writes Dovecot's list.
func writeSubscriptions(f *folder, layout mailfile.Layout, names []string) error {
	return f.writeFile("subscriptions", subscriptionList(layout, names))
}

// subscriptionList is Dovecot's list, version 2.
func subscriptionList(layout mailfile.Layout, names []string) []byte {
	var text bytes.Buffer
	text.WriteString("V\t2\n\n")
	for _, name := range names {
		levels := strings.Split(name, "/")
		if layout == mailfile.LayoutMaildirPlus {
			for i := range levels {
				levels[i] = strings.ReplaceAll(strings.ReplaceAll(levels[i], `\`, `\5c`), ".", `\2e`)
			}
		}
		text.WriteString(strings.Join(levels, "\t") + "\n")
	}

	return text.Bytes()
}
