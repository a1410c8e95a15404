package appliance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/audit/bymail"
	"pillarbox/appliance/config"
	"pillarbox/appliance/delivery"
	"pillarbox/storage"
)

// auditSettings keeps the record of who did what as long as the settings say, and
// tells somebody how far it is.
type auditSettings struct{ office *office }

// Name implements config.Applier.
func (auditSettings) Name() string { return "audit" }

// Follows implements config.Follower.
func (auditSettings) Follows() {}

// Check implements config.Applier.
func (s auditSettings) Check(ctx context.Context, from, to *config.Document) (r config.Report, err error) {
	for _, b := range []struct {
		what     string
		from, to config.Retention
	}{
		{"what administrators and the box did", from.Audit.Acts, to.Audit.Acts},
		{"sign-ins, handshakes and bans", from.Audit.Access, to.Audit.Access},
	} {
		was, will := keepOf(b.from), keepOf(b.to)
		if was == will {
			continue
		}
		r.Steps = append(r.Steps, fmt.Sprintf("keep the record of %s for %d days, and at most %d megabytes", b.what, b.to.Days, b.to.Megabytes))
		if will.Age < was.Age || will.Size < was.Size {
			r.Notes = append(r.Notes, fmt.Sprintf("what is recorded of %s beyond that is removed within an hour of the confirmation, and does not come back: export it before (pillarbox audit export)", b.what))
		}
	}
	reader := to.Audit.CheckpointsTo
	if reader == from.Audit.CheckpointsTo {
		return r, nil
	}
	if reader == "" {
		r.Steps = append(r.Steps, "mail checkpoints of the audit record to nobody")
		return r, nil
	}
	if err := s.office.delivery.Known(ctx, reader); err != nil {
		return r, fmt.Errorf("audit.checkpoints_to: nobody here has the address %s: %w", reader, err)
	}
	r.Steps = append(r.Steps, "mail a checkpoint of the audit record to "+reader+" each day, and one at once")
	r.Notes = append(r.Notes, "a checkpoint proves something only outside this box: have a mail program keep copies, or forward it")

	return r, nil
}

// Try implements config.Applier. What retention removes does not come back, so
// that nothing is done before the change is confirmed.
func (auditSettings) Try(context.Context, *config.Trial) ([]string, error) { return nil, nil }

// Hold implements config.Applier.
func (s auditSettings) Hold(_ context.Context, d *config.Document) error {
	s.office.audit.SetKeep(keepOf(d.Audit.Acts), keepOf(d.Audit.Access))
	s.office.checkpoints.SetTo(d.Audit.CheckpointsTo)

	return nil
}

func keepOf(r config.Retention) audit.Keep { return audit.Keep{Age: r.Age(), Size: r.Size()} }

// checkpointMail returns what mails checkpoints of the record.
func (o *office) checkpointMail() *bymail.Mailer {
	last := checkpointSent{o.store.System()}

	return bymail.New(&bymail.Config{
		Logger: o.log.With("service", "audit"), Hostname: o.conf.hostname(),
		Checkpoint: o.audit.Checkpoint, Deliver: o.deliver, Last: last.get, SetLast: last.set,
	})
}

// deliver files a message of the box itself with somebody here.
func (o *office) deliver(ctx context.Context, to string, message io.Reader) error {
	for _, r := range o.delivery.Deliver(ctx, &delivery.Envelope{Recipients: []string{to}, Own: true}, message) {
		if r.Err != nil {
			return r.Err
		}
	}

	return nil
}

// checkpointSent keeps which message with a checkpoint was the last.
type checkpointSent struct{ system *storage.System }

const (
	auditSection = "audit"
	auditMailed  = "mailed"
)

func (c checkpointSent) get() (s bymail.Sent, err error) {
	err = c.system.View(func(tx *storage.SystemTx) error {
		if b := tx.Get(auditSection, auditMailed); b != nil && json.Unmarshal(b, &s) != nil {
			s = bymail.Sent{} // then one more is written
		}
		return nil
	})

	return s, err
}

func (c checkpointSent) set(ctx context.Context, s bymail.Sent) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	err = c.system.Update(ctx, func(tx *storage.SystemTx) error { return tx.Put(auditSection, auditMailed, b) })
	if err != nil {
		return errors.Join(errors.New("write down that a checkpoint was mailed"), err)
	}

	return nil
}

// auditMemory remembers in the system database that there is a record.
type auditMemory struct{ system *storage.System }

const auditRecorded = "recorded"

// Recorded implements audit.Memory.
func (m auditMemory) Recorded() (yes bool, err error) {
	err = m.system.View(func(tx *storage.SystemTx) error {
		yes = tx.Get(auditSection, auditRecorded) != nil
		return nil
	})

	return yes, err
}

// SetRecorded implements audit.Memory.
func (m auditMemory) SetRecorded(ctx context.Context) error {
	return m.system.Update(ctx, func(tx *storage.SystemTx) error { return tx.Put(auditSection, auditRecorded, []byte("yes")) })
}
