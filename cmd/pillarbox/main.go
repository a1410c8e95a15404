// Command pillarbox is the whole mail appliance: the server, and the commands
// by which its accounts are kept and mail is brought in.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // the firmware has no time zones of its own

	"github.com/alecthomas/kong"

	"pillarbox/appliance/health"
)

// version is set by the linker.
var version = "development"

// env is the world a command sees.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], &env{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "pillarbox: "+explain(err))
		os.Exit(exitStatus(err))
	}
}

// run parses args and runs the command they name.
func run(ctx context.Context, args []string, e *env) error {
	if len(args) == 0 {
		args = []string{"--help"}
	}
	helped := false
	parser, err := kong.New(&commands{},
		kong.Name("pillarbox"),
		kong.Description("A mail box for an office: IMAP over TLS on ports 993 and 990, in one program."),
		kong.Writers(e.stdout, e.stderr),
		kong.Exit(func(int) { helped = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(e),
	)
	if err != nil {
		return fmt.Errorf("describe the command line: %w", err)
	}
	command, err := parser.Parse(args)
	if helped {
		return nil
	}
	if err != nil {
		usage := &usageError{err: err}
		if parse := (*kong.ParseError)(nil); errors.As(err, &parse) {
			usage.command = commandName(parse.Context)
		}
		return usage
	}
	err = command.Run()
	if usage := (*usageError)(nil); errors.As(err, &usage) {
		usage.command = commandName(command)
	}

	return err
}

// commandName returns how the help of the command that was named is called up.
func commandName(c *kong.Context) string {
	name := c.Model.Name
	for _, p := range c.Path {
		if p.Command != nil {
			name += " " + p.Command.Name
		}
	}

	return name
}

const (
	// statusSick is what a server ends with that is to be started again. It is
	// neither 0 nor 125, after which gokrazy would leave it.
	statusSick = 70

	// statusUsage tells that the command line is wrong, by the number that
	// sysexits(3) has for it. Not 2: with that the Go runtime ends a program
	// that breaks down, and supervisors must be able to tell the two apart.
	statusUsage = 64

	// What doctor ends with, for monitoring.
	statusWarning = 3
	statusBroken  = 4
)

func exitStatus(err error) int {
	var found *foundError
	switch {
	case errors.As(err, &found):
		return found.status()
	case errors.As(err, new(*usageError)):
		return statusUsage
	case errors.As(err, new(*health.SickError)):
		return statusSick
	}

	return 1
}
