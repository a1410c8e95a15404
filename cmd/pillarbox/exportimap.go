package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/term"

	"pillarbox/appliance/control"
	"pillarbox/appliance/directory"
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

	PasswordStdin bool   `help:"Read the password from the first line of standard input." xor:"password"`
	PasswordFile  string `help:"Read the password from the first line of a file." placeholder:"FILE" xor:"password"`
}

// exportPassword is where the environment may hold the password.
const exportPassword = "PILLARBOX_EXPORT_PASSWORD"

// Help is printed below the flags.
func (c *exportIMAPCommand) Help() string {
	return `Mailboxes are made with the server's separator and special use; Sent, Drafts, Junk, Trash
and Archive go to those that the server has. Flags, keywords and dates go along; UIDs are
the server's own. Nothing is removed there. The password is asked for, unless it is in
` + exportPassword + `, in a file or on standard input; it is kept nowhere.
` + exportHelp
}

// Run exports.
func (c *exportIMAPCommand) Run(ctx context.Context, e *env) error {
	if c.User != "" && (c.All || len(c.Account) > 1) {
		return &usageError{err: errors.New("--user is for one account; with several, each is its own, and --admin signs in")}
	}
	server := importer.Server{
		Host: c.Host, Port: c.Port, Security: importer.Security(c.Security), Name: c.Name, Fingerprint: c.Fingerprint, Admin: c.Admin,
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
	secret, err := c.secret(e)
	if err != nil {
		return err
	}

	return c.each(ctx, e, func(client *control.Client, account string, _ bool, bar exportProgress) (*exporter.Report, error) {
		server := server
		if server.User = c.User; server.User == "" {
			server.User = account
		}
		return client.Export(ctx, &exporter.Request{
			Account: account, Kind: exporter.KindIMAP, Server: &server, Secret: string(secret), Prefix: c.Prefix,
			Mailboxes: c.Mailbox, VerifyAll: c.VerifyAll,
		}, bar.tell)
	})
}

// secret never comes from the command line, which others can see.
func (c *exportIMAPCommand) secret(e *env) (directory.Secret, error) {
	switch {
	case c.PasswordStdin:
		return readPasswordLine(e.stdin)
	case c.PasswordFile != "":
		f, err := os.Open(c.PasswordFile)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		defer f.Close()
		p, err := readPasswordLine(f)
		if err != nil {
			return "", fmt.Errorf("%s holds no password on its first line: %w", c.PasswordFile, err)
		}
		return p, nil
	}
	if p := os.Getenv(exportPassword); p != "" {
		return directory.Secret(p), nil
	}
	tty := terminal(e.stdin)
	if tty == nil {
		return "", &usageError{err: errors.New("there is no terminal to ask for a password; use --password-stdin, --password-file or " + exportPassword)}
	}
	fmt.Fprintf(e.stderr, "Password at %s: ", c.Host)
	text, err := term.ReadPassword(int(tty.Fd()))
	fmt.Fprintln(e.stderr)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}

	return directory.Secret(text), nil
}
