package appliance

import (
	"context"
	"crypto/x509"
	"fmt"
	"path/filepath"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/exporter"
	"pillarbox/appliance/importer"
)

// openExports opens the moves of mail to elsewhere. They run where a server does.
func openExports(c *Config, o *office) (*exporter.Moves, error) {
	moves, err := exporter.OpenMoves(&exporter.MovesConfig{
		Dir:     filepath.Join(c.Dir, "exports"),
		Own:     c.Dir,
		Logger:  c.Logger.With("service", "exporter"),
		Account: o.mailOf,
		Way:     o.wayOut,
		Record:  o.recordExport,
	})
	if err != nil {
		return nil, fmt.Errorf("open the exports: %w", err)
	}

	return moves, nil
}

// wayOut reaches other servers, whose certificates may be of the box's own CA.
func (o *office) wayOut(ctx context.Context) *importer.Way {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if m, err := o.openCerts(ctx); err == nil {
		pool.AppendCertsFromPEM(m.Root())
	}

	return &importer.Way{Roots: pool}
}

// recordExport records what happens to a move out.
func (o *office) recordExport(ctx context.Context, h exporter.Happening) error {
	actor := h.By
	if actor == "" {
		actor = theBox
	}
	e := audit.Event{Actor: actor, Account: h.Account, More: map[string]string{"job": h.Move, "reason": h.Text}}
	switch h.What {
	case exporter.MoveStarted:
		e.Kind = audit.ExportStarted
	case exporter.MoveChanged:
		e.Kind = audit.ExportChanged
	case exporter.MoveEnded:
		e.Kind = audit.ExportEnded
	case exporter.MailLeaves:
		e.Kind, e.More = audit.MailExported, map[string]string{"target": h.Text}
	}

	return o.audit.Record(ctx, e)
}
