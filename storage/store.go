package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"pillarbox/storage/message"
)

const (
	defaultMaxMessage = 50 << 20
	// defaultInlineLimit is the size up to which a body lies in the index, by
	// BenchmarkInlineLimit (ext4, 2026-11): up to 4 KiB a delivery by itself
	// takes 1.3 ms in the index and 2.9 ms as a file, for 83 and 41 KB written;
	// above, the index's pages carry their neighbours along (8 KiB: 130 KB
	// against 45 KB, 64 KiB: 758 against 103), which flash must not bear.
	defaultInlineLimit = 4 << 10
)

// Config says where and how a Store works.
type Config struct {
	Dir         string           // must not be empty
	Logger      *slog.Logger     // must not be nil
	Now         func() time.Time // nil means time.Now
	MaxMessage  int64            // octets; 0 means 50 MiB
	InlineLimit int              // octets up to which a body lies in the index; 0 means 4 KiB, less than 0 none
	Limits      message.Limits   // zero fields mean the defaults
}

// Store is an opened data folder. Its methods may be called from several goroutines.
type Store struct {
	dir         string
	log         *slog.Logger
	now         func() time.Time
	maxMessage  int64
	inlineLimit int
	limits      message.Limits
	lock        *os.File
	system      *System
	cache       cache
	sweeper     *sweeper
	upkeep      *upkeep
	reserve     *reserve

	mu       sync.Mutex
	closed   bool
	accounts map[AccountID]*slot
	undo     map[AccountID]func() error // of changes of folders that failed
}

// slot lets an account be opened once without holding up the others.
type slot struct {
	mu      sync.Mutex
	account *Account // nil until opened
}

