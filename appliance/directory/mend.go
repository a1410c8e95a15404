package directory

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"pillarbox/storage"
)

// recoveredDomain is where accounts get an address of whom nobody knows any
// more whose they are (RFC 6761, section 6.4: no mail ever goes there).
const recoveredDomain = "recovered.invalid"

// Mend compares the directory's records with each other and with the accounts'
// folders, without opening a Directory, which refuses some faults. It calls
// found with each, and, unless mended is nil, mends it: what cannot be read is
// made anew from the account's folder or taken out, and named. It returns how
// many faults are left. Nothing else may use the directory meanwhile.
func Mend(ctx context.Context, store *storage.Store, found, mended func(storage.Problem)) (left int, err error) {
	m := &mender{store: store, found: found, mended: mended, now: time.Now(), accounts: map[string]accountRecord{}}
	if err := m.run(ctx); err != nil {
		return 0, fmt.Errorf("check the directory: %w", err)
	}
	return m.left, nil
}

// Check is Mend for a directory in use. It tells at the end, so that who
// listens slowly holds up nobody.
func (d *Directory) Check(ctx context.Context, found, mended func(storage.Problem)) (left int, err error) {
	var words []func()
	later := func(f func(storage.Problem)) func(storage.Problem) {
		if f == nil {
			return nil
		}
		return func(p storage.Problem) { words = append(words, func() { f(p) }) }
	}
	left, err = d.check(ctx, later(found), later(mended))
	for _, say := range words {
		say()
	}
	return left, err
}

func (d *Directory) check(ctx context.Context, found, mended func(storage.Problem)) (left int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	left, err = Mend(ctx, d.store, found, mended)
	if err == nil && mended != nil {
		err = d.load()
	}
	if err != nil {
		return left, err
	}
	// New and each change have seen to these, so what differs is damage.
	for id, e := range d.state.Load().accounts {
		if e.state != stateActive || d.knowsOwner(id, e.record()) {
			continue
		}
		p := storage.Problem{Account: id, Text: "the folder accounts/" + string(id) + " does not say that it is " + e.Address + "'s"}
		found(p)
		if mended != nil {
			d.keepOwner(ctx, id, e.record())
		}
		if mended == nil || !d.knowsOwner(id, e.record()) {
			left++
			continue
		}
		p.Text += ": it does now"
		mended(p)
	}
	return left, nil
}

// change is a record to be written, or, without a value, removed.
type change struct {
	section, key string
	value        any
}

type mender struct {
	store         *storage.Store
	found, mended func(storage.Problem)
	now           time.Time
	left          int

	accounts map[string]accountRecord // as they will be
	folders  []storage.AccountID
	passed   map[string]bool // accounts that have a password
	changes  []change
	create   []storage.AccountID // folders that are missing
}

// fault tells of one that changes mend.
func (m *mender) fault(id, text, done string, changes ...change) {
	m.found(storage.Problem{Account: storage.AccountID(id), Text: text})
	if m.mended == nil {
		m.left++
		return
	}
	m.changes = append(m.changes, changes...)
	m.mended(storage.Problem{Account: storage.AccountID(id), Text: text + ": " + done})
}

