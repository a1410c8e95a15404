package appliance

import (
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"pillarbox/appliance/audit"
)

// TestACertificateNeedsNoRecord: where the disk is full, its end is near enough.
func TestACertificateNeedsNoRecord(t *testing.T) {
	dir := t.TempDir()
	socket, book := filepath.Join(dir, "socket"), filepath.Join(dir, "audit")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	opened := 0
	srv := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		opened++
		_, _ = w.Write([]byte("{}"))
	})}
	defer srv.Close()
	go func() { _ = srv.Serve(ln) }()
	if err := os.WriteFile(book, nil, 0o600); err != nil { // where the folder would be
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	o := &office{conf: &Config{NetworkSocket: socket}, log: log, audit: audit.New(&audit.Config{Dir: book, Logger: log})}
	if err := o.openForCA(t.Context(), 80, true); err != nil || opened != 1 || o.audit.Health() == nil {
		t.Errorf("%v; opened %d times; the record: %v", err, opened, o.audit.Health())
	}
}
