// Command init is the first process of the appliance's firmware: it prepares
// the device, starts gokrazy's supervisor with the mail server and its helpers,
// and serves the console.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/gokrazy/gokrazy"

	"pillarbox/appliance/firmware"
)

func main() {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := run(context.Background(), log); err != nil {
		// The kernel panics when init ends, and starts again after a while.
		log.Error("init", "err", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, log *slog.Logger) error {
	system := firmware.Prepare(ctx, &firmware.Config{Logger: log})
	if err := gokrazy.Boot(system.Built.UTC().Format("2006-01-02T15:04:05Z")); err != nil {
		return fmt.Errorf("start gokrazy: %w", err)
	}
	system.Settle()
	go system.KeepTime(ctx)
	if err := yieldConsole(); err != nil {
		return err
	}
	if err := gokrazy.SuperviseServices(services(log, system)); err != nil {
		return fmt.Errorf("supervise services: %w", err)
	}
	supervisor := newSupervisor(gokrazy.HTTPUnixSocket)
	go supervisor.serveOrders(ctx, log)
	serveConsoles(ctx, log, system, supervisor)
	select {}
}

// yieldConsole takes standard input away from gokrazy, which would start a
// shell from it.
func yieldConsole() error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return fmt.Errorf("open the null device: %w", err)
	}
	os.Stdin = null

	return nil
}
