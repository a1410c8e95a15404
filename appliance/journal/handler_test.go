package journal_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	systemd "github.com/coreos/go-systemd/v22/journal"
	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/journal"
)

// entry is what the journal gets.
type entry struct {
	Message  string
	Priority systemd.Priority
	Fields   map[string]string
}

// secret hides itself in logs.
type secret string

func (secret) LogValue() slog.Value { return slog.StringValue("(hidden)") }

func TestALineKeepsItsFields(t *testing.T) {
	var got []entry
	log := slog.New(journal.New(slog.LevelInfo, func(m string, p systemd.Priority, f map[string]string) error {
		got = append(got, entry{m, p, f})
		return nil
	}))
	imap := log.With("service", "imap")
	imap.Info("logged in", "account", "anna@office.example", "uid", 7)
	log.Error("not stored", "err", errors.New("disk is full\nreally"))
	log.Warn("odd keys", "9lives", 1, "tls-version", "1.3", "message", "m", "password", secret("x"))
	imap.WithGroup("client").Info("seen", "name", "Mail", slog.Group("os", "name", "iOS"))
	log.Debug("not wanted")
	log.Info("alone")

	want := []entry{
		{"logged in service=imap account=anna@office.example uid=7", systemd.PriInfo,
			map[string]string{"SERVICE": "imap", "ACCOUNT": "anna@office.example", "UID": "7"}},
		{`not stored err="disk is full\nreally"`, systemd.PriErr, map[string]string{"ERR": "disk is full\nreally"}},
		{`odd keys 9lives=1 tls-version=1.3 message=m password=(hidden)`, systemd.PriWarning,
			map[string]string{"X9LIVES": "1", "TLS_VERSION": "1.3", "X_MESSAGE": "m", "PASSWORD": "(hidden)"}},
		{"seen service=imap client.name=Mail client.os.name=iOS", systemd.PriInfo,
			map[string]string{"SERVICE": "imap", "CLIENT_NAME": "Mail", "CLIENT_OS_NAME": "iOS"}},
		{"alone", systemd.PriInfo, map[string]string{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAJournalThatRefusesIsTold(t *testing.T) {
	gone := errors.New("gone")
	h := journal.New(slog.LevelInfo, func(string, systemd.Priority, map[string]string) error { return gone })
	if err := h.Handle(context.Background(), slog.Record{Message: "m"}); !errors.Is(err, gone) {
		t.Errorf("error %v, want %v", err, gone)
	}
}
