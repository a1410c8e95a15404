package appliance_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"testing"
	"time"

	settings "pillarbox/appliance/config"
	"pillarbox/appliance/control"
	"pillarbox/appliance/directory"
	"pillarbox/appliance/health"
	"pillarbox/appliance/ports"
	"pillarbox/storage"
)

// clients returns what the box knows of who signs in.
func clients(t *testing.T, dir string, want int) (all []ports.Client) {
	t.Helper()
	withClient(t, dir, false, func(c *control.Client) {
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			var err error
			if all, err = c.PortClients(t.Context(), ports.Query{}); err != nil {
				t.Fatal(err)
			}
			if len(all) == want || time.Now().After(end) {
				break
			}
		}
	})
	if len(all) != want {
		t.Fatalf("%d clients, want %d: %+v", len(all), want, all)
	}

	return all
}

// TestWhoIsRemovedIsForgotten removes a device and an account while a server runs
// and while none does.
func TestWhoIsRemovedIsForgotten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	addAnna(t, dir)
	secrets := map[string]directory.Secret{}
	withClient(t, dir, false, func(c *control.Client) {
		for _, name := range []string{"telephone", "laptop"} {
			d, err := c.AddDevice(t.Context(), "anna@office.example", control.NewDevice{Name: name})
			if err != nil {
				t.Fatal(err)
			}
			secrets[name] = directory.Secret(d.Password)
		}
	})
	r := start(t, config(dir))
	r.imap(t, "imaps-legacy")
	for _, secret := range secrets {
		r.connect(t, "imaps").say(fmt.Sprintf("a LOGIN anna@office.example %q", string(secret)), "a OK")
	}
	for _, c := range clients(t, dir, 3) {
		if c.Connected != 1 || c.Sessions != 1 || c.Credential.Device == "" != (c.Uses[0].Port == ports.Legacy) || !c.Uses[0].Better {
			t.Errorf("client %+v", c)
		}
	}
	revoke := func(name string) {
		t.Helper()
		withClient(t, dir, false, func(c *control.Client) {
			if _, err := c.RevokeDevice(t.Context(), "anna@office.example", name); err != nil {
				t.Fatal(err)
			}
		})
	}
	revoke("telephone")
	clients(t, dir, 2)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	revoke("laptop")
	r = start(t, config(dir))
	if c := clients(t, dir, 1)[0]; c.Credential.Kind != ports.Password || c.Sessions != 1 || c.Connected != 0 {
		t.Errorf("left: %+v", c)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	withClient(t, dir, false, func(c *control.Client) {
		if err := c.RemoveAccount(t.Context(), "anna@office.example"); err != nil {
			t.Fatal(err)
		}
	})
	start(t, config(dir))
	clients(t, dir, 0)
}

// TestAPortThatNobodyUsesIsTold puts back when the box began to look.
func TestAPortThatNobodyUsesIsTold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		since time.Duration
		last  time.Duration // of a sign-in by 990
		told  bool
	}{
		{"a new box", time.Hour, 0, false},
		{"nobody for a month", 40 * 24 * time.Hour, 35 * 24 * time.Hour, true},
		{"somebody last week", 40 * 24 * time.Hour, 7 * 24 * time.Hour, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, func(tx *storage.SystemTx) error {
				if tt.last != 0 {
					text := fmt.Appendf(nil, `{"number":990,"last":%d,"days":[]}`, time.Now().Add(-tt.last).Unix())
					if err := tx.PutPassing("ports/days", "imaps-legacy", text); err != nil {
						return err
					}
				}
				return tx.PutPassing("ports", "since", strconv.AppendInt(nil, time.Now().Add(-tt.since).Unix(), 10))
			})
			start(t, config(dir))
			told := func() (found bool) {
				withClient(t, dir, false, func(c *control.Client) {
					s, err := c.Status(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					found = slices.ContainsFunc(s.Health, func(h health.Condition) bool { return h.Name == "port-unused" })
				})
				return found
			}
			wait := time.Second // for what is not to come
			if tt.told {
				wait = 20 * time.Second
			}
			for end := time.Now().Add(wait); time.Now().Before(end) && !told(); time.Sleep(50 * time.Millisecond) {
			}
			if told() != tt.told {
				t.Errorf("told: %v", !tt.told)
			}
		})
	}
}

// write writes into the system database while no server runs.
func write(t *testing.T, dir string, f func(tx *storage.SystemTx) error) {
	t.Helper()
	store, err := storage.Open(t.Context(), &storage.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.System().Update(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTheSettingsSayHowLongClientsAreKept has one that was last seen 60 days ago.
func TestTheSettingsSayHowLongClientsAreKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	addAnna(t, dir)
	var id string
	withClient(t, dir, false, func(c *control.Client) {
		all, err := c.Accounts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		id = string(all[0].ID)
	})
	write(t, dir, func(tx *storage.SystemTx) error {
		at := time.Now().Add(-60 * 24 * time.Hour).Unix()
		return tx.PutPassing("ports/clients", id, fmt.Appendf(nil, `{"address":"anna@office.example","clients":[{"kind":"password","first":%[1]d,"last":%[1]d,
			"addresses":[{"addr":"192.0.2.7","first":%[1]d,"last":%[1]d}],
			"uses":[{"port":"imaps","number":993,"tls":772,"mechanism":"PLAIN","from":"192.0.2.7","first":%[1]d,"last":%[1]d,"sessions":1,"days":""}]}]}`, at))
	})
	r := start(t, config(dir))
	if c := clients(t, dir, 1)[0]; len(c.Risks) != 1 || c.Risks[0].Name != ports.RiskNotSeen {
		t.Errorf("client %+v", c)
	}
	withClient(t, dir, false, func(c *control.Client) {
		s, err := c.Settings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d := s.Current.Document
		d.Inventory.Days = 30
		plan, err := c.PlanSettings(t.Context(), &d)
		if err != nil || !slices.ContainsFunc(plan.Reports, func(r settings.Report) bool {
			return slices.Contains(r.Steps, "keep for 30 days who used which port")
		}) {
			t.Errorf("plan %+v, %v", plan, err)
		}
		if _, err := c.ProposeSettings(t.Context(), &control.ProposeSettings{Document: &d}); err != nil {
			t.Fatal(err)
		}
	})
	withClient(t, dir, false, func(c *control.Client) { // by a new connection
		if _, err := c.ConfirmSettings(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	})
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	start(t, config(dir))
	clients(t, dir, 0)
}
