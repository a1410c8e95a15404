package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/mail"
	"time"
)

// Audit is how long the record of who did what is kept, and who is told how far
// it is.
type Audit struct {
	Acts   Retention `json:"acts"`   // of administrators and the box
	Access Retention `json:"access"` // sign-ins, handshakes and bans
	// CheckpointsTo is the address of somebody here who gets a checkpoint by mail
	// each day; "" means nobody.
	CheckpointsTo string `json:"checkpoints_to,omitempty"`
}

// Retention is how long a book of the record is kept: the oldest leaves where
// either is passed. 0 means the usual.
type Retention struct {
	Days      int `json:"days"`
	Megabytes int `json:"megabytes"` // of 2^20 octets
}

// Age returns how long records are kept.
func (r Retention) Age() time.Duration { return time.Duration(r.Days) * 24 * time.Hour }

// Size returns how many octets are kept.
func (r Retention) Size() int64 { return int64(r.Megabytes) << 20 }

// What is usual, and the bounds. What an administrator did is kept long enough to
// be found out; nothing is kept for ever, and the mail needs the disk, too.
var (
	usualActs   = Retention{Days: 3 * 365, Megabytes: 16}
	usualAccess = Retention{Days: 90, Megabytes: 48}
	leastActs   = Retention{Days: 90, Megabytes: 4}
	leastAccess = Retention{Days: 7, Megabytes: 4}
	most        = Retention{Days: 10 * 366, Megabytes: 4096}
)

// filled returns it with the usual in the place of zeros.
func (a Audit) filled() Audit {
	a.Acts, a.Access = a.Acts.or(usualActs), a.Access.or(usualAccess)

	return a
}

func (r Retention) or(usual Retention) Retention {
	return Retention{Days: cmp.Or(r.Days, usual.Days), Megabytes: cmp.Or(r.Megabytes, usual.Megabytes)}
}

func (a *Audit) validate() error {
	filled := a.filled()
	errs := []error{
		within("acts", filled.Acts.validate(leastActs)), within("access", filled.Access.validate(leastAccess)),
	}
	if to := a.CheckpointsTo; to != "" {
		if parsed, err := mail.ParseAddress(to); err != nil || parsed.Address != to {
			errs = append(errs, fmt.Errorf("checkpoints_to: %q is not an address such as anna@office.example", to))
		}
	}

	return errors.Join(errs...)
}

func (r Retention) validate(least Retention) error {
	var errs []error
	if r.Days < least.Days || r.Days > most.Days {
		errs = append(errs, fmt.Errorf("days: %d is not between %d and %d", r.Days, least.Days, most.Days))
	}
	if r.Megabytes < least.Megabytes || r.Megabytes > most.Megabytes {
		errs = append(errs, fmt.Errorf("megabytes: %d is not between %d and %d", r.Megabytes, least.Megabytes, most.Megabytes))
	}

	return errors.Join(errs...)
}
