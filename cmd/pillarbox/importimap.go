package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"pillarbox/appliance/control"
	"pillarbox/appliance/importer"
)

type importIMAPCommand struct {
	dataFlag
	jsonFlag
	sourcePassword

	Server string `arg:"" help:"Where the mail is; port 993 unless said otherwise." placeholder:"HOST[:PORT]"`

	User    string `help:"Whose mail: the user's name at the source." placeholder:"NAME" xor:"who"`
	Account string `help:"The account here, if its address is not that name." placeholder:"ADDRESS"`
	People  string `help:"A list of several people, see below." placeholder:"FILE" xor:"who"`

	Admin       string `help:"Sign in as this administrator for everybody: Cyrus, and Dovecot." placeholder:"NAME"`
	MasterUser  bool   `help:"Dovecot's way: USER*ADMIN is the name that signs in."`
	StartTLS    bool   `name:"starttls" help:"Encrypt by STARTTLS; usual on port 143." xor:"security"`
	Unencrypted bool   `help:"Do not encrypt: everybody on the way can read the password and the mail." xor:"security"`
	Fingerprint string `help:"Trust the certificate with this SHA-256 fingerprint, and no other." placeholder:"HEX"`
	CA          string `name:"ca" help:"Trust the CA in this file (PEM), too." placeholder:"FILE"`
	Name        string `help:"The name that the certificate must hold, if not HOST." placeholder:"NAME"`

	oauthFlags

	KeepUIDs bool     `name:"keep-uids" help:"Number messages as the source does, so that mail programs need not fetch them again. Let nobody deliver to the accounts before the cut-over."`
	Expunge  bool     `help:"Remove here what was expunged at the source."`
	Shared   bool     `help:"Take also what others share with the people."`
	Retry    bool     `help:"Try quarantined messages again."`
	Only     []string `sep:"none" help:"Take only this mailbox with those below it; * stands for anything in a level. May be given several times." placeholder:"PATTERN"`
	Except   []string `sep:"none" help:"Leave this mailbox out." placeholder:"PATTERN"`
	Into     string   `help:"Put everything below this mailbox." placeholder:"MAILBOX"`

	Rate        size    `help:"Fetch at most so much a second, such as 2M." placeholder:"SIZE"`
	Messages    float64 `help:"Fetch at most so many messages a second." placeholder:"N"`
	Connections int     `help:"At most so many connections for each person; 4 unless said otherwise." placeholder:"N"`
	Together    int     `help:"Move so many people's mail at the same time; 2 unless said otherwise." placeholder:"N"`

	DryRun       bool  `name:"dry-run" help:"Only tell what would be moved, and about how long it would take."`
	Follow       bool  `help:"Go on taking what is new until 'import cut-over'."`
	Poll         int64 `help:"Look at all mailboxes every so many seconds while following; 60 unless said otherwise. INBOX is listened to." placeholder:"SECONDS"`
	KeepPassword bool  `name:"keep-password" help:"Keep the password in the data folder until the import ends, so that it goes on by itself after a restart."`
	Wait         bool  `help:"Do not return before it ends, or has caught up with --follow."`
}

// Help is printed below the flags.
func (c *importIMAPCommand) Help() string {
	return `The accounts must exist here. The running server moves the mail, several people and
connections at a time, and goes on where it was after any interruption: nothing comes
twice, and a second import takes only what is new or changed. Flags that the source sets
or removes are set or removed here; what was changed here stays. Nothing is ever changed
at the source. At the end everything is compared by number, size and hash.

A list of people has a line each: the user at the source, the address here if it is
another, and the password unless --admin signs in, with commas between them:

    user,account,password
    ada,ada@office.example,secret

Exchange Online lets an application read mailboxes that an administrator has opened to
it (IMAP.AccessAsApp):

    pillarbox import imap outlook.office365.com --people list.csv \
        --oauth-tenant office.example --oauth-client 11111111-2222-3333-4444-555555555555

The password is asked for, or read from standard input, a file or ` + importVariable + `.
A certificate that is not trusted is shown with its fingerprint, and nothing is sent.`
}

