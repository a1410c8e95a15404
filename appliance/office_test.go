package appliance

import (
	"log/slog"
	"path/filepath"
	"testing"

	"pillarbox/appliance/access"
)

// testOffice opens an office in a folder of its own until the test ends.
func testOffice(tb testing.TB) *office {
	tb.Helper()
	c := &Config{Dir: filepath.Join(tb.TempDir(), "data"), Logger: slog.New(slog.DiscardHandler)}
	o, err := openOffice(tb.Context(), c, nil, nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := o.close(c.Logger); err != nil {
			tb.Error(err)
		}
	})

	return o
}

// testSignIn is what stands in front of an office.
func testSignIn(o *office, log *slog.Logger) *signIn {
	return &signIn{dir: o.directory, throttle: access.NewThrottle(nil), bans: o.bans, policy: o.policy, log: log}
}
