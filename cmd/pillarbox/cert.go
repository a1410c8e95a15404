package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"pillarbox/appliance/certs"
	"pillarbox/appliance/control"
)

// certCommand is about certificates and TLS.
type certCommand struct {
	Show   certShowCommand   `cmd:"" help:"Tell which certificates are in use, where they come from and what is wrong."`
	Check  certCheckCommand  `cmd:"" help:"Check a certificate's files, and change nothing."`
	Upload certUploadCommand `cmd:"" help:"Check a certificate's files and use them."`
	Use    certUseCommand    `cmd:"" help:"Choose where the certificate comes from."`
	Names  certNamesCommand  `cmd:"" help:"List the names by which mail programs connect."`
	Root   certRootCommand   `cmd:"" help:"Give the box's own CA to devices."`
	Renew  certRenewCommand  `cmd:"" help:"Renew the certificate now."`
	NewCA  certNewCACommand  `cmd:"" name:"new-ca" help:"Make a new CA of the box, which every device has to trust anew."`
}

type certShowCommand struct {
	dataFlag
	jsonFlag
}

// Run tells what is in use.
func (c *certShowCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		s, err := client.Certificate(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, s)
		}

		return printCertificates(e.stdout, &s)
	})
}

func printCertificates(w io.Writer, s *certs.State) error {
	var b strings.Builder
	switch s.Settings.Source {
	case certs.ACME:
		a := s.Settings.ACME
		fmt.Fprintf(&b, "The certificate is ordered from %s for %s, by %s.\n", a.Directory, strings.Join(a.Names, ", "), a.Challenge)
	case certs.Uploaded:
		b.WriteString("The certificate was uploaded.\n")
	default:
		b.WriteString("The certificate is of the box's own CA, or lies in server.crt.\n")
	}
	if s.Settings.Policy == certs.Modern {
		b.WriteString("TLS 1.3 alone is spoken (modern).\n")
	} else {
		b.WriteString("TLS 1.2 and 1.3 are spoken (intermediate).\n")
	}
	for _, p := range s.Presented {
		b.WriteString("\n")
		describeCertificate(&b, &p)
	}
	b.WriteString("\nThe box's own CA:\n")
	fmt.Fprintf(&b, "  subject      %s\n  until        %s\n  fingerprint  SHA-256 %s\n", s.CA.Subject, s.CA.NotAfter.Local().Format(time.DateOnly), s.CA.SHA256)
	if len(s.Constrained) > 0 {
		fmt.Fprintf(&b, "  limited to   %s, and private addresses\n", strings.Join(s.Constrained, ", "))
	} else {
		b.WriteString("  limited to   nothing: it was made before the box knew its mail domains\n")
	}
	for _, p := range s.Problems {
		fmt.Fprintf(&b, "\nWrong: %s.\n", p)
	}
	_, err := io.WriteString(w, b.String())

	return err
}

func describeCertificate(b *strings.Builder, p *certs.Summary) {
	fmt.Fprintf(b, "  names        %s\n  issuer       %s\n  valid        %s to %s\n  key          %s\n  fingerprint  SHA-256 %s\n",
		strings.Join(p.Names, ", "), p.Issuer, p.NotBefore.Local().Format(time.DateOnly), p.NotAfter.Local().Format(time.DateOnly), p.Key, p.SHA256)
	for _, issuer := range p.Chain {
		fmt.Fprintf(b, "  sent with    %s\n", issuer)
	}
}

// certFiles names what is checked or uploaded.
type certFiles struct {
	dataFlag
	jsonFlag

	Files         []string `arg:"" name:"file" help:"The certificate, its key and the CA's intermediates: PEM, or one PKCS #12 file (.p12, .pfx); in any order." type:"existingfile"`
	PasswordStdin bool     `help:"Read the password of a PKCS #12 file from the first line of standard input."`
	Fetch         bool     `help:"Fetch an intermediate that is missing from where the certificate says."`
}

type certCheckCommand struct{ certFiles }

// Run checks files.
func (c *certCheckCommand) Run(ctx context.Context, e *env) error { return c.send(ctx, e, false) }

type certUploadCommand struct{ certFiles }

