package appliance

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"pillarbox/appliance/access"
	"pillarbox/appliance/directory"
	"pillarbox/appliance/imap"
)

func TestASharedShortNameIsExplainedToTheLogAlone(t *testing.T) {
	var log bytes.Buffer
	c := &Config{Dir: filepath.Join(t.TempDir(), "data"), Logger: slog.New(slog.DiscardHandler)}
	o, err := openOffice(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := o.close(c.Logger); err != nil {
			t.Error(err)
		}
	}()
	for _, address := range []string{"ben@office.example", "ben@branch.example"} {
		if _, err := o.directory.Add(t.Context(), directory.NewAccount{Address: address, Password: "long enough"}); err != nil {
			t.Fatal(err)
		}
	}
	s := &signIn{dir: o.directory, throttle: access.NewThrottle(nil), bans: o.bans, log: slog.New(slog.NewTextHandler(&log, nil))}
	remote := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711}
	for _, tt := range []struct {
		login  string
		logged bool
	}{{"nobody", false}, {"ben", true}} {
		if _, err := s.Authenticate(t.Context(), tt.login, "long enough", remote); !errors.Is(err, imap.ErrCredentials) {
			t.Errorf("%s: %v", tt.login, err)
		}
		if got := strings.Contains(log.String(), "several accounts share"); got != tt.logged {
			t.Errorf("%s: logged %q", tt.login, log.String())
		}
	}
}
