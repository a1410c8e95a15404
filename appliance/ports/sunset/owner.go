package sunset

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Ownership is why port 990 is open, and who answers for it.
type Ownership struct {
	Owner    string    `json:"owner,omitempty"` // an address, or a name
	Why      string    `json:"why,omitempty"`
	Review   time.Time `json:"review,omitzero"` // when it is to be looked at again
	By       string    `json:"by,omitempty"`
	At       time.Time `json:"at,omitzero"`
	Reminded time.Time `json:"reminded,omitzero"` // by mail

	Decisions []Decision `json:"decisions,omitempty"`
}

const (
	maxOwner    = 200 // octets
	remindEach  = 7 * day
	maxOwnerLog = 100
)

func (o *Ownership) due(now time.Time) bool { return !o.Review.IsZero() && !now.Before(o.Review) }

// Ownership returns who answers for port 990.
func (p *Planner) Ownership() Ownership {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.owner
	o.Decisions = append([]Decision{}, o.Decisions...)

	return o
}

// Own says why port 990 is open, who answers for it, and when that is looked at
// again. Empty fields stay as they were.
func (p *Planner) Own(ctx context.Context, o Ownership, by string) (Ownership, error) {
	now := p.now()
	switch {
	case by == "":
		return Ownership{}, ErrNobody
	case len(o.Owner) > maxOwner || len(o.Why) > maxWhy || clean(o.Owner) != o.Owner:
		return Ownership{}, fmt.Errorf("%w: the owner has at most %d octets, the reason %d", ErrSpec, maxOwner, maxWhy)
	case !o.Review.IsZero() && o.Review.Before(now):
		return Ownership{}, fmt.Errorf("%w: the review is in the past", ErrSpec)
	}
	p.acting.Lock()
	defer p.acting.Unlock()
	defer p.nudge()
	next := p.Ownership()
	if o.Owner != "" {
		next.Owner = o.Owner
	}
	if o.Why != "" {
		next.Why = o.Why
	}
	if !o.Review.IsZero() {
		next.Review, next.Reminded = o.Review, time.Time{}
	}
	if next.Owner == "" || next.Why == "" || next.Review.IsZero() {
		return Ownership{}, fmt.Errorf("%w: an owner, a reason and a date of review are wanted", ErrSpec)
	}
	next.By, next.At = by, now
	d := Decision{At: now, What: WasOwned, By: by, Why: next.Why, To: next.Owner + ", review " + next.Review.In(p.zone()).Format(time.DateOnly)}
	if err := p.keepOwner(ctx, &next, d); err != nil {
		return Ownership{}, err
	}

	return next, nil
}

// keepOwner records a decision and makes it durable. p.acting is held.
func (p *Planner) keepOwner(ctx context.Context, o *Ownership, d Decision) error {
	if err := p.conf.Record(ctx, Event{Decision: d}); err != nil {
		return fmt.Errorf("record the decision: %w", err)
	}
	o.Decisions = append(o.Decisions, d)
	o.Decisions = o.Decisions[max(0, len(o.Decisions)-maxOwnerLog):]
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if err := p.conf.Store.Save(ctx, map[string][]byte{ownerKey: text}); err != nil {
		return fmt.Errorf("write down who owns port 990: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.owner = *o

	return nil
}

// remind reminds the owner by mail that the review is due, once a week.
func (p *Planner) remind(ctx context.Context, now time.Time) error {
	o := p.Ownership()
	since := now.Sub(o.Reminded)
	if !o.due(now) || !o.Reminded.IsZero() && since < remindEach && since >= 0 {
		return nil
	}
	o.Reminded = now
	d := Decision{At: now, What: WasReviewed, By: theBox, To: o.Owner}
	// It is noted before it is sent: a crash costs a reminder and repeats none.
	if err := p.keepOwner(ctx, &o, d); err != nil {
		return err
	}
	if p.conf.Mailer == nil || !strings.Contains(o.Owner, "@") {
		return nil
	}
	accounts, err := p.conf.People.Members(ctx, o.Owner)
	if err != nil {
		p.log.WarnContext(ctx, "the owner of port 990 has no mailbox here", "account", o.Owner, "err", err)
		return nil
	}
	text := fmt.Sprintf("You answer for port 990 for IMAP on %s.\n\nIt is open because: %s\n\nThis was to be looked at again by %s. If it is still wanted, an administrator\nsets the next date with\n\n  pillarbox plan own --review DATE\n\nand if not, \"pillarbox plan make leave-990\" is how to leave it behind.\n",
		p.conf.Server(), o.Why, o.Review.In(p.zone()).Format("2 January 2006"))
	for _, account := range accounts {
		err := p.conf.Mailer.Deliver(ctx, account, p.letter(account, "Port 990: please look at it again", text, now))
		if err != nil {
			return fmt.Errorf("remind the owner of port 990: %w", err)
		}
	}

	return nil
}

// theBox is who does what nobody asked for.
const theBox = "the box"
