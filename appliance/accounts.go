package appliance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"pillarbox/appliance/directory"
	"pillarbox/appliance/health"
	"pillarbox/storage"
)

// maxNamed is how many accounts a condition names.
const maxNamed = 5

// watchAccounts opens every account, so that damage shows before somebody
// misses mail, and tries again those that could not be opened.
func (a *Appliance) watchAccounts(ctx context.Context) error {
	kind := &health.Kind{Name: "accounts", Title: "The mail of an account cannot be opened", Severity: health.High}
	t := time.NewTicker(a.pace.accounts)
	defer t.Stop()
	known := map[storage.AccountID]string{}
	for {
		found, err := a.unreadable(ctx, known)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			a.log.WarnContext(ctx, "accounts not checked", "err", err)
		case len(found) > 0:
			a.health.Set(kind, describeUnreadable(found))
		default:
			a.health.Clear(kind)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// unreadableAccount is an account that cannot be opened.
type unreadableAccount struct {
	address string
	err     error
}

// unreadable returns the accounts that cannot be opened. The log tells of each
// once; known remembers that.
func (a *Appliance) unreadable(ctx context.Context, known map[storage.AccountID]string) ([]unreadableAccount, error) {
	accounts, err := a.office.directory.List(ctx)
	if err != nil {
		return nil, err
	}
	// An open account has a file open; connections need some too.
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil && uint64(len(accounts)) > files.Cur/2 {
		accounts = accounts[:files.Cur/2]
	}
	var found []unreadableAccount
	for _, acct := range accounts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		err := a.tryAccount(ctx, acct)
		if err == nil {
			delete(known, acct.ID)
			continue
		}
		line, _, _ := strings.Cut(err.Error(), "\n") // damage comes with a stack
		if known[acct.ID] != line {
			known[acct.ID] = line
			a.log.ErrorContext(ctx, "the mail of an account cannot be opened", "account", acct.Address, "err", err)
		}
		found = append(found, unreadableAccount{acct.Address, err})
	}

	return found, nil
}

func (a *Appliance) tryAccount(ctx context.Context, acct directory.Account) error {
	_, err := a.office.store.Account(ctx, acct.ID)
	if errors.Is(err, storage.ErrNoAccount) {
		// Removed since it was listed; otherwise its folder is missing.
		if now, gone := a.office.directory.Find(ctx, acct.Address); gone != nil || now.ID != acct.ID {
			return nil
		}
	}

	return err
}

// describeUnreadable says which accounts they are and what to do.
func describeUnreadable(found []unreadableAccount) string {
	var b strings.Builder
	newer, older := false, false
	for i, u := range found {
		if errors.Is(u.err, storage.ErrNewerFormat) {
			newer = true
		} else {
			older = true
		}
		if i < maxNamed {
			line, _, _ := strings.Cut(u.err.Error(), "\n")
			fmt.Fprintf(&b, "%s: %s. ", u.address, line)
		}
	}
	if n := len(found) - maxNamed; n > 0 {
		fmt.Fprintf(&b, "And %d more. ", n)
	}
	b.WriteString("Nothing was changed, and the other accounts work.")
	if newer {
		b.WriteString(" What a newer version wrote is readable again once that version is installed.")
	}
	if older {
		b.WriteString(" Restore what is damaged from a backup.")
	}

	return b.String()
}