// Help is printed below the flags.
func (c *certUploadCommand) Help() string {
	return `It is in use from the next connection on; nobody who is connected notices. Confirm
it by pillarbox network confirm, as any change. The one before is kept: pillarbox cert
use upload FINGERPRINT goes back to it, and pillarbox cert use private to the box's own
CA.`
}

// Run uploads files.
func (c *certUploadCommand) Run(ctx context.Context, e *env) error { return c.send(ctx, e, true) }

func (c *certFiles) send(ctx context.Context, e *env, use bool) error {
	u := control.CertificateUpload{Fetch: c.Fetch, Use: use}
	size := 0
	for _, name := range c.Files {
		f, err := readBounded(name, certs.MaxUpload-size)
		if err != nil {
			return err
		}
		size += len(f)
		u.Files = append(u.Files, f)
	}
	if c.PasswordStdin {
		p, err := readPasswordLine(e.stdin)
		if err != nil {
			return err
		}
		u.Password = certs.Secret(p)
	}

	return c.with(ctx, e, false, func(client *control.Client) error {
		r, err := client.UploadCertificate(ctx, u)
		if codeOf(err) == control.CodeCertificatePassword {
			return &hintError{"Give it by --password-stdin", err}
		}
		if err != nil {
			return err
		}

		if err := reportCertificate(e.stdout, &r, c.JSON, use); err != nil || c.JSON || !use {
			return err
		}
		return remind(ctx, e, client)
	})
}

// readBounded reads a file of at most so many octets.
func readBounded(name string, most int) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(b) > most {
		return nil, fmt.Errorf("%s is too long for a certificate", name)
	}

	return b, nil
}

// errBlocked says that a report has said why.
var errBlocked = errors.New("it cannot be used like that; nothing was changed")

// reportCertificate prints what a check found.
func reportCertificate(w io.Writer, r *certs.Report, asJSON, used bool) error {
	if asJSON {
		if err := printJSON(w, r); err != nil {
			return err
		}
	} else {
		var b strings.Builder
		if r.Certificate != nil {
			describeCertificate(&b, r.Certificate)
		}
		for _, f := range r.Findings {
			kind := "note"
			if f.Blocking {
				kind = "wrong"
			}
			fmt.Fprintf(&b, "%-5s  %s.\n", kind, f.Text)
			if f.URL != "" && f.Blocking {
				b.WriteString("       To have it fetched: --fetch\n")
			}
		}
		switch {
		case !r.OK():
		case used:
			b.WriteString("It is in use.\n")
		default:
			b.WriteString("It can be used.\n")
		}
		if _, err := io.WriteString(w, b.String()); err != nil {
			return err
		}
	}
	if !r.OK() {
		return errBlocked
	}

	return nil
}

type certNamesCommand struct {
	dataFlag
	jsonFlag
}

// Help is printed below the flags.
func (c *certNamesCommand) Help() string {
	return `A name counts when somebody signed in by it, or when it is one of the office's.`
}

// Run lists the names.
func (c *certNamesCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		s, err := client.Certificate(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, s.Names)
		}
		if len(s.Names) == 0 {
			_, err := fmt.Fprintln(e.stdout, "No mail program has named the box yet.")
			return err
		}
		w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tLAST\tSIGNED IN\tIN A CERTIFICATE")
		yes := map[bool]string{true: "yes", false: "no"}
		for _, n := range s.Names {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", n.Name, n.Last.Local().Format(time.DateTime), yes[n.SignedIn], yes[n.Covered])
		}

		return w.Flush()
	})
}

type certRenewCommand struct {
	dataFlag
	jsonFlag
}

// Run renews.
func (c *certRenewCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		s, err := client.RenewCertificate(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, s)
		}
		_, err = fmt.Fprintf(e.stdout, "renewed until %s\n", s.Presented[0].NotAfter.Local().Format(time.DateOnly))

		return err
	})
}

type certNewCACommand struct {
	dataFlag
	jsonFlag

	Yes bool `help:"Do it: every device that trusts the present CA has to be given the new one." required:""`
}

// Run makes a new CA.
func (c *certNewCACommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		s, err := client.NewCA(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, s)
		}
		_, err = fmt.Fprintf(e.stdout, "made %s\nfingerprint  SHA-256 %s\nGive it to every device: pillarbox cert root --help\n", s.CA.Subject, s.CA.SHA256)

		return err
	})
}
