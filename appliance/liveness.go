package appliance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"pillarbox/appliance/control"
	"pillarbox/appliance/health"
	"pillarbox/storage"
)

// pace is how often the program is checked, and what a check may take.
type pace struct {
	read, write, listen         time.Duration
	accounts                    time.Duration // from one look at all accounts to the next
	storageLimit, listenerLimit time.Duration
	abort                       time.Duration // from sickness to Config.Abort
}

// usualPace writes rarely: on flash a write costs some 20 KiB.
var usualPace = pace{
	read:          30 * time.Second,
	write:         5 * time.Minute,
	listen:        30 * time.Second,
	accounts:      5 * time.Minute,
	storageLimit:  time.Minute,
	listenerLimit: 10 * time.Second,
	abort:         grace + 5*time.Second,
}

// strikes is how often in a row a listener may be deaf.
const strikes = 3

// beatSection is where the check of storage writes.
const (
	beatSection = "health"
	beatKey     = "beat"
)

// watch checks the program and feeds systemd's watchdog. It returns an error
// when the program is to be started again.
func (a *Appliance) watch(ctx context.Context) error {
	m := &health.Monitor{
		Tracker: a.health,
		Logger:  a.log.With("service", "health"),
		Checks:  a.checks(),
	}
	if every, err := daemon.SdWatchdogEnabled(false); err != nil {
		a.log.WarnContext(ctx, "systemd's watchdog is not understood", "err", err)
	} else if every > 0 {
		m.Beat, m.BeatEvery = func() { a.notify(daemon.SdNotifyWatchdog) }, every/3
	}
	stable := a.forgiving(ctx)
	err := m.Run(ctx)
	stable()
	var sick *health.SickError
	if errors.As(err, &sick) {
		a.sicken(sick)
	}

	return err
}

// forgiving shows that earlier runs ended badly until this one has lasted.
func (a *Appliance) forgiving(ctx context.Context) (stop func()) {
	run := a.conf.Run
	if run == nil || run.History().Bad == 0 {
		return func() {}
	}
	kind := &health.Kind{Name: "restarted", Title: "The program ended badly", Severity: health.Medium}
	h := run.History()
	text := fmt.Sprintf("Runs in a row that ended badly before this one: %d. The last one: %s.", h.Bad, h.LastCrash.Reason)
	if h.LastCrash.File != "" {
		text += " Where it happens again, keep " + filepath.Base(h.LastCrash.File) + " from the folder run of the data folder for a report."
	}
	a.health.Set(kind, text)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run.Stable(ctx); err != nil {
			a.log.WarnContext(ctx, "bad ends not forgotten", "err", err)
		}
		if ctx.Err() == nil {
			a.health.Clear(kind)
		}
	}()

	return func() { cancel(); <-done }
}

// sicken tells why the program ends, and sees to it that it does, even where
// the disk hangs on which the log and the last words are written.
func (a *Appliance) sicken(sick *health.SickError) {
	if a.conf.Abort != nil {
		time.AfterFunc(a.pace.abort, a.conf.Abort)
	}
	a.log.Error("the program is sick and ends itself, to be started again", "reason", sick.Reason)
	if a.conf.Run != nil {
		a.conf.Run.LastWords(sick.Reason)
	}
}

