package storage_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage"
)

// state is what a data folder says it holds, as text, by account; what
// system.db holds stands under "system".
type state map[string]string

// system is the key of state for system.db.
const system = "system"

// hand works on a data folder, step by step.
type hand struct {
	dir   string
	log   *slog.Logger
	store *storage.Store // nil while closed
	done  []string       // keys of state that the present step has changed, as it was told
}

func (h *hand) open() error {
	if h.store != nil {
		return nil
	}
	s, err := storage.Open(context.Background(), &storage.Config{
		Dir: h.dir, Logger: h.log,
		Now: func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) },
	})
	if err != nil {
		return err
	}
	h.store = s
	return nil
}

func (h *hand) close() error {
	s := h.store
	h.store = nil
	if s == nil {
		return nil
	}
	return s.Close()
}

// step is one thing to do. It may be repeated after it failed.
type step struct {
	name string
	run  func(*hand) error
}

// faultProgram does everything that changes a data folder, so that its steps
// pass every place where storage calls the system.
func faultProgram() []step {
	const ann, bob storage.AccountID = "ann", "bob"
	all := imap.UIDSet{{Start: 1, Stop: 0}}
	return []step{
		{"create an account", create(ann)},
		{"create another account", create(bob)},
		{"write to the system database", func(h *hand) error {
			return h.system(func(tx *storage.SystemTx) error {
				return errors.Join(tx.Put("people", "ann", []byte("Ann")), tx.Put("people", "bob", bytes.Repeat([]byte("Bob"), 3000)))
			})
		}},
		{"append a small message", appendTo(ann, "INBOX", []int{300})},
		{"append a large message", appendTo(ann, "INBOX", []int{20_000})},
		{"append a larger message", appendTo(ann, "Archive", []int{300_000})},
		{"append several", appendTo(ann, "INBOX", []int{500, 9000, 600})},
		{"deliver to two", deliverTo(7000, ann, bob)},
		{"deliver what is in the pool to two", deliverTo(20_000, bob, ann)},
		{"set flags", on(ann, func(c context.Context, a *storage.Account) error {
			_, err := a.Store(c, box(a, "INBOX"), all, storage.FlagOp{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen, "work"}})
			return err
		})},
		{"copy", on(ann, func(c context.Context, a *storage.Account) error {
			_, err := a.Copy(c, box(a, "INBOX"), all, box(a, "Archive"))
			return err
		})},
		{"move", on(ann, func(c context.Context, a *storage.Account) error {
			_, err := a.Move(c, box(a, "INBOX"), imap.UIDSetNum(1, 2), box(a, "Sent"))
			return err
		})},
		{"create mailboxes", on(ann, func(c context.Context, a *storage.Account) error {
			_, err := a.CreateMailbox(c, storage.NewMailbox{Name: "Work/Old", Subscribed: true})
			return err
		})},
		{"rename mailboxes", on(ann, func(c context.Context, a *storage.Account) error { return a.RenameMailbox(c, "Work", "Job") })},
		{"restart", func(h *hand) error {
			if err := h.close(); err != nil {
				return err
			}
			return h.open()
		}},
		{"append after a restart", appendTo(ann, "Job/Old", []int{20_000, 400})},
		{"mark as deleted", on(ann, func(c context.Context, a *storage.Account) error {
			_, err := a.Store(c, box(a, "Archive"), all, storage.FlagOp{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}})
			return err
		})},
		{"expunge", on(ann, func(c context.Context, a *storage.Account) error {
			_, _, err := a.Expunge(c, box(a, "Archive"), nil)
			return err
		})},
		{"delete a mailbox", on(ann, func(c context.Context, a *storage.Account) error { return a.DeleteMailbox(c, "Job/Old") })},
		{"unsubscribe", on(ann, func(c context.Context, a *storage.Account) error { return a.SetSubscribed(c, "Work/Old", false) })},
		{"set a quota", on(ann, func(c context.Context, a *storage.Account) error { return a.SetQuota(c, 1<<20) })},
		{"delete an account", func(h *hand) error { return h.store.DeleteAccount(context.Background(), bob) }},
		{"create it again", create(bob)},
		{"deliver to the new one", deliverTo(20_000, bob)},
		{"change the system database", func(h *hand) error {
			return h.system(func(tx *storage.SystemTx) error {
				return errors.Join(tx.Delete("people", "bob"), tx.Put("things", "key", []byte("value")))
			})
		}},
		{"check", func(h *hand) error { return h.check() }},
		{"append at last", appendTo(ann, "INBOX", []int{9000, 300})},
	}
}