// Open takes the folder's lock, upgrades what an older version wrote and
// collects what a crash left. ErrLocked and ErrNewerFormat are told apart.
func Open(ctx context.Context, c *Config) (*Store, error) {
	s := &Store{
		dir: c.Dir, log: c.Logger, now: c.Now, maxMessage: c.MaxMessage, inlineLimit: c.InlineLimit,
		limits: c.Limits, accounts: map[AccountID]*slot{}, undo: map[AccountID]func() error{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.maxMessage == 0 {
		s.maxMessage = defaultMaxMessage
	}
	if s.inlineLimit == 0 {
		s.inlineLimit = defaultInlineLimit
	}
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("open storage: %w", diskError(errors.Join(err, s.unlock())))
	}
	s.reserve = newReserve(s.dir)
	if err := s.reserve.refill(); err != nil {
		s.log.Warn("no room is kept for deleting on a full disk", "err", err)
	}
	s.sweeper = startSweeper(s)
	s.upkeep = startUpkeep(s)
	s.system.copy.start(s.system.backup)
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	if err := makeRoot(s.dir); err != nil {
		return err
	}
	if err := s.takeLock(); err != nil {
		return err
	}
	if err := os.RemoveAll(s.stagingDir()); err != nil {
		return err
	}
	for _, d := range []string{"staging", "pool", "accounts"} {
		if err := makeDir(filepath.Join(s.dir, d)); err != nil {
			return err
		}
	}
	// A process that was killed may have left entries of these unsynced.
	for _, d := range []string{s.dir, s.accountsDir()} {
		if err := syncDir(d); err != nil {
			return err
		}
	}
	var err error
	if s.system, err = openSystem(s.dir, s.log); err != nil {
		return err
	}
	return s.collectAccounts(ctx)
}

func (s *Store) takeLock() error {
	f, err := os.OpenFile(filepath.Join(s.dir, "LOCK"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return ErrLocked
		}
		return fmt.Errorf("lock data folder: %w", err)
	}
	s.lock = f
	return nil
}

func (s *Store) unlock() error {
	var errs []error
	if s.system != nil {
		errs = append(errs, s.system.db.close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// Close waits for running writes to be durable and gives the lock back.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	open := s.accounts
	s.mu.Unlock()

	s.system.copy.stop()
	s.upkeep.stop()
	s.sweeper.stop()
	var errs []error
	for _, sl := range open {
		sl.mu.Lock()
		if sl.account != nil {
			errs = append(errs, sl.account.close())
		}
		sl.mu.Unlock()
	}
	errs = append(errs, s.unlock())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close storage: %w", err)
	}
	return nil
}

// System returns the key/value sections of system.db.
func (s *Store) System() *System { return s.system }

// MaxMessage returns the largest body that Stage takes, in octets.
func (s *Store) MaxMessage() int64 { return s.maxMessage }

// Folders of accounts that are being made or removed begin with these, which
// no AccountID can.
const (
	newPrefix  = ".new-"
	gonePrefix = ".gone-"
)

func (s *Store) accountsDir() string { return filepath.Join(s.dir, "accounts") }

func (s *Store) accountDir(id AccountID) string { return filepath.Join(s.accountsDir(), string(id)) }

// collectAccounts removes the folders of accounts whose making was not
// finished or whose removal was promised.
func (s *Store) collectAccounts(ctx context.Context) error {
	entries, err := os.ReadDir(s.accountsDir())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		s.log.Info("removing the rest of an account", "folder", e.Name())
		if err := os.RemoveAll(filepath.Join(s.accountsDir(), e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// CheckAccountID tells whether id can name an account.
func CheckAccountID(id AccountID) error {
	if len(id) == 0 || len(id) > 64 {
		return ErrAccountID
	}
	for _, c := range id {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return ErrAccountID
		}
	}
	return nil
}

// slot returns the account's slot, locked, with its folder settled.
func (s *Store) slot(id AccountID) (*slot, error) {
	if err := CheckAccountID(id); err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, ErrClosed
	}
	sl := s.accounts[id]
	if sl == nil {
		sl = &slot{}
		s.accounts[id] = sl
	}
	s.mu.Unlock()
	sl.mu.Lock()
	s.mu.Lock()
	closed := s.closed // while we waited, and Close has passed this slot
	s.mu.Unlock()
	err := s.settle(id)
	if closed {
		err = ErrClosed
	}
	if err != nil {
		sl.mu.Unlock()
		return nil, err
	}
	return sl, nil
}

// CreateAccount makes an account's folder with INBOX and the mailboxes given.
// INBOX may be among them, to be subscribed.
func (s *Store) CreateAccount(ctx context.Context, id AccountID, boxes []NewMailbox) error {
	sl, err := s.slot(id)
	if err != nil {
		return fmt.Errorf("create account: %w", err)
	}
	defer sl.mu.Unlock()
	if err := s.createAccount(ctx, id, boxes); err != nil {
		return fmt.Errorf("create account: %w", diskError(err))
	}
	return nil
}

func (s *Store) createAccount(ctx context.Context, id AccountID, boxes []NewMailbox) error {
	if _, err := os.Lstat(s.accountDir(id)); err == nil {
		return ErrAccountExists
	}
	// The folder gets its name when all is in it, so there is no half account.
	tmp := filepath.Join(s.accountsDir(), newPrefix+string(id))
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	for _, d := range []string{tmp, filepath.Join(tmp, "bodies")} {
		if err := makeDir(d); err != nil {
			return err
		}
	}
	if err := createDatabase(filepath.Join(tmp, indexFile), func(tx *bolt.Tx) error { return setupIndex(tx, s.now()) }); err != nil {
		return err
	}
	a, err := openAccount(s, id, tmp)
	if err != nil {
		return err
	}
	for _, m := range boxes {
		if err == nil {
			err = a.prepare(ctx, m)
		}
	}
	if err := errors.Join(err, a.close()); err != nil {
		return err
	}
	return s.renameFolder(id, tmp, s.accountDir(id))
}

// prepare creates a mailbox of a new account, or subscribes INBOX.
func (a *Account) prepare(ctx context.Context, m NewMailbox) error {
	if strings.EqualFold(m.Name, Inbox) {
		return a.SetSubscribed(ctx, Inbox, m.Subscribed)
	}
	_, err := a.CreateMailbox(ctx, m)
	return err
}

// DeleteAccount removes an account's folder with all its mail. Sessions that
// still hold the account get ErrClosed. The disk space of bodies that no other
// account has comes back a little later.
func (s *Store) DeleteAccount(_ context.Context, id AccountID) error {
	sl, err := s.slot(id)
	if err != nil {
		return fmt.Errorf("delete account: %w", err)
	}
	defer sl.mu.Unlock()
	if err := s.deleteAccount(id, sl); err != nil {
		return fmt.Errorf("delete account: %w", diskError(err))
	}
	return nil
}

func (s *Store) deleteAccount(id AccountID, sl *slot) error {
	if sl.account != nil {
		err := sl.account.close()
		sl.account = nil // it is of no use any more, whatever the error
		if err != nil {
			return err
		}
	}
	gone := filepath.Join(s.accountsDir(), gonePrefix+string(id))
	if err := os.RemoveAll(gone); err != nil { // of an account of the same name
		return err
	}
	if err := s.renameFolder(id, s.accountDir(id), gone); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return ErrNoAccount
		}
		return err
	}
	// It is gone, whatever becomes of the rest: the next start removes that.
	if err := os.RemoveAll(gone); err != nil {
		s.log.Error("removing the rest of an account", "account", id, "err", err)
	}
	s.sweeper.sweepPool()
	return nil
}

// Accounts lists the accounts that have a folder, sorted.
func (s *Store) Accounts() ([]AccountID, error) {
	if err := s.settleAll(); err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	entries, err := os.ReadDir(s.accountsDir())
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	var ids []AccountID
	for _, e := range entries {
		if id := AccountID(e.Name()); CheckAccountID(id) == nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Account opens an account, or returns the one already open. It stays open
// until the Store is closed.
func (s *Store) Account(_ context.Context, id AccountID) (*Account, error) {
	sl, err := s.slot(id)
	if err != nil {
		return nil, fmt.Errorf("open account: %w", err)
	}
	defer sl.mu.Unlock()
	if sl.account != nil {
		return sl.account, nil
	}
	dir := s.accountDir(id)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open account %s: %w", id, ErrNoAccount)
	}
	a, err := openAccount(s, id, dir)
	if err != nil {
		return nil, fmt.Errorf("open account %s: %w", id, diskError(err))
	}
	sl.account = a
	return a, nil
}
