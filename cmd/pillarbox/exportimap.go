package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"pillarbox/appliance/exporter"
	"pillarbox/appliance/importer"
)

type exportIMAPCommand struct {
	exportFlags

	Host        string `required:"" help:"The server." placeholder:"HOST"`
	Port        uint16 `help:"Its port; without it 993, or 143 with --security starttls."`
	Security    string `help:"tls, starttls or none." enum:"tls,starttls,none" default:"tls"`
	Name        string `help:"The name that its certificate must hold, if not HOST."`
	CA          string `name:"ca" help:"Trust the CA in this file (PEM), too." placeholder:"FILE"`
	Fingerprint string `help:"Trust the certificate with this SHA-256 alone."`

	User    string `help:"Sign in as this person there; without it, by the account's address."`
	Admin   string `help:"Sign in as this administrator, for the person." placeholder:"NAME"`
	AdminBy string `help:"How the server is told for whom: authzid (Cyrus, Dovecot) or master (Dovecot's user*master)." enum:"authzid,master" default:"authzid"`
	XOAUTH2 bool   `name:"xoauth2" help:"The secret is an access token."`
	Prefix  string `help:"Put everything below this mailbox there." placeholder:"NAME"`

	Connections  int  `help:"How many connections to open there at most; 4 unless said otherwise." placeholder:"N"`
	KeepPassword bool `help:"Keep the password on the box until the export ends, so that it goes on by itself after a restart."`
	Background   bool `help:"Return when it has begun; see 'export status'."`
	targetPassword
}

// targetPassword is for commands that sign in at a target.
type targetPassword struct {
	PasswordStdin bool   `help:"Read the password at the target from the first line of standard input." xor:"password"`
	PasswordFile  string `help:"Read it from the first line of a file." placeholder:"FILE" xor:"password"`
}

func (p *targetPassword) read(e *env, host string) (importer.Secret, error) {
	s, err := secretFrom(e, p.PasswordStdin, p.PasswordFile, exportPassword, "Password at "+host+": ")

	return importer.Secret(s), err
}

// exportPassword is where the environment may hold the password.
const exportPassword = "PILLARBOX_EXPORT_PASSWORD"

// Help is printed below the flags.
func (c *exportIMAPCommand) Help() string {
	return `Mailboxes are made with the server's separator and special use; Sent, Drafts, Junk, Trash
and Archive go to those that the server has. Flags, keywords and dates go along; UIDs are
the server's own. Nothing is removed there. The password is asked for, unless it is in
` + exportPassword + `, in a file or on standard input; it is kept nowhere without --keep-password.
` + exportHelp
}

// Run exports.
func (c *exportIMAPCommand) Run(ctx context.Context, e *env) error {
	if c.User != "" && (c.All || len(c.Account) > 1) {
		return &usageError{err: errors.New("--user is for one account; with several, each is its own, and --admin signs in")}
	}
	server := importer.Server{
		Host: c.Host, Port: c.Port, Security: importer.Security(c.Security), Name: c.Name, Fingerprint: c.Fingerprint, Admin: c.Admin,
		Connections: c.Connections,
	}
	if c.AdminBy == "master" {
		server.AdminBy = importer.ByMasterUser
	}
	if c.XOAUTH2 {
		server.SignIn = importer.ByXOAUTH2
	}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return fmt.Errorf("read the CA: %w", err)
		}
		server.CA = string(pem)
	}
	secret, err := c.read(e, c.Host)
	if err != nil {
		return err
	}
	n := &exporter.NewMove{
		To: exporter.Request{
			Kind: exporter.KindIMAP, Server: &server, Prefix: c.Prefix, Mailboxes: c.Mailbox, VerifyAll: c.VerifyAll,
		},
		Secret: secret, KeepSecrets: c.KeepPassword,
	}

	return c.onBox(ctx, e, n, c.User, c.Background)
}
