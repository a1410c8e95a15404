package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"pillarbox/appliance/control"
	"pillarbox/appliance/doctor"
)

// passwordVariable is where the environment may hold the password.
const passwordVariable = "PILLARBOX_DOCTOR_PASSWORD"

type doctorCommand struct {
	dataFlag
	jsonFlag

	Target string `arg:"" optional:"" help:"The server, or one of its ports; without it this box." placeholder:"HOST[:PORT]"`

	Service  string   `help:"What the port speaks: imaps, imap, submissions, submission, smtp or lmtp; without it that is found out."`
	Name     string   `help:"The name that the certificate must hold, if not HOST."`
	Domain   string   `help:"The domain whose records are looked at, if not that of --user."`
	Selector []string `help:"A selector of the domain's DKIM keys; may be given several times."`

	User          string `help:"Log in as this person."`
	PasswordStdin bool   `help:"Read the password from the first line of standard input." xor:"password"`
	PasswordFile  string `help:"Read the password from the first line of a file." placeholder:"FILE" xor:"password"`
	Write         bool   `help:"Make a mailbox, put a message into it, measure how soon it is told, and remove it again."`

	Storage    bool     `help:"Of this box: read all stored mail, too."`
	CA         string   `name:"ca" help:"Trust the CA in this file (PEM), too." placeholder:"FILE"`
	DNS        string   `name:"dns" help:"Ask this name server instead of the system's." placeholder:"ADDRESS[:PORT]"`
	TimeServer []string `help:"Compare the clock of this machine with this time server; may be given several times."`
	Verbose    bool     `short:"v" help:"Tell also what was looked at, and how long it took."`
}

// Help is printed below the flags.
func (c *doctorCommand) Help() string {
	return `Nothing is changed on the server unless --write is given. The password for --user is
asked for, unless it is in ` + passwordVariable + `, in a file or on standard input.
It is sent only to a server whose certificate is right.

The exit status is 0 if all is well, 3 if there are warnings, 4 if something is broken,
and 1 if the examination itself did not work.`
}

// foundError says that an examination found something.
type foundError struct {
	worst doctor.Severity
	count int
}

func (e *foundError) Error() string {
	if e.worst == doctor.Broken {
		return "something is broken: " + plural(e.count, "finding")
	}

	return "something needs attention: " + plural(e.count, "finding")
}

func (e *foundError) status() int {
	if e.worst == doctor.Broken {
		return statusBroken
	}

	return statusWarning
}

// Run examines.
func (c *doctorCommand) Run(ctx context.Context, e *env) error {
	ask := &control.ExamineRequest{Storage: c.Storage, Request: doctor.Request{
		Service: doctor.Service(c.Service), Name: c.Name, Domain: c.Domain, Selectors: c.Selector,
		User: c.User, Write: c.Write, TimeServers: c.TimeServer,
	}}
	var err error
	if ask.Host, ask.Port, err = splitTarget(c.Target); err != nil {
		return &usageError{err: err}
	}
	if c.User != "" {
		p, err := secretFrom(e, c.PasswordStdin, c.PasswordFile, passwordVariable, "Password of "+c.User+": ")
		if err != nil {
			return err
		}
		ask.Password = doctor.Secret(p)
	}
	var report *doctor.Report
	if c.Target != "" {
		report, err = c.outside(ctx, &ask.Request)
	} else {
		if c.CA != "" || c.DNS != "" {
			return &usageError{err: errors.New("--ca and --dns are for another server than this box")}
		}
		err = c.with(ctx, e, false, func(client *control.Client) (err error) {
			report, err = client.Examine(ctx, ask)
			return err
		})
	}
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(e.stdout, report)
	} else {
		err = printFindings(e.stdout, report, c.Verbose)
	}
	if err != nil || report.Well {
		return err
	}
	count := len(slices.DeleteFunc(slices.Clone(report.Findings), func(f doctor.Finding) bool { return f.Severity == doctor.Note }))

	return &foundError{worst: report.Worst(), count: count}
}

// outside examines another server from this process: it needs no data folder.
func (c *doctorCommand) outside(ctx context.Context, r *doctor.Request) (*doctor.Report, error) {
	if err := r.Validate(); err != nil {
		return nil, &usageError{err: err}
	}
	conf := &doctor.Config{}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("read the CA: %w", err)
		}
		if conf.Roots, err = x509.SystemCertPool(); err != nil {
			conf.Roots = x509.NewCertPool()
		}
		if !conf.Roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate (PEM)", c.CA)
		}
	}
	if conf.DNS = c.DNS; c.DNS != "" {
		if _, _, err := net.SplitHostPort(c.DNS); err != nil {
			conf.DNS = net.JoinHostPort(strings.Trim(c.DNS, "[]"), "53")
		}
	}

	return doctor.New(conf).Examine(ctx, r)
}

// splitTarget reads HOST, HOST:PORT, an address, or [ADDRESS]:PORT.
func splitTarget(target string) (host string, port uint16, err error) {
	if target == "" || strings.Count(target, ":") > 1 && !strings.HasPrefix(target, "[") {
		return target, 0, nil
	}
	host, number, err := net.SplitHostPort(target)
	if err != nil {
		return strings.Trim(target, "[]"), 0, nil
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("port %q: a number from 1 to 65535 is wanted", number)
	}

	return host, uint16(n), nil
}

func printFindings(w io.Writer, r *doctor.Report, verbose bool) error {
	var b strings.Builder
	for _, f := range r.Findings {
		where := ""
		if len(f.Where) > 0 {
			where = " [" + strings.Join(f.Where, ", ") + "]"
		}
		fmt.Fprintf(&b, "%s%s: %s (%s)\n  why  %s\n  do   %s\n  see  %s\n\n", f.Severity, where, f.What, f.ID, f.Why, f.Do, f.See)
	}
	if r.Well {
		fmt.Fprintf(&b, "%s: all is well\n", r.Host)
	}
	for _, n := range r.NotChecked {
		fmt.Fprintf(&b, "not checked: %s: %s\n", n.What, n.Why)
	}
	if verbose {
		for _, what := range r.Checked {
			fmt.Fprintf(&b, "checked: %s\n", what)
		}
		for _, t := range r.Timings {
			fmt.Fprintf(&b, "%8.1f ms  %s\n", t.MS, t.What)
		}
	}
	_, err := io.WriteString(w, b.String())

	return err
}