// Run begins.
func (c *importIMAPCommand) Run(ctx context.Context, e *env) error {
	n, err := c.job(e)
	if err != nil {
		return err
	}
	if w := n.From.IMAP.Warning(); w != "" {
		fmt.Fprintf(e.stderr, "warning: %s\n", w)
	}

	return c.with(ctx, e, false, func(client *control.Client) error {
		if c.DryRun {
			return c.try(ctx, e, client, n)
		}
		job, err := client.AddImport(ctx, n)
		if err == nil && c.Wait {
			job, err = followImport(ctx, client, e, job)
		}
		switch {
		case err != nil:
			return err
		case c.JSON:
			err = printJSON(e.stdout, job)
		case c.Wait:
			err = printImport(e.stdout, &job)
		default:
			fmt.Fprintf(e.stdout, "begun %s; see how far it is: pillarbox import status %s\n", job.ID, job.ID)
		}
		if err == nil && c.Wait {
			err = jobError(&job)
		}

		return err
	})
}

// jobError tells whether somebody's mail has not come as it should.
func jobError(job *importer.Job) error {
	failed := 0
	for i := range job.People {
		p := &job.People[i]
		if p.Stage == importer.StageFailed || p.Stage == importer.StageLocked || p.OK != nil && !*p.OK {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("the mail of %s has not come as it should; the reasons stand above", plural(failed, "account"))
	}

	return nil
}

func (c *importIMAPCommand) try(ctx context.Context, e *env, client *control.Client, n *importer.NewJob) error {
	reports := make([]*importer.Report, len(n.People))
	for i := range n.People {
		var err error
		if reports[i], err = client.TryImport(ctx, &control.TryImport{NewJob: *n, Person: i}); err != nil {
			return fmt.Errorf("%s: %w", n.People[i].User, err)
		}
		if c.JSON {
			continue
		}
		if err := printImportReport(e.stdout, reports[i]); err != nil {
			return err
		}
	}
	if c.JSON {
		return printJSON(e.stdout, reports)
	}

	return nil
}

// job puts the flags together.
func (c *importIMAPCommand) job(e *env) (*importer.NewJob, error) {
	s := &importer.Server{
		Fingerprint: c.Fingerprint, Name: c.Name, Admin: c.Admin, Connections: c.Connections,
	}
	n := &importer.NewJob{
		From: importer.From{IMAP: s}, Follow: c.Follow, PollSeconds: c.Poll, KeepSecrets: c.KeepPassword, Together: c.Together,
		Options: importer.Options{
			KeepUIDs: c.KeepUIDs, Expunge: c.Expunge, Shared: c.Shared, Retry: c.Retry, Only: c.Only, Except: c.Except, Into: c.Into,
			BytesPerSecond: int64(c.Rate), MessagesPerSecond: c.Messages,
		},
	}
	var err error
	if s.Host, s.Port, err = serverPort(c.Server); err != nil {
		return nil, &usageError{err: err}
	}
	switch {
	case c.StartTLS:
		s.Security = importer.STARTTLS
	case c.Unencrypted:
		s.Security = importer.Plain
	}
	if err := c.apply(n); err != nil {
		return nil, err
	}
	if c.MasterUser {
		if c.Admin == "" {
			return nil, &usageError{err: errors.New("--master-user is said of the --admin")}
		}
		s.AdminBy = importer.ByMasterUser
	}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("read the CA: %w", err)
		}
		s.CA = string(pem)
	}
	if c.People != "" {
		n.People, err = readPeople(c.People)
	} else {
		err = c.onePerson(n)
	}
	if err == nil && c.OAuthSecret != "" {
		n.Secret, err = readSecretFile(c.OAuthSecret)
	}
	if err == nil {
		err = c.secret(e, n)
	}
	if err != nil {
		return nil, err
	}
	if err := n.Validate(); err != nil {
		return nil, &usageError{err: errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))}
	}

	return n, nil
}

func (c *importIMAPCommand) onePerson(n *importer.NewJob) error {
	if c.User == "" {
		return &usageError{err: errors.New("whose mail? Give --user, or --people with a list")}
	}
	account := c.Account
	if account == "" {
		account = c.User
	}
	if !strings.Contains(account, "@") {
		return &usageError{err: fmt.Errorf("to whom does the mail of %q go? Give --account with the address here, such as --account %s@office.example", c.User, c.User)}
	}
	n.People = []importer.Login{{User: c.User, Account: account}}

	return nil
}

// secret asks for the password that the list does not have.
func (c *importIMAPCommand) secret(e *env, n *importer.NewJob) (err error) {
	switch {
	case c.Admin != "":
		n.Secret, err = c.read(e, c.Admin)
	case c.byApplication():
		n.Secret, err = c.read(e, "the application")
	case c.People == "":
		n.People[0].Secret, err = c.read(e, c.User)
	}

	return err
}
