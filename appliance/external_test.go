package appliance

import (
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"pillarbox/appliance/access"
	"pillarbox/appliance/directory"
)

// TestACertificateThatIsRevokedWhileItWaitsLetsNobodyIn: somebody guesses at the
// account from behind the same address, so that all have to wait.
func TestACertificateThatIsRevokedWhileItWaitsLetsNobodyIn(t *testing.T) {
	c := &Config{Dir: filepath.Join(t.TempDir(), "data"), Logger: slog.New(slog.DiscardHandler)}
	o, err := openOffice(t.Context(), c, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := o.close(c.Logger); err != nil {
			t.Error(err)
		}
	}()
	const ada = "ada@office.example"
	if _, err := o.directory.Add(t.Context(), directory.NewAccount{Address: ada, Password: "long enough"}); err != nil {
		t.Fatal(err)
	}
	f := directory.Fingerprint{1}
	device, err := o.directory.AddCertificate(t.Context(), ada, directory.NewDevice{Name: "phone"}, f, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	s := &signIn{dir: o.directory, throttle: access.NewThrottle(nil), bans: o.bans, policy: o.policy, log: c.Logger}
	remote := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711}
	for i := range 5 {
		s.throttle.Failed(remote, ada, fmt.Sprint(i))
	}
	s.throttle.Delay(remote, ada, "guess") // whose turn is first
	refused := make(chan error, 1)
	go func() {
		var name string
		_, err := s.byCertificate(t.Context(), f, remote, &name)
		refused <- err
	}()
	time.Sleep(100 * time.Millisecond)
	if _, err := o.directory.RevokeDevice(t.Context(), ada, device.ID); err != nil {
		t.Fatal(err)
	}
	if err := <-refused; err == nil {
		t.Error("let in")
	}
}
