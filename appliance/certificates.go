package appliance

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/certs"
	"pillarbox/appliance/network"
)

// openCerts opens the certificates when they are first asked for: a server at
// its start, a command on a folder without a server only if it is about them.
func (o *office) openCerts(ctx context.Context) (*certs.Manager, error) {
	o.certsOpening.Lock()
	defer o.certsOpening.Unlock()
	if o.certs != nil {
		return o.certs, nil
	}
	m, err := certs.Open(ctx, &certs.Config{
		Dir:     filepath.Join(o.conf.Dir, "certs"),
		Logger:  o.log.With("service", "certs"),
		Names:   o.names,
		Domains: o.domains,
		Taken:   o.recordCertificate,
		Ask:     o.policy.ask,
		Known:   o.policy.knows,
		Open:    o.openForCA,
	})
	if err != nil {
		return nil, err
	}
	o.certs = m

	return m, nil
}

// proofTime bounds how long a CA takes to look.
const proofTime = 10 * time.Minute

// openForCA has the firewall let everybody in to a port, so that a CA can look,
// or not any more.
func (o *office) openForCA(ctx context.Context, port int, open bool) error {
	if o.conf.NetworkSocket == "" {
		return nil // this machine's firewall is not ours
	}
	d, what := time.Duration(0), "closed"
	if open {
		d, what = proofTime, "open to everybody"
	}
	if err := network.NewClient(o.conf.NetworkSocket).Open(ctx, uint16(port), d); err != nil {
		return err
	}

	// A failure has been logged. A full disk must not end a certificate as well.
	_ = o.audit.Record(ctx, audit.Event{Kind: audit.PortForCA, Actor: theBox, Port: port, After: what, More: map[string]string{
		"reason": "a certificate authority looks for a proof",
	}})

	return nil
}

// names returns the names and addresses that clients may know the box by.
func (o *office) names() []string {
	all := append(certs.SystemNames(), o.conf.hostname())
	all = append(all, o.conf.Names...)
	domains := o.domains()
	for _, d := range domains {
		all = append(all, "mail."+d, "imap."+d)
	}
	for _, d := range domains { // later: a certificate has room for so many
		all = append(all, "autoconfig."+d, "autodiscover."+d)
	}

	return all
}

// domains returns the mail domains, for certificates: those of accounts, and the
// office's own from its first day on.
func (o *office) domains() []string {
	all, err := o.directory.Domains(context.Background())
	if err != nil {
		o.log.Warn("domains not known to the certificate", "err", err)
	}
	if d, err := o.clients.document(); err == nil && d.Office.Domain != "" && !slices.Contains(all, d.Office.Domain) {
		all = append(all, d.Office.Domain)
	}

	return all
}

// recordCertificate is told of each certificate that is made or changed.
func (o *office) recordCertificate(t certs.Taken) {
	e := audit.Event{Kind: audit.CertificateLoaded, Actor: theBox, More: map[string]string{
		"names":       strings.Join(t.Leaf.DNSNames, " "),
		"expires":     t.Leaf.NotAfter.UTC().Format(time.RFC3339),
		"issuer":      t.Leaf.Issuer.String(),
		"fingerprint": hash(t.Leaf.Raw),
	}}
	switch {
	case t.Issued && t.Before == nil:
		e.Kind = audit.CertificateMade
	case t.Issued:
		e.Kind = audit.CertificateRenewed
	}
	if t.Before != nil {
		e.Before = hash(t.Before.Raw)
	}
	_ = o.audit.Record(context.Background(), e) // a failure has been logged
}
