package main

import (
	"context"
	"log/slog"
	"time"

	"pillarbox/appliance/firmware"
	"pillarbox/appliance/firmware/console"
)

// settleTime is how long the first screen waits for the network. Without one
// the menu is needed all the more.
const settleTime = 20 * time.Second

// serveConsoles shows the menu on each console.
func serveConsoles(ctx context.Context, log *slog.Logger, s *firmware.System) {
	terminals, err := console.Open()
	if err != nil {
		log.Error("consoles", "err", err)
		return
	}
	c := &console.Config{
		Status:  func(context.Context) []string { return status(s) },
		Actions: actions(s),
	}
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		awaitNetwork(ctx)
	}()
	for _, tty := range terminals {
		go func() {
			<-settled
			err := console.Run(ctx, c, tty)
			log.Warn("console ended", "console", tty.Name(), "err", err)
		}()
	}
}

// actions returns the menu: what a person needs who cannot reach the box by
// the network.
func actions(s *firmware.System) []console.Action {
	var all []console.Action
	if s.ReadOnly {
		all = append(all, mending(s))
	} else {
		accounts := &console.Accounts{Program: mailProgram, Data: dataDir}
		all = append(all, accounts.Actions()...)
	}

	return append(all, newSupervisor().actions()...)
}

// mending is the way out when the data partition has errors that are not
// mended without a decision.
func mending(s *firmware.System) console.Action {
	return console.Action{Title: "Mend the data partition", Run: func(ctx context.Context, t *console.Terminal) error {
		t.Printf("What is damaged beyond repair will be lost. A copy of the disk made before can be worth much.\n")
		answer, err := t.Ask("Type mend to go on")
		if err != nil {
			return err
		}
		if answer != "mend" {
			return console.ErrNothing
		}
		said, err := s.Mend(ctx)
		t.Printf("%s\n", said)
		if err == nil {
			t.Printf("The data partition is mended. Start the box anew.\n")
		}

		return err
	}}
}

// awaitNetwork waits a while for what the first screen is to show.
func awaitNetwork(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, settleTime)
	defer stop()
	for ctx.Err() == nil {
		if len(addresses()) > 0 && reachable(993) {
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
}
