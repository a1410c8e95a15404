// Command mkimage builds the disk images of the appliance and writes them to
// devices. It runs on a build host and is no part of an image.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// env is the world a command sees.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

// commands is the command line.
type commands struct {
	List  listCommand  `cmd:"" help:"List the images."`
	Build buildCommand `cmd:"" help:"Build an image."`
	Run   runCommand   `cmd:"" help:"Run an image in QEMU."`
	Flash flashCommand `cmd:"" help:"Write an image to a device, such as a card or a stick."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], &env{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr})
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "mkimage: %v\n", err)
		os.Exit(1)
	}
}

// run parses args and runs the command they name.
func run(ctx context.Context, args []string, e *env) error {
	if len(args) == 0 {
		args = []string{"--help"}
	}
	helped := false
	parser, err := kong.New(&commands{},
		kong.Name("mkimage"),
		kong.Description("Builds the disk images of Pillarbox."),
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
		return errors.Join(err, errors.New("see: mkimage --help"))
	}

	return command.Run()
}