func create(id storage.AccountID) func(*hand) error {
	return func(h *hand) error {
		return h.store.CreateAccount(context.Background(), id, []storage.NewMailbox{
			{Name: "INBOX", Subscribed: true}, {Name: "Sent", SpecialUse: imap.MailboxAttrSent, Subscribed: true}, {Name: "Archive"},
		})
	}
}

func on(id storage.AccountID, f func(context.Context, *storage.Account) error) func(*hand) error {
	return func(h *hand) error {
		a, err := h.store.Account(context.Background(), id)
		if err != nil {
			return err
		}
		return f(context.Background(), a)
	}
}

func box(a *storage.Account, name string) storage.MailboxID {
	if mb := a.Mailbox(name); mb != nil {
		return mb.ID
	}
	return 0
}

// appendTo appends messages of the given sizes in one operation.
func appendTo(id storage.AccountID, mailbox string, sizes []int) func(*hand) error {
	return func(h *hand) error {
		return on(id, func(c context.Context, a *storage.Account) error {
			var msgs []storage.AppendMessage
			for _, size := range sizes {
				b, err := h.store.Stage(c, strings.NewReader(mail(size, size)))
				if err != nil {
					return err
				}
				defer b.Close()
				msgs = append(msgs, storage.AppendMessage{Body: b, Prefix: []byte("X-Size: yes\r\n")})
			}
			_, err := a.Append(c, box(a, mailbox), msgs)
			return err
		})(h)
	}
}

// deliverTo stages one message for several accounts.
func deliverTo(size int, ids ...storage.AccountID) func(*hand) error {
	return func(h *hand) error {
		b, err := h.store.Stage(context.Background(), strings.NewReader(mail(size, size)))
		if err != nil {
			return err
		}
		defer b.Close()
		var errs []error
		for _, id := range ids {
			err := on(id, func(c context.Context, a *storage.Account) error {
				_, err := a.Append(c, box(a, "INBOX"), []storage.AppendMessage{{Body: b}})
				return err
			})(h)
			if err == nil {
				h.done = append(h.done, string(id))
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
}

func (h *hand) system(f func(tx *storage.SystemTx) error) error {
	return h.store.System().Update(context.Background(), f)
}

// check fails where the folder is not consistent.
func (h *hand) check() error {
	var problems []error
	_, err := h.store.Check(context.Background(), storage.CheckOptions{
		Bodies: true,
		Found:  func(p storage.Problem) { problems = append(problems, fmt.Errorf("problem: %+v", p)) },
	})
	return errors.Join(append(problems, err)...)
}

// survey reads everything that is to be seen of the folder.
func (h *hand) survey() (state, error) {
	st := state{}
	var b strings.Builder
	err := h.store.System().View(func(tx *storage.SystemTx) error {
		b.Reset()
		for _, section := range []string{"people", "things"} {
			if err := tx.All(section, func(key string, value []byte) error {
				_, err := fmt.Fprintf(&b, "%s/%s %x\n", section, key, sha256.Sum256(value))
				return err
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("survey the system database: %w", err)
	}
	st[system] = b.String()
	ids, err := h.store.Accounts()
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		a, err := h.store.Account(context.Background(), id)
		if err != nil {
			return nil, fmt.Errorf("survey %s: %w", id, err)
		}
		if st[string(id)], err = surveyAccount(a); err != nil {
			return nil, fmt.Errorf("survey %s: %w", id, err)
		}
	}
	return st, nil
}

func surveyAccount(a *storage.Account) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "quota %+v subscribed %q\n", a.Quota(), a.Subscriptions())
	for _, mb := range a.Mailboxes() {
		s, err := a.Snapshot(context.Background(), mb.ID)
		if err != nil {
			return "", err
		}
		gone, _, err := a.Vanished(s, 0)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%+v keywords %q gone %v\n", *mb, s.Keywords(), gone)
		for _, m := range s.All(0) {
			sum, err := bodySum(a, m.Data)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&b, "  %+v %s\n", *m, sum)
		}
	}
	return b.String(), nil
}

func bodySum(a *storage.Account, id storage.DataID) (string, error) {
	body, err := a.OpenBody(id)
	if err != nil {
		return "", err
	}
	defer body.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(body, 0, body.Size)); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", sum.Sum(nil)), nil
}
