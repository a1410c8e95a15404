package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"pillarbox/appliance/control"
	"pillarbox/appliance/setup"
)

// setupCommand tells how mail programs connect.
type setupCommand struct {
	Show       setupShowCommand       `cmd:"" help:"Tell how mail programs connect."`
	Sheet      setupSheetCommand      `cmd:"" help:"Write a page for a person, to be printed: how to connect each kind of device."`
	Profile    setupProfileCommand    `cmd:"" help:"Write a profile that sets up a person's iPhone, iPad or Mac."`
	Records    setupRecordsCommand    `cmd:"" help:"Show what a domain is to have in the DNS, so that programs set themselves up."`
	Autoconfig setupAutoconfigCommand `cmd:"" help:"Show the file by which Thunderbird sets itself up, for a web server elsewhere."`
}

type setupShowCommand struct {
	dataFlag
	jsonFlag
}

// Run tells how to connect.
func (c *setupShowCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		f, err := client.SetupFacts(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, f)
		}
		w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintf(w, "reading\t%s\n", serverWords(&f.IMAP))
		if f.Outgoing != nil {
			fmt.Fprintf(w, "sending\t%s, %s\n", serverWords(f.Outgoing), map[setup.Login]string{
				setup.SameLogin: "with the mailbox's password", setup.OwnLogin: "with a name and password of its own", setup.NoLogin: "without a sign-in",
			}[f.Outgoing.Login])
		} else {
			fmt.Fprintln(w, "sending\tby nothing that the box knows (client_setup.outgoing in the settings tells programs of a server)")
		}
		if f.Legacy != nil {
			fmt.Fprintf(w, "port %d\topen, for older devices; no program is told of it\n", f.Legacy.Port)
		}
		fmt.Fprintf(w, "sign-in\t%s\n", strings.Join(f.Mechanisms, " "))
		if f.Private {
			fmt.Fprintf(w, "trust\tthe box's own authority, SHA-256 %s\n", f.Fingerprint)
		} else {
			fmt.Fprintln(w, "trust\ta certificate that devices know")
		}
		if f.HTTP != 0 {
			fmt.Fprintf(w, "on a phone\thttp://%s%s/connect\n", f.IMAP.Host, portWords(f.HTTP, 80))
		}
		fmt.Fprintf(w, "domains\t%s\n", strings.Join(f.Domains, " "))

		return w.Flush()
	})
}

func serverWords(s *setup.Server) string {
	return fmt.Sprintf("%s port %d, %s", s.Host, s.Port, s.Security.Words())
}

func portWords(port, usual uint16) string {
	if port == usual {
		return ""
	}

	return fmt.Sprintf(":%d", port)
}

type setupSheetCommand struct {
	dataFlag

	Address string `arg:"" help:"The account's address."`
	HTML    string `name:"html" help:"Write it to this file." type:"path" placeholder:"FILE"`
}

// Help is printed below the flags.
func (c *setupSheetCommand) Help() string {
	return `The page is one file of HTML that needs nothing else: print it with any browser. No
password stands on it. Where the box's web pages are open, a QR code leads a phone to a
page with the certificate and a profile.`
}

// Run writes a page.
func (c *setupSheetCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		text, err := client.SetupSheet(ctx, c.Address)
		if err != nil {
			return err
		}

		return writeTo(e, c.HTML, text)
	})
}

type setupProfileCommand struct {
	dataFlag

	Address string `arg:"" help:"The account's address."`
	Out     string `help:"Write it to this file." type:"path" placeholder:"FILE.mobileconfig" required:""`
}

// Help is printed below the flags.
func (c *setupProfileCommand) Help() string {
	return `It holds the mail account and, where devices do not know the certificate, the box's own
authority, and is signed by the box. No password stands in it: the device asks. One
with a certificate for the device comes from pillarbox account device certificate.`
}

// Run writes a profile.
func (c *setupProfileCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		text, err := client.SetupProfile(ctx, c.Address)
		if err != nil {
			return err
		}

		return writeTo(e, c.Out, text)
	})
}

type setupRecordsCommand struct {
	dataFlag
	jsonFlag

	Domain string `arg:"" help:"The mail domain."`
}

// Help is printed below the flags.
func (c *setupRecordsCommand) Help() string {
	return `They are lines of a zone file. In an office whose box is not reached from outside they
belong into the office's own name server, which may be the router.`
}

// Run shows records.
func (c *setupRecordsCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		all, err := client.SetupRecords(ctx, c.Domain)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, all)
		}
		_, err = fmt.Fprint(e.stdout, setup.Zone(all))

		return err
	})
}

type setupAutoconfigCommand struct {
	dataFlag

	Domain string `arg:"" help:"The mail domain."`
}

// Help is printed below the flags.
func (c *setupAutoconfigCommand) Help() string {
	return `The box answers by itself where autoconfig.DOMAIN leads to it. A web server elsewhere
can have the file as http://DOMAIN/.well-known/autoconfig/mail/config-v1.1.xml.`
}

// Run shows the file.
func (c *setupAutoconfigCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		text, err := client.SetupAutoconfig(ctx, c.Domain)
		if err != nil {
			return err
		}

		return writeTo(e, "", text)
	})
}

// writeTo writes to a file, and says so, or without a name to standard output.
func writeTo(e *env, name string, text []byte) error {
	if name == "" {
		_, err := e.stdout.Write(text)
		return err
	}
	if err := os.WriteFile(name, text, 0o644); err != nil {
		return err
	}
	_, err := fmt.Fprintf(e.stdout, "wrote %s\n", filepath.Base(name))

	return err
}
