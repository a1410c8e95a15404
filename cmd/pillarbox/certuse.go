package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"pillarbox/appliance/certs"
	"pillarbox/appliance/config"
	"pillarbox/appliance/control"
)

// certUseCommand chooses where the certificate comes from.
type certUseCommand struct {
	Private certUsePrivateCommand `cmd:"" help:"The box's own CA, or what lies in server.crt."`
	ACME    certUseACMECommand    `cmd:"" name:"acme" help:"A CA of the Internet, by ACME, such as Let's Encrypt."`
	Upload  certUseUploadCommand  `cmd:"" help:"A certificate that was uploaded before."`
}

// useFlags are common to all sources.
type useFlags struct {
	dataFlag
	jsonFlag

	Policy string `help:"How strict TLS is: intermediate (1.2 and 1.3) or modern (1.3). Without it as before." enum:"intermediate,modern," default:""`
	Check  bool   `help:"Only tell what would keep it from working."`
}

func (c *useFlags) use(ctx context.Context, e *env, s certs.Settings) error {
	s.Policy = certs.Policy(c.Policy)

	return c.with(ctx, e, false, func(client *control.Client) error {
		r, err := client.ChangeCertificate(ctx, control.CertificateChange{Settings: s, Check: c.Check})
		if err != nil {
			return err
		}

		if err := reportCertificate(e.stdout, &r, c.JSON, !c.Check); err != nil || c.JSON || c.Check {
			return err
		}
		return remind(ctx, e, client)
	})
}

// remind tells how a change that is applied is kept.
func remind(ctx context.Context, e *env, client *control.Client) error {
	s, err := client.Settings(ctx)
	if err != nil || s.Pending == nil || s.Pending.State != config.Applied {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "Confirm it until %s by \"pillarbox network confirm\", or what was before holds again.\n",
		s.Pending.Ends.Local().Format(time.TimeOnly))

	return err
}

type certUsePrivateCommand struct{ useFlags }

// Run chooses the private CA.
func (c *certUsePrivateCommand) Run(ctx context.Context, e *env) error {
	return c.use(ctx, e, certs.Settings{Source: certs.Private})
}

type certUseUploadCommand struct {
	useFlags

	Fingerprint string `arg:"" help:"Its SHA-256 fingerprint."`
}

// Run chooses an uploaded certificate.
func (c *certUseUploadCommand) Run(ctx context.Context, e *env) error {
	f := strings.ToLower(strings.ReplaceAll(c.Fingerprint, ":", ""))
	return c.use(ctx, e, certs.Settings{Source: certs.Uploaded, Upload: f})
}

type certUseACMECommand struct {
	useFlags

	Name       []string          `help:"A name for the certificate; may be repeated. Without any, what was set before is used again." placeholder:"NAME"`
	Directory  string            `help:"letsencrypt, letsencrypt-staging, zerossl, or the address of a CA's directory." default:"letsencrypt"`
	Challenge  string            `help:"How the CA sees that the names are yours: http-01 (it connects to port 80), tls-alpn-01 (to port 443), dns-01 (it looks into the DNS)." enum:"http-01,tls-alpn-01,dns-01" default:"http-01"`
	Contact    string            `help:"An e-mail address for the CA." placeholder:"ADDRESS"`
	Agree      bool              `help:"You agree to the CA's terms of service."`
	EABKeyID   string            `name:"eab-key-id" help:"The identifier of a key by which the CA knows you." placeholder:"ID"`
	EABKeyFile string            `name:"eab-key-file" help:"A file with that key, in base64url." type:"existingfile" placeholder:"FILE"`
	RSA        bool              `name:"rsa" help:"Order a certificate with an RSA key besides, for old mail programs."`
	DNS        string            `name:"dns" help:"Who serves the DNS zone, for dns-01." placeholder:"PROVIDER"`
	Credential map[string]string `help:"What the provider wants to know, NAME=VALUE; NAME=@FILE takes the value from a file, so that nobody sees it." placeholder:"NAME=VALUE"`
}

// Help is printed below the flags.
func (c *certUseACMECommand) Help() string {
	var b strings.Builder
	b.WriteString("It takes from seconds to minutes, and nothing changes unless the certificate is had.\n" +
		"Try it with --directory letsencrypt-staging first: Let's Encrypt counts failures. Its\n" +
		"certificates are not trusted by anybody.\n\nProviders for --dns, with their credentials:\n")
	for _, p := range certs.Providers() {
		fmt.Fprintf(&b, "  %-13s %s\n", p.Name, p.Title)
		for _, cr := range p.Credentials {
			fmt.Fprintf(&b, "  %-13s   %s: %s\n", "", cr.Name, cr.Text)
		}
	}

	return b.String()
}

// Run orders a certificate.
func (c *certUseACMECommand) Run(ctx context.Context, e *env) error {
	s := certs.Settings{Source: certs.ACME}
	if len(c.Name) == 0 {
		return c.use(ctx, e, s)
	}
	if !c.Agree {
		return &usageError{err: errors.New("the CA wants its terms of service to be agreed to: read them, then give --agree")}
	}
	s.ACME = &certs.ACMESettings{
		Directory: c.Directory, Contact: c.Contact, Agreed: c.Agree, Challenge: certs.Challenge(c.Challenge), EABKeyID: c.EABKeyID, RSA: c.RSA,
	}
	for _, name := range c.Name {
		s.ACME.Names = append(s.ACME.Names, strings.ToLower(strings.TrimSuffix(name, ".")))
	}
	if c.EABKeyFile != "" {
		key, err := readSecret(c.EABKeyFile)
		if err != nil {
			return err
		}
		s.ACME.EABKey = key
	}
	if c.DNS != "" {
		s.ACME.DNS = &certs.DNSSettings{Provider: c.DNS, Credentials: map[string]certs.Secret{}}
	}
	for name, value := range c.Credential {
		if c.DNS == "" {
			return &usageError{err: errors.New("--credential wants --dns beside it")}
		}
		secret := certs.Secret(value)
		if file, ok := strings.CutPrefix(value, "@"); ok {
			var err error
			if secret, err = readSecret(file); err != nil {
				return err
			}
		}
		s.ACME.DNS.Credentials[name] = secret
	}

	return c.use(ctx, e, s)
}

// readSecret reads a file's text without the line end.
func readSecret(name string) (certs.Secret, error) {
	b, err := readBounded(name, 8<<10)

	return certs.Secret(strings.TrimSpace(string(b))), err
}
