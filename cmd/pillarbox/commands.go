package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"

	"golang.org/x/term"

	"pillarbox/appliance"
	"pillarbox/appliance/control"
)

// commands is the command line.
type commands struct {
	Serve    serveCommand    `cmd:"" help:"Serve mail until stopped."`
	Status   statusCommand   `cmd:"" help:"Tell how the server is."`
	Log      logCommand      `cmd:"" help:"Show the newest lines of the server's log."`
	Account  accountCommand  `cmd:"" help:"Keep the accounts."`
	Alias    aliasCommand    `cmd:"" aliases:"group" help:"Keep groups, and other addresses that lead to accounts."`
	Ban      banCommand      `cmd:"" help:"See and change who may not connect."`
	Cert     certCommand     `cmd:"" help:"Keep the certificate and how strict TLS is."`
	Setup    setupCommand    `cmd:"" help:"Tell mail programs, and people, how to connect."`
	Admin    adminCommand    `cmd:"" help:"Keep the administrator's password and second factor."`
	Token    tokenCommand    `cmd:"" help:"Keep the tokens by which programs use the API."`
	Deliver  deliverCommand  `cmd:"" help:"Put messages into a mailbox."`
	Export   exportCommand   `cmd:"" help:"Move accounts out: to another IMAP server, Maildir or mbox."`
	Import   importCommand   `cmd:"" help:"Move mail in from another server."`
	Check    checkCommand    `cmd:"" help:"Read all stored mail and tell what is damaged, or mend it."`
	Doctor   doctorCommand   `cmd:"" help:"Find out what is wrong with this box or any mail server, and what to do."`
	Audit    auditCommand    `cmd:"" help:"Show and verify the record of who did what."`
	Metrics  metricsCommand  `cmd:"" help:"Show what was counted, and let Prometheus read it."`
	Port     portCommand     `cmd:"" help:"Show who uses which port, and what closing one would break."`
	Plan     planCommand     `cmd:"" help:"Leave port 990, TLS 1.2 or passwords behind, step by step."`
	Network  networkCommand  `cmd:"" aliases:"net" help:"Show and change the network, the firewall and the ports."`
	Settings settingsCommand `cmd:"" help:"Show and change the settings: office, network, firewall, ports and more."`
	Firewall firewallCommand `cmd:"" help:"Show what the firewall lets in, and why."`
	Power    powerCommand    `cmd:"" help:"Start the box anew, or switch it off."`
	Support  supportCommand  `cmd:"" help:"Write a bundle for somebody who helps, without secrets and names."`
	Factory  factoryCommand  `cmd:"" name:"factory-reset" help:"Make the box as new, with or without its mail."`
	Version  versionCommand  `cmd:"" help:"Tell the version."`
}

// dataFlag is for commands that work on a data folder.
type dataFlag struct {
	Data string `help:"The data folder." placeholder:"DIR" default:"/var/lib/pillarbox" env:"PILLARBOX_DATA"`
}

// errNotFolder says that the name of a data folder is that of something else.
var errNotFolder = errors.New("is not a folder")

// checkFolder finds that there is something else where the data folder should be.
func (d *dataFlag) checkFolder() error {
	info, err := os.Stat(d.Data)
	if errors.Is(err, syscall.ENOTDIR) || err == nil && !info.IsDir() {
		return &folderError{dir: d.Data, err: errNotFolder}
	}

	return nil
}

// connect returns a client for the data folder, through the server where one runs.
func (d *dataFlag) connect(ctx context.Context, e *env, create bool) (*control.Client, func() error, error) {
	// The command itself says what it did; only what nobody expects is logged.
	log := slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: slog.LevelError}))

	return appliance.Connect(ctx, &appliance.Config{Dir: d.Data, Logger: log, Version: version}, create)
}

// with calls f with a client for the data folder.
func (d *dataFlag) with(ctx context.Context, e *env, create bool, f func(*control.Client) error) error {
	if err := d.checkFolder(); err != nil {
		return err
	}
	client, stop, err := d.connect(ctx, e, create)
	if err != nil {
		return &folderError{dir: d.Data, err: err}
	}

	return errors.Join(f(client), stop())
}

// jsonFlag is for commands whose output a script may want to read.
type jsonFlag struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}

	return nil
}

// terminal returns the file behind w or r if it is a terminal, otherwise nil.
func terminal(stream any) *os.File {
	f, ok := stream.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}

	return f
}

// plural returns "1 message" or "2 messages".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}

	return fmt.Sprintf("%d %ss", n, what)
}
