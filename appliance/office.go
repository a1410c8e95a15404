package appliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"pillarbox/appliance/access"
	"pillarbox/appliance/audit"
	"pillarbox/appliance/audit/bymail"
	"pillarbox/appliance/certs"
	"pillarbox/appliance/config"
	"pillarbox/appliance/control"
	"pillarbox/appliance/delivery"
	"pillarbox/appliance/directory"
	"pillarbox/appliance/exporter"
	"pillarbox/appliance/importer"
	"pillarbox/appliance/metrics"
	"pillarbox/appliance/ports"
	"pillarbox/appliance/ports/sunset"
	"pillarbox/appliance/setup"
	"pillarbox/storage"
	"pillarbox/webui"
)

// office is an opened data folder: what a server and a command have in common.
type office struct {
	conf      *Config
	log       *slog.Logger
	store     *storage.Store
	directory *directory.Directory
	delivery  *delivery.Pipeline
	audit     *audit.Log
	handler   *control.Handler
	imports   *importer.Jobs
	exports   *exporter.Moves
	bans      *access.Bans
	space     *space
	policy    *signInPolicy
	metrics   *metrics.Metrics
	ports     *ports.Inventory
	pulse     pulse
	look      atomic.Pointer[lookAround] // of a server; nil in a command
	plans     atomic.Pointer[sunset.Planner]

	checkpoints *bymail.Mailer
	clients     *clientSetup
	setup       *setup.Service
	pages       *webui.Book

	certsOpening sync.Mutex // held by who opens them
	certs        *certs.Manager
}

// openOffice opens the folder; describe and settings may be nil, see
// control.Config.
func openOffice(ctx context.Context, c *Config, describe func(*control.Status), settings func() *config.Manager) (*office, error) {
	store, err := storage.Open(ctx, &storage.Config{
		Dir:        c.Dir,
		Logger:     c.Logger.With("service", "storage"),
		MaxMessage: c.MaxMessage,
	})
	if err != nil {
		return nil, fmt.Errorf("open data folder %s: %w", c.Dir, err)
	}
	dir, err := directory.New(&directory.Config{Store: store, Logger: c.Logger.With("service", "directory")})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	stored, err := config.Stored(sectionStore{store.System(), settingsSection})
	if err != nil { // whoever repairs it must get in
		c.Logger.WarnContext(ctx, "the audit record and the inventory of ports are kept as long as is usual, for the settings cannot be read", "err", err)
		stored = config.Default()
	}
	room := &space{dir: c.Dir}
	var o *office
	counts := metrics.New(&metrics.Config{Version: c.Version, Look: func() metrics.Present { return o.present() }})
	o = &office{
		metrics:   counts,
		conf:      c,
		log:       c.Logger,
		store:     store,
		space:     room,
		directory: dir,
		policy:    &signInPolicy{dir: dir},
		audit: audit.New(&audit.Config{
			Dir:    filepath.Join(c.Dir, "audit"),
			Logger: c.Logger.With("service", "audit"),
			Sender: c.AuditSender,
			Memory: auditMemory{store.System()},
			Acts:   keepOf(stored.Audit.Acts),
			Access: keepOf(stored.Audit.Access),
		}),
		delivery: delivery.New(&delivery.Config{
			Directory: recipients{dir},
			Store:     &stager{store, room},
			Hostname:  c.hostname(),
			Logger:    c.Logger.With("service", "delivery"),
			Observe: func(ok, failed int, octets int64, took time.Duration) {
				counts.Delivered(ok, failed, octets, took)
				o.pulse.delivered(ok, failed)
			},
		}),
	}
	if o.bans, err = openBans(c, o); err != nil {
		return nil, errors.Join(err, o.close(c.Logger))
	}
	o.checkpoints = o.checkpointMail()
	if o.ports, err = openPorts(ctx, c, o, stored.Inventory.Days); err != nil {
		return nil, errors.Join(err, o.close(c.Logger))
	}
	o.clients = &clientSetup{office: o}
	o.setup = setup.New(&setup.Config{Office: o.clients, Trust: lateTrust{o}, Logger: c.Logger.With("service", "setup")})
	if o.imports, err = openImports(c, o); err != nil {
		return nil, errors.Join(err, o.close(c.Logger))
	}
	if o.pages, err = webui.OpenBook(webStore{sections{store.System()}}, c.Logger.With("service", "web"), nil); err != nil {
		return nil, errors.Join(err, o.close(c.Logger))
	}
	dir.Watch(o.tellPages)
	if o.exports, err = openExports(c, o); err != nil {
		return nil, errors.Join(err, o.close(c.Logger))
	}
	o.handler = control.NewHandler(&control.Config{
		Certs:     o.openCerts,
		Setup:     o.setup,
		Pages:     pageBook{o.pages},
		Directory: dir,
		Delivery:  o.delivery,
		Store:     store,
		Audit:     o.audit,
		Logger:    c.Logger.With("service", "control"),
		Version:   c.Version,
		Bans:      o.bans,
		Ports:     o.ports,
		Imports:   o.imports,
		Exports:   o.exports,
		Describe:  describe,
		Settings:  settings,
		Plans:     o.plans.Load,
		Firewall:  firewallOf(c),
		Machine:   machineOf(c),
		Network:   foundNetwork(c),
		Metrics:   counts.Write,
		Pulse:     o.pulseNow,
		Tokens:    metricsTokens{store.System()},
		Log:       c.Log,
		LogAll:    c.LogAll,
		Dir:       c.Dir,
	})

	return o, nil
}

// lookAround is how a server tells what is there.
type lookAround struct {
	present func() metrics.Present
	pulse   func(context.Context) control.Pulse
}

// pulseNow tells what the box did lately: in a command, nothing.
func (o *office) pulseNow(ctx context.Context) control.Pulse {
	if l := o.look.Load(); l != nil {
		return l.pulse(ctx)
	}

	return control.Pulse{Hours: o.pulse.day(), Ports: []control.PulsePort{}}
}

// present tells what is there: in a command, nothing.
func (o *office) present() metrics.Present {
	if l := o.look.Load(); l != nil {
		return l.present()
	}

	return metrics.Present{DiskFree: -1}
}

func (o *office) close(log *slog.Logger) error {
	// A disk that takes nothing more keeps nobody from stopping.
	if err := o.audit.Close(); err != nil {
		log.Error("the audit record lacks what was done last", "err", err)
	}
	if err := o.store.Close(); err != nil {
		return fmt.Errorf("close data folder: %w", err)
	}
	log.Debug("data folder closed")

	return nil
}

// recipients shows the directory to delivery.
type recipients struct{ dir *directory.Directory }

// Resolve implements delivery.Directory.
func (r recipients) Resolve(ctx context.Context, address string) ([]delivery.Account, error) {
	found, err := r.dir.Resolve(ctx, address)
	if errors.Is(err, directory.ErrUnknownRecipient) || errors.Is(err, directory.ErrAddress) {
		return nil, fmt.Errorf("%w: %s", delivery.ErrUnknownRecipient, address)
	}
	if err != nil {
		return nil, err
	}
	accounts := make([]delivery.Account, len(found))
	for i, a := range found {
		accounts[i] = delivery.Account{ID: a.ID, Address: a.Address}
	}

	return accounts, nil
}

// Admits implements delivery.Directory.
func (r recipients) Admits(ctx context.Context, sender, recipient string) error {
	err := r.dir.Admits(ctx, sender, recipient)
	if errors.Is(err, directory.ErrNotAdmitted) {
		return fmt.Errorf("%w: %w", delivery.ErrNotAdmitted, err)
	}

	return err
}
