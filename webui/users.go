package webui

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
)

const sectionUsers = "web/users"

// user is what is known of somebody who signs in, beside the password.
type user struct {
	ID      string `json:"-"` // "admin", or of the account
	Address string `json:"address,omitempty"`
	Role    Role   `json:"role"`
	// Secret makes the codes of the second factor; "" means that there is none.
	Secret   string    `json:"secret,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	LastStep int64     `json:"last_step,omitempty"` // of the code that was used last: none is taken twice
	// Recovery are hashes of the codes that are left.
	Recovery []string  `json:"recovery,omitempty"`
	Passkeys []passkey `json:"passkeys,omitempty"`
}

// passkey is a key by which a user signs in.
type passkey struct {
	Name       string              `json:"name"`
	Host       string              `json:"host"` // the name under which it works
	Created    time.Time           `json:"created"`
	Credential webauthn.Credential `json:"credential"`
}

func (u user) hasFactor() bool { return u.Secret != "" }

// role is what the user may do; who has no other role is a person.
func (u user) role() Role {
	if u.ID == admin {
		return Administrator
	}

	return max(Person, u.Role)
}

// account is how the record calls the user, "" for one who is not known.
func (u user) account() string {
	if u.ID == admin {
		return admin
	}

	return u.Address
}

// users are all of whom something is known. Its methods may be called at once.
type users struct {
	store Store

	mu  sync.Mutex
	all map[string]*user
}

func loadUsers(store Store) (*users, error) {
	u := &users{store: store, all: map[string]*user{}}
	err := store.All(sectionUsers, func(key string, value []byte) error {
		x := &user{}
		if err := json.Unmarshal(value, x); err != nil {
			return err
		}
		x.ID = key
		u.all[key] = x
		return nil
	})

	return u, err
}

// get returns what is known of a user: something empty if nothing is.
func (u *users) get(id string) user {
	u.mu.Lock()
	defer u.mu.Unlock()
	if x := u.all[id]; x != nil {
		return *x
	}

	return user{ID: id}
}

// change has f change what is known of a user, and keeps it; f returning false
// leaves it as it is.
func (u *users) change(ctx context.Context, id string, f func(*user) bool) (bool, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	x := user{ID: id}
	if old := u.all[id]; old != nil {
		x = *old
		x.Recovery, x.Passkeys = slices.Clone(old.Recovery), slices.Clone(old.Passkeys)
	}
	if !f(&x) {
		return false, nil
	}
	value, err := json.Marshal(x)
	if err != nil {
		return false, err
	}
	if err := u.store.Save(ctx, false, Record{sectionUsers, id, value}); err != nil {
		return false, err
	}
	u.all[id] = &x

	return true, nil
}

// forget removes what is known of a user.
func (u *users) forget(ctx context.Context, id string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.all[id] == nil {
		return nil
	}
	if err := u.store.Save(ctx, false, Record{Section: sectionUsers, Key: id}); err != nil {
		return err
	}
	delete(u.all, id)

	return nil
}

// The codes of the second factor, as every app makes them (RFC 6238).
const (
	factorPeriod = 30 // seconds
	factorDigits = otp.DigitsSix
)

// checkFactor verifies a code of the second factor, or a recovery code, and
// returns which it was. Neither is taken twice.
func (s *Server) checkFactor(ctx context.Context, id, account, code string, remote net.Addr) (means string, err error) {
	code = strings.ToLower(strings.Join(strings.FieldsFunc(code, func(r rune) bool { return r == ' ' || r == '-' }), ""))
	var failed error
	err = s.conf.Gate.Weigh(ctx, account, "code "+code, remote, func() bool {
		right, err := s.users.change(ctx, id, func(u *user) bool {
			if step, ok := stepOf(u, code, s.now()); ok {
				u.LastStep, means = step, "code"
				return true
			}
			i := slices.IndexFunc(u.Recovery, func(h string) bool {
				return subtle.ConstantTimeCompare([]byte(h), []byte(hashOf(code))) == 1
			})
			if i < 0 {
				return false
			}
			u.Recovery, means = slices.Delete(u.Recovery, i, i+1), "recovery code"
			return true
		})
		failed = err
		return right || err != nil
	})
	if err == nil {
		err = failed
	}

	return means, err
}

// stepOf finds the period that a code is of, around now, after the one used last.
func stepOf(u *user, code string, now time.Time) (int64, bool) {
	if u.Secret == "" || len(code) != factorDigits.Length() {
		return 0, false
	}
	for _, skew := range []int64{0, -1, 1} {
		step := now.Unix()/factorPeriod + skew
		want, err := totp.GenerateCodeCustom(u.Secret, time.Unix(step*factorPeriod, 0), totp.ValidateOpts{
			Period: factorPeriod, Digits: factorDigits, Algorithm: otp.AlgorithmSHA1,
		})
		if err == nil && step > u.LastStep && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			return step, true
		}
	}

	return 0, false
}

// newRecovery makes recovery codes, and what is kept of them.
func newRecovery() (codes, hashes []string) {
	const letters = "abcdefghjkmnpqrstuvwxyz23456789"
	for range 8 {
		var b [10]byte
		_, _ = rand.Read(b[:]) // it never fails
		for i := range b {
			b[i] = letters[int(b[i])%len(letters)]
		}
		codes = append(codes, string(b[:5])+"-"+string(b[5:]))
		hashes = append(hashes, hashOf(string(b[:])))
	}

	return codes, hashes
}