// checks returns what the program asks itself.
func (a *Appliance) checks() []health.Check {
	all := []health.Check{
		{
			Kind: &health.Kind{
				Name: "firewall", Title: "The firewall is not as it should be", Severity: health.Medium, After: 20 * time.Second,
			},
			Every: a.pace.read, Limit: a.pace.listenerLimit, Run: a.checkFirewall,
		},
		{
			Kind: &health.Kind{
				Name: "settings", Title: "The settings may not hold everywhere", Severity: health.Medium, After: 20 * time.Second,
				Follows: []string{"firewall"},
			},
			Every: a.pace.read, Limit: a.pace.listenerLimit, Run: a.checkSettings,
		},
		{
			Kind: &health.Kind{
				Name: "storage-read", Title: "Stored mail cannot be read", Severity: health.High,
			},
			Every: a.pace.read, Limit: a.pace.storageLimit, Run: a.office.readStorage,
		},
		{
			Kind: &health.Kind{
				Name: "storage-write", Title: "Mail cannot be stored", Severity: health.High,
				Follows: []string{"storage-read", "disk-full"},
			},
			Every: a.pace.write, Limit: a.pace.storageLimit, Run: a.office.writeStorage,
		},
		{
			Kind:  &health.Kind{Name: "disk-full", Title: "The disk is full", Severity: health.High},
			Every: a.pace.read, Limit: a.pace.storageLimit, Run: a.office.space.checkFull,
		},
		{
			Kind: &health.Kind{
				Name: "disk-space", Title: "The disk is almost full", Severity: health.Medium,
				Follows: []string{"storage-write", "disk-full"},
			},
			Every: a.pace.write, Limit: a.pace.storageLimit, Run: a.office.space.checkLow,
		},
		{
			Kind:  &health.Kind{Name: "certificate", Title: "The certificate is not in order", Severity: health.High},
			Every: a.pace.read, Limit: a.pace.listenerLimit, Run: func(context.Context) error { return a.certs.Health() },
		},
		{
			Kind: &health.Kind{
				Name: "certificate-expires", Title: "The certificate expires", Severity: health.Medium, Follows: []string{"certificate"},
			},
			Every: a.pace.read, Limit: a.pace.listenerLimit, Run: func(context.Context) error { return a.certs.Expiring() },
		},
		{
			Kind: &health.Kind{
				Name: "certificate-names", Title: "The certificate lacks a name", Severity: health.Medium, Follows: []string{"certificate"},
			},
			Every: a.pace.read, Limit: a.pace.listenerLimit, Run: func(context.Context) error { return a.certs.NotCovered() },
		},
		{
			Kind: &health.Kind{
				Name: "device-certificates", Title: "Certificates of devices expire", Severity: health.Low,
			},
			Every: a.pace.read, Limit: a.pace.listenerLimit, Run: func(context.Context) error { return a.expiringDevices() },
		},
		{
			Kind: &health.Kind{
				Name: "audit", Title: "Who did what cannot be recorded", Severity: health.Medium, Follows: []string{"disk-full"},
			},
			Every: a.pace.read, Limit: a.pace.listenerLimit, Run: func(context.Context) error { return a.office.audit.Health() },
		},
		{
			Kind: &health.Kind{
				Name: "audit-mail", Title: "Checkpoints of the audit record do not arrive", Severity: health.Medium,
				Follows: []string{"disk-full", "audit"},
			},
			Every: a.pace.read, Limit: a.pace.listenerLimit, Run: func(context.Context) error { return a.office.checkpoints.Health() },
		},
		{
			Kind: &health.Kind{
				Name: "ports", Title: "Who uses which port cannot be stored", Severity: health.Low, Follows: []string{"disk-full", "storage-write"},
			},
			Every: a.pace.read, Limit: a.pace.listenerLimit, Run: func(context.Context) error { return a.office.ports.Health() },
		},
		{
			Kind: &health.Kind{
				Name: "port-unused", Title: "Port 990 is open for nobody", Severity: health.Low,
			},
			Every: a.pace.write, Limit: a.pace.listenerLimit, Run: func(context.Context) error { return a.checkUnused() },
		},
		{
			Kind:  &health.Kind{Name: "control", Title: "Commands are not answered", Severity: health.Medium},
			Every: a.pace.listen, Limit: a.pace.listenerLimit, Strikes: strikes, Run: a.askControl,
		},
	}
	port := func(name string, check func(context.Context) error) {
		all = append(all, health.Check{
			Kind: &health.Kind{
				Name: "listener-" + name, Title: "A port takes no connections", Severity: health.High, After: a.pace.listen,
			},
			Every: a.pace.listen, Limit: a.pace.listenerLimit, Strikes: strikes, Run: check,
		})
	}
	for _, p := range a.ports.all() {
		port(p.name, p.answers)
	}
	for i, l := range a.listeners {
		port(fmt.Sprintf("%s-%d", l.name, i), l.check)
	}

	return all
}

// readStorage and writeStorage are the office's: a check may still run when
// the appliance, which ends, has let it go.
func (o *office) readStorage(context.Context) error {
	err := o.store.System().View(func(tx *storage.SystemTx) error {
		tx.Get(beatSection, beatKey)
		return nil
	})

	return explainStorage(err)
}

func (o *office) writeStorage(ctx context.Context) error {
	err := o.store.System().Update(ctx, func(tx *storage.SystemTx) error {
		return tx.PutPassing(beatSection, beatKey, []byte(time.Now().UTC().Format(time.RFC3339)))
	})

	return explainStorage(err)
}

// explainStorage adds what to do. No restart mends a disk, and what can be
// read is served meanwhile.
func explainStorage(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, storage.ErrDiskFull):
		return fmt.Errorf("the disk is full (%w): delete mail or files, or move to a larger disk; mail that arrives is turned away until then", err)
	}

	return fmt.Errorf("the disk fails (%w): make a backup now and replace it", err)
}

func (a *Appliance) askControl(ctx context.Context) error {
	client, err := control.Dial(ctx, a.conf.Dir)
	if err != nil {
		return health.Mendable(err)
	}
	defer client.Close()
	_, err = client.Status(ctx)

	return health.Mendable(err)
}

// describe tells how the server is.
func (a *Appliance) describe(s *control.Status) {
	s.Hostname = a.conf.hostname()
	for _, l := range append(a.listening(), a.metrics.listeners()...) {
		s.Listeners = append(s.Listeners, control.Listener{Name: l.name, Address: l.address()})
	}
	s.Connections = a.access.Open()
	if a.web != nil {
		s.Claim = a.ClaimCode()
	}
	s.Health = a.health.Conditions()
	if p := a.settings.Pending(); p != nil {
		s.Change = p.String()
	}
	if a.certs.Own() {
		leaf := a.certs.Leaf()
		s.Certificate = &control.Certificate{Issuer: leaf.Issuer.String(), Expires: leaf.NotAfter, SHA256: hash(leaf.Raw)}
	} else {
		s.CA = control.CA{File: a.CAFile(), SHA256: fingerprint(a.CAFile())}
	}
	if a.conf.Run != nil {
		s.Restarts = a.conf.Run.History()
	}
}

// fingerprint returns the hash of a certificate's file, "" if it cannot be read.
func fingerprint(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return ""
	}

	return hash(block.Bytes)
}

// hash returns the SHA-256 of a certificate in the form in which people
// compare it.
func hash(der []byte) string {
	sum := sha256.Sum256(der)
	pairs := make([]string, len(sum))
	for i, octet := range sum {
		pairs[i] = hex.EncodeToString([]byte{octet})
	}

	return strings.ToUpper(strings.Join(pairs, ":"))
}
