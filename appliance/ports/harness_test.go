package ports_test

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"pillarbox/appliance/ports"
)

// office is an inventory with a clock and a disk of its own.
type office struct {
	t    testing.TB
	inv  *ports.Inventory
	disk *disk
	conf ports.Config

	mu  sync.Mutex
	now time.Time
}

// begin is a Monday morning.
var begin = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

func newOffice(t testing.TB, change ...func(*ports.Config)) *office {
	o := &office{t: t, disk: &disk{all: map[string]map[string]string{}}, now: begin}
	o.conf = ports.Config{
		Logger: slog.New(slog.DiscardHandler), Store: o.disk, Now: o.clock,
		Account: func(name string) (string, bool) {
			id, ok := map[string]string{"ada@office.example": "a", "bob@office.example": "b"}[strings.ToLower(name)]
			return id, ok
		},
	}
	for _, f := range change {
		f(&o.conf)
	}
	o.open()
	return o
}

// open opens the inventory again, as a restart does.
func (o *office) open() {
	o.t.Helper()
	inv, err := ports.Open(&o.conf)
	if err != nil {
		o.t.Fatal(err)
	}
	o.inv = inv
}

func (o *office) clock() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now
}

func (o *office) pass(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now = o.now.Add(d)
}

const day = 24 * time.Hour

// visit is how somebody comes; what is left out is usual.
type visit struct {
	account, from, port string
	version             uint16
	id                  ports.ID
	kind                ports.Kind
	device, mechanism   string
	better, resumed     bool
	serverName          string
}

func (o *office) connect(v visit) *ports.Visit {
	if v.version == 0 {
		v.version = tls.VersionTLS13
	}
	if v.port == "" {
		v.port = ports.IMAPS
	}
	number := 993
	if v.port == ports.Legacy {
		number = 990
	}
	return o.inv.Visit(&ports.Connection{
		Remote: netip.MustParseAddr(v.from), Port: v.port, Number: number, TLS: v.version,
		Cipher: tls.TLS_AES_128_GCM_SHA256, Resumed: v.resumed, ServerName: v.serverName,
	})
}

// comes has somebody sign in and leave.
func (o *office) comes(v visit) {
	c := o.connect(v)
	c.Named(v.id)
	if v.kind == "" {
		v.kind = ports.Password
	}
	if v.mechanism == "" {
		v.mechanism = "PLAIN"
	}
	c.SignedIn(&ports.SignIn{
		AccountID: v.account, Account: people[v.account], Kind: v.kind, Credential: v.device, Device: v.device,
		Mechanism: v.mechanism, Better: v.better,
	})
	c.End()
}

var people = map[string]string{"a": "ada@office.example", "b": "bob@office.example", "c": "carla@office.example"}

// only returns the one client that there is.
func (o *office) only() ports.Client {
	o.t.Helper()
	all := o.inv.Clients(ports.Query{})
	if len(all) != 1 {
		o.t.Fatalf("%d clients: %+v", len(all), all)
	}
	return all[0]
}

func (o *office) flush() {
	o.t.Helper()
	if err := o.inv.Flush(context.Background()); err != nil {
		o.t.Fatal(err)
	}
}

// disk keeps what is stored in memory.
type disk struct {
	mu     sync.Mutex
	all    map[string]map[string]string
	broken bool
	writes int
	octets int
}

var errDisk = errors.New("the disk is full")

func (d *disk) Load(section string, f func(key string, value []byte) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, value := range d.all[section] {
		if err := f(key, []byte(value)); err != nil {
			return err
		}
	}
	return nil
}

func (d *disk) Save(_ context.Context, changes []ports.Change) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken {
		return errDisk
	}
	d.writes++
	for _, c := range changes {
		if d.all[c.Section] == nil {
			d.all[c.Section] = map[string]string{}
		}
		if c.Value == nil {
			delete(d.all[c.Section], c.Key)
			continue
		}
		d.all[c.Section][c.Key] = string(c.Value)
		d.octets += len(c.Value)
	}
	return nil
}

// written returns how often something was stored.
func (d *disk) written() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writes
}

// size returns how many octets are stored.
func (d *disk) size() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for of := range maps.Values(d.all) {
		for key, value := range of {
			n += len(key) + len(value)
		}
	}
	return n
}
