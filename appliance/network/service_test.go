package network_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pillarbox/appliance/network"
	"pillarbox/appliance/timesync"
	"pillarbox/netcfg"
	"pillarbox/netcfg/netlab"
)

// clock is the machine's clock, which a test must not set.
type clock struct{}

func (clock) Now() time.Time           { return time.Now() }
func (clock) Step(time.Duration) error { return nil }
func (clock) Slew(time.Duration) error { return nil }

// service is a service that runs.
type service struct {
	config network.Config
	reload chan os.Signal
	stop   func()
}

func start(t *testing.T, settings string) *service {
	t.Helper()
	s := prepare(t, settings)
	s.run(t)
	return s
}

// prepare makes a service that does not run yet.
func prepare(t *testing.T, settings string) *service {
	t.Helper()
	dir := t.TempDir()
	s := &service{reload: make(chan os.Signal, 1)}
	s.config = network.Config{
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})), Reload: s.reload,
		LeaseDir: filepath.Join(dir, "leases"), ResolvFile: filepath.Join(dir, "resolv.conf"),
		StatusFile: filepath.Join(dir, "status.json"), Clock: clock{}, Built: time.Now().Add(-2000 * time.Hour),
	}
	if settings != "" {
		s.config.Settings = filepath.Join(dir, "settings.json")
		s.write(t, settings)
	}
	return s
}

func (s *service) run(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = network.Run(ctx, &s.config)
	}()
	s.stop = func() { stop(); <-done }
	t.Cleanup(s.stop)
}

func (s *service) write(t *testing.T, settings string) {
	t.Helper()
	if err := os.WriteFile(s.config.Settings, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
}

// until waits for what the status file says.
func (s *service) until(t *testing.T, what string, f func(*network.Status) bool) *network.Status {
	t.Helper()
	var last *network.Status
	netlab.Until(t, what, func() bool {
		if _, err := os.Stat(s.config.StatusFile); err != nil {
			return false
		}
		var err error
		if last, err = network.ReadStatus(s.config.StatusFile); err != nil {
			t.Fatal(err)
		}
		return f(last)
	})
	return last
}

func addresses(s *network.Status, link string, origin netcfg.Origin) []string {
	var all []string
	for _, i := range s.Network.Interfaces {
		for _, a := range i.Addresses {
			if i.Name == link && a.Origin == origin {
				all = append(all, a.Prefix.String())
			}
		}
	}
	return all
}

// TestABoxThatIsPluggedInGetsItsAddressAndItsTime has a router as offices have
// one: it gives addresses and is the time server.
func TestABoxThatIsPluggedInGetsItsAddressAndItsTime(t *testing.T) {
	router := netlab.NewPeer(t)
	router.Plug("eth0", "192.0.2.1/24")
	dir := t.TempDir()
	conf := filepath.Join(dir, "chrony.conf")
	text := fmt.Sprintf("local stratum 3\nallow all\nbindaddress 192.0.2.1\ncmdport 0\nbindcmdaddress /\npidfile %s/pid\n", dir)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	router.Start("chronyd", "-d", "-x", "-U", "-u", "root", "-f", conf)
	router.Start("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--log-facility=-", "--port=0", "--user=root", "--no-ping",
		"--interface="+netlab.Cable, "--bind-interfaces", "--pid-file=", "--no-hosts", "--no-resolv", "--dhcp-leasefile="+filepath.Join(dir, "leases"),
		"--dhcp-range=192.0.2.100,192.0.2.110,1h", "--dhcp-option=option:ntp-server,192.0.2.1", "--dhcp-option=option:dns-server,192.0.2.1")

	s := start(t, "")
	got := s.until(t, "the address and the time are known", func(s *network.Status) bool { return s.Time.Synchronised })
	// The server's clock is this machine's, with which it is compared.
	if got.Time.Source != "192.0.2.1:123" || got.Time.Origin != timesync.FromDHCP || got.Time.Offset.Abs() > time.Minute {
		t.Errorf("the time: %+v", got.Time)
	}
	if got.PID != os.Getpid() || len(addresses(got, "eth0", netcfg.FromDHCP)) != 1 {
		t.Errorf("the state: %+v", got)
	}
	netlab.Until(t, "the name server is written", func() bool {
		text, err := os.ReadFile(s.config.ResolvFile)
		return err == nil && strings.Contains(string(text), "nameserver 192.0.2.1\n")
	})
	var whole map[string]any
	file, err := os.ReadFile(s.config.StatusFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(file, &whole); err != nil {
		t.Error(err)
	}
}

func TestSettingsAreReadAgainWhenAskedFor(t *testing.T) {
	netlab.NewPeer(t).Plug("eth0")
	static := func(a string) string {
		return `{"version":1,"interfaces":[{"name":"eth0","ipv4":{"method":"static","addresses":["` + a + `"]}}]}`
	}
	has := func(a string) func(*network.Status) bool {
		return func(s *network.Status) bool {
			return slices.Equal(addresses(s, "eth0", netcfg.FromSettings), []string{a})
		}
	}
	s := start(t, static("192.0.2.2/24"))
	s.until(t, "the first address is there", has("192.0.2.2/24"))
	s.write(t, static("192.0.2.3/24"))
	s.reload <- syscall.SIGHUP
	s.until(t, "the second address is there", has("192.0.2.3/24"))
}

func TestBadSettingsAreToldAndTheDefaultHolds(t *testing.T) {
	netlab.NewPeer(t).Plug("eth0")
	s := start(t, `{"version":1,"interfaces":[{"name":"eth0","colour":"blue"}]}`)
	s.until(t, "the mistake is told and the interface is up", func(s *network.Status) bool {
		told := slices.ContainsFunc(s.Network.Problems, func(p string) bool { return strings.Contains(p, "colour") })
		return told && slices.ContainsFunc(s.Network.Interfaces, func(i netcfg.Interface) bool { return i.Name == "eth0" && i.Managed && i.Up })
	})
}

func TestWithoutAServiceTheKernelIsAsked(t *testing.T) {
	name := filepath.Join(t.TempDir(), "status.json")
	// One is left behind by a service that ended.
	for _, text := range []string{"", `{"pid":2147483647,"network":{"dns":["192.0.2.1"]}}`} {
		if text != "" {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, err := network.ReadStatus(name)
		if err != nil {
			t.Fatal(err)
		}
		if s.PID != 0 || len(s.Network.DNS) > 0 || len(addresses(s, "lo", netcfg.FromKernel)) == 0 {
			t.Errorf("ReadStatus = %+v", s)
		}
	}
	if err := os.WriteFile(name, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := network.ReadStatus(name); err == nil {
		t.Errorf("half a file is read as %+v", s)
	}
}
