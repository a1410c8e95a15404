// Command keep runs a program on the appliance's firmware, starts it again when
// it ends, and keeps its last words: keep DIR PROGRAM [ARGUMENT …]
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"pillarbox/appliance/firmware/keeper"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "keep: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return errors.New("usage: keep DIR PROGRAM [ARGUMENT …]")
	}

	return keeper.Run(ctx, &keeper.Config{
		Dir:     args[0],
		Program: args[1],
		Args:    args[2:],
		Output:  os.Stderr,
		Logger:  slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
}
