package storage

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage/message"
)

// NOTE for the team: signatures first; the bodies arrive file by file.

// Config says where and how a Store works.
type Config struct {
	Dir        string           // must not be empty
	Logger     *slog.Logger     // must not be nil
	Now        func() time.Time // nil means time.Now
	MaxMessage int64            // octets; 0 means 50 MiB
	Limits     message.Limits   // zero fields mean the defaults
}

// Store is an opened data folder. Its methods may be called from several goroutines.
type Store struct{}

// Open takes the folder's lock, upgrades what an older version wrote and
// collects what a crash left. ErrLocked and ErrNewerFormat are told apart.
func Open(ctx context.Context, c *Config) (*Store, error) { panic("todo") }

// Close waits for running writes to be durable and gives the lock back.
func (s *Store) Close() error { panic("todo") }

// System returns the key/value sections of system.db.
func (s *Store) System() *System { panic("todo") }

// CreateAccount makes an account's folder with INBOX and the mailboxes given.
func (s *Store) CreateAccount(ctx context.Context, id AccountID, boxes []NewMailbox) error {
	panic("todo")
}

// DeleteAccount removes an account's folder with all its mail. Sessions that
// still hold the account get ErrClosed.
func (s *Store) DeleteAccount(ctx context.Context, id AccountID) error { panic("todo") }

// Accounts lists the accounts that have a folder, sorted.
func (s *Store) Accounts() ([]AccountID, error) { panic("todo") }

// Account opens an account, or returns the one already open. It stays open
// until the Store is closed.
func (s *Store) Account(ctx context.Context, id AccountID) (*Account, error) { panic("todo") }

// Stage reads one message to its end, parses it and makes it ready to be put
// into any number of mailboxes of any number of accounts. The body is on the
// disk (fsync) when Stage returns. ErrTooBig if it is longer than
// Config.MaxMessage; r has then been read only up to the limit. The caller
// must Close the Staged.
func (s *Store) Stage(ctx context.Context, r io.Reader) (*Staged, error) { panic("todo") }

// Staged is a received body that no mailbox may have yet.
type Staged struct{}

// Size returns the body's octets, without any prefix.
func (b *Staged) Size() int64 { panic("todo") }

// Message returns what the parse of the body found.
func (b *Staged) Message() *message.Message { panic("todo") }

// Close removes the staged copy; mailboxes that took it keep theirs.
func (b *Staged) Close() error { panic("todo") }

// System is the system database: sections of keys and values for the rooms
// above, which alone know what the values mean.
type System struct{}

// View calls f with a consistent, read-only state.
func (s *System) View(f func(tx *SystemTx) error) error { panic("todo") }

// Update calls f and makes what it wrote durable, or, if f fails, nothing of it.
// f may be called more than once.
func (s *System) Update(ctx context.Context, f func(tx *SystemTx) error) error { panic("todo") }

// SystemTx is valid only within the call of f.
type SystemTx struct{}

// Get returns a copy of a value, nil if there is none.
func (tx *SystemTx) Get(section, key string) []byte { panic("todo") }

// Put sets a value.
func (tx *SystemTx) Put(section, key string, value []byte) error { panic("todo") }

// Delete removes a key; one that is not there is no error.
func (tx *SystemTx) Delete(section, key string) error { panic("todo") }

// All calls f for each key of a section in order; value is valid only within the call.
func (tx *SystemTx) All(section string, f func(key string, value []byte) error) error { panic("todo") }

// Account is an opened account.
type Account struct{}

// ID returns the account's identifier.
func (a *Account) ID() AccountID { panic("todo") }

// Mailboxes returns all mailboxes sorted by name, INBOX first. The slice is
// shared and must not be changed.
func (a *Account) Mailboxes() []*Mailbox { panic("todo") }

// Mailbox finds a mailbox by name. INBOX is matched in any case; a localised
// name of a special-use mailbox ("Gesendete Elemente", "Deleted Items") finds
// that mailbox where no mailbox has the name itself. Nil if there is none.
func (a *Account) Mailbox(name string) *Mailbox { panic("todo") }

// MailboxByID returns the present state of a mailbox, nil if it is gone.
func (a *Account) MailboxByID(id MailboxID) *Mailbox { panic("todo") }

// Subscriptions lists the subscribed names, sorted; some may not exist as mailboxes.
func (a *Account) Subscriptions() []string { panic("todo") }

// SetSubscribed subscribes a name or takes the subscription back.
func (a *Account) SetSubscribed(ctx context.Context, name string, on bool) error { panic("todo") }

// CreateMailbox makes a mailbox and those above it that are missing.
// ErrMailboxExists also answers a localised name of a special-use mailbox
// that exists, so that no second Sent folder comes into being.
func (a *Account) CreateMailbox(ctx context.Context, m NewMailbox) (*Mailbox, error) { panic("todo") }

// DeleteMailbox removes a mailbox and its messages. ErrHasChildren where
// mailboxes lie below it.
func (a *Account) DeleteMailbox(ctx context.Context, name string) error { panic("todo") }

// RenameMailbox renames a mailbox and all below it. Renaming INBOX moves its
// messages to a new mailbox (RFC 9051, section 6.3.6).
func (a *Account) RenameMailbox(ctx context.Context, from, to string) error { panic("todo") }

