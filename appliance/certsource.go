package appliance

import (
	"context"

	"pillarbox/appliance/certs"
	"pillarbox/appliance/config"
)

// certSource changes which certificate the box presents, as a part of the
// configuration. No connection is dropped by it.
type certSource struct{ certs *certs.Manager }

// Name implements config.Applier.
func (certSource) Name() string { return "certificate" }

// wanted returns the settings that a document means: what an order by ACME needs
// is not in it, and stays as it is.
func (c certSource) wanted(d *config.Document) certs.Settings {
	s := c.certs.Settings()
	s.Source, s.Upload, s.Policy = certs.Source(d.Certificate.Source), d.Certificate.Upload, certs.Policy(d.Certificate.Policy)

	return s
}

// Check implements config.Applier.
func (c certSource) Check(ctx context.Context, from, to *config.Document) (r config.Report, err error) {
	if from.Certificate == to.Certificate {
		return r, nil
	}
	found, err := c.certs.Check(ctx, c.wanted(to))
	if err != nil {
		return r, err
	}
	if !found.OK() {
		return r, &certs.ReportError{Report: found}
	}
	for _, f := range found.Findings {
		r.Notes = append(r.Notes, f.Text)
	}
	r.Steps = append(r.Steps, "present another certificate from the next connection on")

	return r, nil
}

// Try implements config.Applier.
func (c certSource) Try(ctx context.Context, t *config.Trial) ([]string, error) {
	if t.From.Certificate == t.To.Certificate {
		return nil, nil
	}

	return nil, c.use(ctx, t.To)
}

// Hold implements config.Applier.
func (c certSource) Hold(ctx context.Context, d *config.Document) error { return c.use(ctx, d) }

func (c certSource) use(ctx context.Context, d *config.Document) error {
	have, want := c.certs.Settings(), c.wanted(d)
	if same(have, want) {
		return nil
	}
	_, err := c.certs.Use(ctx, want)

	return err
}

// same compares what a document says of certificates.
func same(a, b certs.Settings) bool {
	for _, s := range []*certs.Settings{&a, &b} {
		if s.Source == "" {
			s.Source = certs.Private
		}
		if s.Policy == "" {
			s.Policy = certs.Intermediate
		}
	}

	return a.Source == b.Source && a.Upload == b.Upload && a.Policy == b.Policy
}
