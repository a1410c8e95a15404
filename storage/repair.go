package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
)

const (
	// recoveredName is the mailbox for messages that no mailbox lists.
	recoveredName = "Recovered"
	// damagedPrefix is what folders begin with in which a repair keeps what it
	// found, inside the account's.
	damagedPrefix = "damaged-"
)

// repair builds an account's index anew from whatever can be read: the records
// of the old one, older versions of its pages, the backup and the bodies. It
// is the same for every kind of damage. Nothing is deleted: what is replaced
// is kept aside, with a report.
//
// What a message's UID stands for never changes: where its octets cannot be
// had as they were, it gets a new UID; where a mailbox's UIDs are not certain,
// the mailbox gets a new UIDVALIDITY.
type repair struct {
	*findings

	ctx   context.Context
	store *Store
	id    AccountID
	dir   string
	now   int64
	out   *indexWriter
	next  counters // of the new index
	files map[DataID][]*bodyFile

	orphans  []Message
	replaced map[DataID]DataID
	lost     map[DataID]string
	aside    []string // files that have no place any more
	missing  int64    // messages

	said   func(Problem)
	report strings.Builder
}

// tell says what was done, to the caller and in the report.
func (r *repair) tell(mailbox string, uid imap.UID, format string, args ...any) {
	p := Problem{Account: r.id, Mailbox: mailbox, UID: uid, Text: fmt.Sprintf(format, args...)}
	r.said(p)
	if mailbox != "" {
		fmt.Fprintf(&r.report, "%s: ", mailbox)
	}
	if uid != 0 {
		fmt.Fprintf(&r.report, "UID %d: ", uid)
	}
	r.report.WriteString(p.Text + "\n")
}

// ofBackup tells how old the backup is, where there is one.
func (r *repair) ofBackup() string {
	if r.from.IsZero() {
		return ""
	}
	return " (the backup is of " + r.from.UTC().Format("2006-01-02 15:04") + " UTC)"
}

// repairAccount mends an account. Its sessions get ErrClosed.
func (s *Store) repairAccount(ctx context.Context, id AccountID, said func(Problem)) error {
	sl, err := s.slot(id)
	if err != nil {
		return err
	}
	defer sl.mu.Unlock()
	if sl.account != nil {
		if err := sl.account.close(); err != nil {
			s.log.Error("closing a damaged account", "account", id, "err", err)
		}
		sl.account = nil
	}
	dir := s.accountDir(id)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return ErrNoAccount
	}
	r := &repair{
		ctx: ctx, store: s, id: id, dir: dir, now: s.now().Unix(), said: said,
		files: map[DataID][]*bodyFile{}, replaced: map[DataID]DataID{}, lost: map[DataID]string{},
	}
	if err := r.run(); err != nil {
		return fmt.Errorf("repair account %s: %w", id, diskError(err))
	}
	return nil
}

func (r *repair) run() (err error) {
	path := filepath.Join(r.dir, indexFile+".new")
	if r.out, err = newIndexWriter(path); err != nil {
		return err
	}
	defer func() {
		if r.out != nil {
			err = errors.Join(err, r.out.discard(), removeIfThere(path))
		}
	}()
	if r.findings, err = scan(r.ctx, r.dir, r.out.put); err != nil {
		return err
	}
	r.start()
	if err := r.list(); err != nil {
		return err
	}
	if err := r.matchBodies(); err != nil {
		return err
	}
	if err := r.write(); err != nil {
		return err
	}
	if r.missing > 0 {
		r.tell("", 0, "%d messages are lost; what is known of each is said above", r.missing)
	}
	out := r.out
	r.out = nil
	if err := out.finish(); err != nil {
		return errors.Join(err, removeIfThere(path))
	}
	return r.install(path)
}

// start sets the numbers of the new index above all that were given out.
func (r *repair) start() {
	sure := r.counters != nil && !r.anyBroken(metaBucket)
	if r.counters != nil {
		r.next = *r.counters
	}
	c := &r.next
	if !sure {
		// The numbers given out last are not known, so all count anew.
		c.epoch = newEpoch()
		c.quota.LimitBytes = max(c.quota.LimitBytes, 0)
		r.tell("", 0, "the account's own numbers were lost or are older ones%s: object identifiers are new, and its quota may be another", r.ofBackup())
	}
	c.quota = Quota{LimitBytes: c.quota.LimitBytes}
	for id, b := range r.boxes {
		c.nextMailbox = max(c.nextMailbox, id+1)
		if b.record != nil {
			c.uidValidity = max(c.uidValidity, b.record.UIDValidity)
			c.modSeq = max(c.modSeq, b.record.HighestModSeq)
		}
		for m := range b.all() {
			c.modSeq = max(c.modSeq, m.ModSeq)
		}
	}
	for id := range r.data {
		c.nextData = max(c.nextData, id+1)
	}
	for id := range r.garbage {
		c.nextData = max(c.nextData, id+1)
	}
	c.nextMailbox, c.nextData = max(c.nextMailbox, 2), max(c.nextData, 1)
	c.modSeq++ // of all that the repair changes
	for _, text := range r.odd {
		fmt.Fprintf(&r.report, "found: %s\n", text)
	}
	switch {
	case r.findings.lost && r.from.IsZero():
		r.tell("", 0, "nothing of the index could be read in its place, and there is no backup: mailboxes, flags and dates are known as far as old pages tell")
	case r.findings.lost:
		r.tell("", 0, "nothing of the index could be read in its place: older pages and the backup stand in for it%s", r.ofBackup())
	case len(r.odd) > 0:
		r.tell("", 0, "%d places of the index could not be read", len(r.odd))
	}
}

// install keeps the old files aside and puts the new index in its place. Until
// the rename the account is as it was.
func (r *repair) install(path string) error {
	aside, err := keepAside(r.dir, time.Unix(r.now, 0), indexFile, backupFile)
	if err != nil {
		return err
	}
	r.tell("", 0, "what was there before is kept in %s; delete that folder when nothing is missing", aside)
	if err := os.WriteFile(filepath.Join(aside, "report.txt"), []byte(r.report.String()), 0o600); err != nil {
		return err
	}
	if err := errors.Join(syncDir(aside), syncDir(r.dir)); err != nil {
		return err
	}
	if err := os.Rename(path, filepath.Join(r.dir, indexFile)); err != nil {
		return err
	}
	// The backup tells of what has been replaced; there will be a new one.
	if err := errors.Join(removeIfThere(filepath.Join(r.dir, backupFile)), syncDir(r.dir)); err != nil {
		return err
	}
	for _, path := range r.aside {
		to := filepath.Join(aside, "bodies-"+filepath.Base(path))
		if err := os.Rename(path, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return syncDir(aside)
}