// Snapshot returns the present content of a mailbox. ErrNoMailbox if it is gone.
func (a *Account) Snapshot(ctx context.Context, id MailboxID) (*Snapshot, error) { panic("todo") }

// Watch returns a channel that gets a value (without blocking; capacity 1)
// after each commit that touched the mailbox, or removed it. stop ends it.
func (a *Account) Watch(id MailboxID) (ch <-chan struct{}, stop func()) { panic("todo") }

// TakeRecent returns the lowest UID that no session was told of as \Recent
// and, unless peek, marks all present ones as told (RFC 3501, section 2.3.2).
func (a *Account) TakeRecent(id MailboxID, peek bool) imap.UID { panic("todo") }

// Quota returns the account's use and limit.
func (a *Account) Quota() Quota { panic("todo") }

// SetQuota sets the limit in octets; 0 means none.
func (a *Account) SetQuota(ctx context.Context, limit int64) error { panic("todo") }

// Append puts messages into a mailbox, all or none (RFC 3502). They are
// durable when it returns.
func (a *Account) Append(ctx context.Context, id MailboxID, msgs []AppendMessage) (AppendResult, error) {
	panic("todo")
}

// Store changes flags of the messages in uids that exist; messages that the
// operation leaves as they are keep their mod-sequence.
func (a *Account) Store(ctx context.Context, id MailboxID, uids imap.UIDSet, op FlagOp) (StoreResult, error) {
	panic("todo")
}

// Copy copies the messages in uids that exist, without their bodies.
func (a *Account) Copy(ctx context.Context, from MailboxID, uids imap.UIDSet, to MailboxID) (CopyResult, error) {
	panic("todo")
}

// Move is Copy and removal in one transaction (RFC 6851).
func (a *Account) Move(ctx context.Context, from MailboxID, uids imap.UIDSet, to MailboxID) (CopyResult, error) {
	panic("todo")
}

// Expunge removes the messages marked \Deleted, of those in uids only if uids
// is not nil, and leaves a trace of each. It returns the UIDs removed and the
// mod-sequence of the change (0 if nothing was removed).
func (a *Account) Expunge(ctx context.Context, id MailboxID, uids imap.UIDSet) ([]imap.UID, ModSeq, error) {
	panic("todo")
}

// Vanished returns the UIDs expunged from a mailbox after since.
func (a *Account) Vanished(id MailboxID, since ModSeq) (imap.UIDSet, error) { panic("todo") }

// Read calls f with the parsed data of each message in turn, all in one read
// transaction, until f returns false. Data and its slices are valid only
// within the call, and f must not block (append to a buffer, then write it to
// the socket after Read has returned). A message whose data is gone yields
// f(i, nil). Nothing is allocated per message.
func (a *Account) Read(ids []DataID, f func(i int, d *Data) bool) error { panic("todo") }

// Data is the stored, immutable part of a message.
type Data struct {
	Prefix   []byte         // header fields the server added in front of the body
	BodySize int64          // octets of the body, without Prefix
	Record   message.Record // the parse, ready to be sent
}

// OpenBody opens a message's bytes. The caller closes it. ErrNoMessage if it is gone.
func (a *Account) OpenBody(id DataID) (*Body, error) { panic("todo") }

// Body reads a message: the prefix the server added, then the body as it was
// received. Offsets of message.Part count from the start of the body, so add
// len(Prefix) to them.
type Body struct {
	io.ReaderAt        // over prefix and body
	Size        int64  // octets of both
	Prefix      []byte // header fields the server added
}

// Close lets the body go.
func (b *Body) Close() error { panic("todo") }

// Snapshot is the content of a mailbox at one moment, sorted by UID. It is
// immutable and safe to keep.
type Snapshot struct{}

// Mailbox returns the mailbox as it was then.
func (s *Snapshot) Mailbox() *Mailbox { panic("todo") }

// Len returns the number of messages.
func (s *Snapshot) Len() int { panic("todo") }

// At returns message i, counted from 0; it must not be changed.
func (s *Snapshot) At(i int) *Message { panic("todo") }

// Find returns the position of a UID, or where it would stand, and whether it is there.
func (s *Snapshot) Find(uid imap.UID) (int, bool) { panic("todo") }

// All iterates over positions and messages from position i on. It is cheaper than At in a loop.
func (s *Snapshot) All(i int) func(yield func(int, *Message) bool) { panic("todo") }

// Keywords returns the mailbox's keywords; their index is their bit.
func (s *Snapshot) Keywords() []string { panic("todo") }

// AppendFlags appends a message's flags as IMAP writes them between the
// parentheses ("\Seen $Forwarded").
func (s *Snapshot) AppendFlags(b []byte, m *Message) []byte { panic("todo") }

// Diff is what happened between two snapshots of a mailbox.
type Diff struct {
	Vanished []imap.UID // in old but not in new, ascending
	Changed  []imap.UID // in both, with other flags (higher mod-sequence), ascending
	Added    int        // messages of new that are above all of old
}

// Since compares s with an older snapshot of the same mailbox; it costs what changed.
func (s *Snapshot) Since(old *Snapshot) Diff { panic("todo") }
