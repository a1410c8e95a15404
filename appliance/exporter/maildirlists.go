package exporter

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/mailfile"
)

// nameKeywords gives letters to keywords and writes down which.
func (f *maildirFolder) nameKeywords(msgs []Message) error {
	f.letters = mailfile.ReadKeywords(f.path(f.at))
	rest, changed := f.giveLetters(msgs)
	if changed {
		if err := f.writeFile(filepath.Join(f.at, keywordFile), f.keywordList()); err != nil {
			return err
		}
	}
	many := filepath.Join(f.at, mailfile.ManyKeywords)
	if len(rest) == 0 {
		return f.removeFile(many)
	}

	return f.writeFile(many, f.manyKeywords(rest, msgs))
}

// Dovecot's lists beside a Maildir's messages.
const (
	keywordFile = "dovecot-keywords"
	uidFile     = "dovecot-uidlist"
)

// writeSums notes what the messages are, so that damage shows when they come back.
func (f *maildirFolder) writeSums() error {
	sums := mailfile.ReadSums(f.path(f.at), f.mailbox.UIDValidity)
	if sums == nil {
		sums = map[imap.UID][32]byte{}
	}
	maps.DeleteFunc(sums, func(uid imap.UID, _ [32]byte) bool { return f.have[uid] == "" })
	maps.Copy(sums, f.sums)
	name, text := filepath.Join(f.at, mailfile.Sums), mailfile.SumList(f.mailbox.UIDValidity, sums)
	if was, err := f.ReadFile(name); err == nil && bytes.Equal(was, text) {
		return nil
	}

	return f.writeFile(name, text)
}

// giveLetters gives letters to keywords: those that have one keep it, and of
// the others those come first that more messages have. It returns those for
// which there is none.
func (f *maildirFolder) giveLetters(msgs []Message) (rest []string, changed bool) {
	count := map[string]int{}
	for i := range msgs {
		for _, flag := range msgs[i].Flags {
			if flag[0] != '\\' {
				count[string(flag)]++
			}
		}
	}
	for i := range f.letters {
		delete(count, string(f.letters[i]))
	}
	names := make([]string, 0, len(count))
	for name := range count {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b)) })
	f.letters = slices.Grow(f.letters, mailfile.MaildirKeywords)
	free := 0
	for len(names) > 0 {
		for free < len(f.letters) && f.letters[free] != "" {
			free++
		}
		if free == mailfile.MaildirKeywords {
			break
		}
		if free == len(f.letters) {
			f.letters = append(f.letters, "")
		}
		f.letters[free], names, changed = imap.Flag(names[0]), names[1:], true
	}

	return names, changed
}

func (f *maildirFolder) keywordList() []byte {
	var text bytes.Buffer
	for i, name := range f.letters {
		if name != "" {
			fmt.Fprintf(&text, "%d %s\n", i, name)
		}
	}

	return text.Bytes()
}

// manyKeywords lists the keywords that have no letter.
func (f *maildirFolder) manyKeywords(names []string, msgs []Message) []byte {
	f.job.remark("it has more keywords than the %d that a Maildir can hold; %d of them are only in %s, which pillarbox reads: %s",
		mailfile.MaildirKeywords, len(names), mailfile.ManyKeywords, strings.Join(names[:min(len(names), 10)], ", "))
	var text bytes.Buffer
	for i := range msgs {
		first := true
		for _, flag := range msgs[i].Flags {
			if !slices.Contains(names, string(flag)) {
				continue
			}
			if first {
				fmt.Fprintf(&text, "%d", msgs[i].UID)
			}
			first = false
			fmt.Fprintf(&text, " %s", flag)
		}
		if !first {
			text.WriteByte('\n')
		}
	}

	return text.Bytes()
}

// writeUIDList writes Dovecot's list of UIDs. What is there and came from
// elsewhere keeps its UID if that is still free.
func (f *maildirFolder) writeUIDList() error {
	uids := map[imap.UID]string{}
	next := f.mailbox.UIDNext
	for uid, name := range f.have {
		uids[uid] = baseOf(name)
		next = max(next, uid+1)
	}
	old := mailfile.ReadUIDs(f.path(f.at))
	if old.Validity == f.mailbox.UIDValidity {
		next = max(next, old.Next)
		lost := 0
		for _, name := range f.left {
			base := baseOf(name)
			if uid := old.UIDs[base]; uid != 0 && uids[uid] == "" {
				uids[uid] = base
				next = max(next, uid+1)
			} else if uid != 0 {
				lost++
			}
		}
		if lost > 0 {
			f.job.remark("%d messages that came to %s from elsewhere had UIDs that the box has given, too; they get new ones", lost, f.path(f.at))
		}
	}
	text := uidList(f.mailbox.UIDValidity, next, old.GUID, uids)
	name := filepath.Join(f.at, uidFile)
	if was, err := f.ReadFile(name); err == nil && bytes.Equal(was, text) {
		return nil
	}

	return f.putLocked(name, text)
}

// uidList is Dovecot's list, version 3.
func uidList(validity uint32, next imap.UID, guid string, uids map[imap.UID]string) []byte {
	var text bytes.Buffer
	fmt.Fprintf(&text, "3 V%d N%d", validity, next)
	if guid != "" {
		fmt.Fprintf(&text, " G%s", guid)
	}
	text.WriteByte('\n')
	for _, uid := range slices.Sorted(maps.Keys(uids)) {
		fmt.Fprintf(&text, "%d :%s\n", uid, uids[uid])
	}

	return text.Bytes()
}

func baseOf(name string) string {
	base := filepath.Base(name)
	if i := strings.LastIndex(base, ":2,"); i >= 0 {
		base = base[:i]
	}

	return base
}

// How long another program may hold a list.
const (
	lockWait = 30 * time.Second
	lockPoll = 100 * time.Millisecond
)

// putLocked replaces a file as Dovecot does: it is written as ".lock", which
// keeps others from it, and then renamed.
func (f *folder) putLocked(name string, text []byte) error {
	temp, lock := name+".partial", name+".lock"
	if err := f.writeSynced(temp, text); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(name), err)
	}
	deadline := time.Now().Add(lockWait)
	for {
		err := f.Link(temp, lock)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) {
			return errors.Join(fmt.Errorf("lock %s: %w", filepath.Base(name), err), f.removeFile(temp))
		}
		if time.Now().After(deadline) {
			return errors.Join(refuse("another program holds %s; stop it, or remove that file if none runs", f.path(lock)), f.removeFile(temp))
		}
		time.Sleep(lockPoll)
	}
	if err := f.Rename(lock, name); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(name), err)
	}
	if err := f.removeFile(temp); err != nil {
		return err
	}

	return f.syncDir(filepath.Dir(name))
}