func (m *mender) run(ctx context.Context) error {
	var err error
	if m.folders, err = m.store.Accounts(); err != nil {
		return err
	}
	raw := map[string]map[string][]byte{}
	if err := m.store.System().View(func(tx *storage.SystemTx) error {
		for _, sec := range []string{sectionDirectory, sectionAccounts, sectionCredentials, sectionAliases, sectionAdmin} {
			raw[sec] = map[string][]byte{}
			if err := tx.All(sec, func(key string, value []byte) error {
				raw[sec][key] = slices.Clone(value)
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	if v, ok := raw[sectionDirectory][keyFormat]; ok {
		switch n, err := strconv.Atoi(string(v)); {
		case err == nil && n > format:
			return fmt.Errorf("read format %d: %w", n, storage.ErrNewerFormat)
		case err != nil:
			m.fault("", fmt.Sprintf("the directory's format is said to be %q", v), "it is 1",
				change{sectionDirectory, keyFormat, format})
		}
	}
	m.readAccounts(raw[sectionAccounts])
	m.readFolders()
	m.findTwins()
	m.readCredentials(raw[sectionCredentials])
	m.readAliases(raw[sectionAliases])
	m.readAdmin(raw[sectionAdmin])
	if len(m.changes)+len(m.create) > 0 {
		if err := m.write(ctx); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.accounts)) {
		if r := m.accounts[id]; r.State == stateActive && !m.passed[id] {
			m.left++
			m.found(storage.Problem{Account: storage.AccountID(id), Text: fmt.Sprintf(
				"%s has no password, so nobody can sign in; give it one: pillarbox account passwd %s", r.Address, r.Address)})
		}
	}
	return nil
}

func decodeAccount(value []byte) (accountRecord, error) {
	var r accountRecord
	if err := json.Unmarshal(value, &r); err != nil {
		return r, fmt.Errorf("%w: %w", storage.ErrCorrupt, err)
	}
	addr, err := ParseAddress(r.Address)
	if err != nil {
		return r, fmt.Errorf("%w: %w", storage.ErrCorrupt, err)
	}
	r.Address = addr.String()
	// A state that nobody knows must not pass for one after which mail is deleted.
	if !slices.Contains([]string{stateAdding, stateActive, stateRemoving}, r.State) {
		return r, fmt.Errorf("the state %q is unknown: %w", r.State, storage.ErrCorrupt)
	}
	return r, nil
}

func (m *mender) readAccounts(raw map[string][]byte) {
	for _, id := range slices.Sorted(maps.Keys(raw)) {
		if err := storage.CheckAccountID(storage.AccountID(id)); err != nil {
			m.fault("", fmt.Sprintf("an account is called %q", id), "the record is taken out", change{sectionAccounts, id, nil})
			continue
		}
		r, err := decodeAccount(raw[id])
		if err == nil {
			m.accounts[id] = r
			continue
		}
		r, how := m.restored(id)
		m.accounts[id] = r
		m.fault(id, fmt.Sprintf("the account's record cannot be read (%v)", err), how, change{sectionAccounts, id, r})
	}
}

// readFolders finds folders without a record and records without a folder.
func (m *mender) readFolders() {
	there := map[string]bool{}
	for _, folder := range m.folders {
		id := string(folder)
		there[id] = true
		if _, ok := m.accounts[id]; !ok {
			r, how := m.restored(id)
			m.accounts[id] = r
			m.fault(id, "the folder accounts/"+id+" belongs to no account", how, change{sectionAccounts, id, r})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.accounts)) {
		if r := m.accounts[id]; r.State == stateActive && !there[id] {
			if m.mended != nil {
				m.create = append(m.create, storage.AccountID(id))
			}
			m.fault(id, fmt.Sprintf("the folder accounts/%s of %s is missing", id, r.Address), "it has an empty one; its mail is lost unless you find the folder")
		}
	}
}

// restored makes an account's record from what is kept in its folder. The
// password is not there, see package doc.
func (m *mender) restored(id string) (accountRecord, string) {
	text, err := m.store.Owner(storage.AccountID(id))
	if err == nil && text != nil {
		var r accountRecord
		if r, err = decodeAccount(text); err == nil && !m.taken(r.Address) {
			r.State = stateActive
			return r, "by its folder it is " + r.Address
		}
	}
	r := accountRecord{Address: recoveredAddress(id), Name: "Recovered", Created: m.now.UTC().Truncate(time.Second), State: stateActive}
	return r, "nobody knows whose it is; it is " + r.Address + " now"
}

func recoveredAddress(id string) string {
	return "recovered-" + id[:min(len(id), 40)] + "@" + recoveredDomain
}

func (m *mender) taken(address string) bool {
	for _, r := range m.accounts {
		if r.Address == address {
			return true
		}
	}
	return false
}

// findTwins finds accounts that share an address. The oldest keeps it.
func (m *mender) findTwins() {
	ids := slices.SortedFunc(maps.Keys(m.accounts), func(a, b string) int {
		return cmp.Or(m.accounts[a].Created.Compare(m.accounts[b].Created), cmp.Compare(a, b))
	})
	first := map[string]string{}
	for _, id := range ids {
		r := m.accounts[id]
		if _, ok := first[r.Address]; !ok {
			first[r.Address] = id
			continue
		}
		old := r.Address
		r.Address = recoveredAddress(id)
		m.accounts[id] = r
		m.fault(id, "two accounts have the address "+old, "the younger one is "+r.Address+" now", change{sectionAccounts, id, r})
	}
}

func (m *mender) readCredentials(raw map[string][]byte) {
	m.passed = map[string]bool{}
	s := newState()
	for id := range m.accounts {
		s.accounts[storage.AccountID(id)] = &entry{}
	}
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		id, _, _ := strings.Cut(key, "/")
		if err := s.loadCredential(key, raw[key]); err != nil {
			m.fault(id, fmt.Sprintf("the credential %s cannot be used (%v)", key, err), "it is taken out", change{sectionCredentials, key, nil})
			continue
		}
		if c := s.accounts[storage.AccountID(id)].credentials; c[len(c)-1].isPassword() {
			m.passed[id] = true
		}
	}
}

func (m *mender) readAdmin(raw map[string][]byte) {
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		var r credentialRecord
		err := json.Unmarshal(raw[key], &r)
		if err == nil {
			_, err = parsePHC(r.Hash)
		}
		if err != nil {
			m.fault("", fmt.Sprintf("the administrator's %s cannot be used (%v)", key, err),
				"it is taken out; set a new one: pillarbox admin passwd", change{sectionAdmin, key, nil})
		}
	}
}

// write keeps the database aside, then makes the changes.
func (m *mender) write(ctx context.Context) error {
	aside, err := m.store.KeepSystem()
	if err != nil {
		return err
	}
	m.mended(storage.Problem{Text: "the directory as it was before is kept in " + aside})
	for _, id := range m.create {
		if err := m.store.CreateAccount(ctx, id, specialMailboxes); err != nil && !errors.Is(err, storage.ErrAccountExists) {
			return err
		}
	}
	return m.store.System().Update(ctx, func(tx *storage.SystemTx) error {
		for _, c := range m.changes {
			var err error
			if c.value == nil {
				err = tx.Delete(c.section, c.key)
			} else {
				err = put(tx, c.section, c.key, c.value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
