package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"pillarbox/appliance/firmware"
	"pillarbox/appliance/firmware/console"
)

// settleTime is how long the first screen waits for the network. Without one
// the menu is needed all the more.
const settleTime = 20 * time.Second

// serveConsoles shows the menu on each console.
func serveConsoles(ctx context.Context, log *slog.Logger, s *firmware.System, above *supervisor) {
	terminals, err := console.Open()
	if err != nil {
		log.Error("consoles", "err", err)
		return
	}
	c := &console.Config{
		Status:  func(ctx context.Context) []string { return screen(ctx, s) },
		Signs:   (&signs{readOnly: s.ReadOnly}).look,
		Actions: actions(s, above),
	}
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		awaitNetwork(ctx, s)
	}()
	for _, tty := range terminals {
		go func() {
			<-settled
			err := console.Run(ctx, c, tty)
			log.Warn("console ended", "console", tty.Name(), "err", err)
		}()
	}
}

// signs tell of the box what is typed elsewhere: by what it is reached, and by
// what it is claimed.
type signs struct {
	readOnly bool
	claimed  atomic.Bool // then the mail server needs not be asked any more
}

func (s *signs) look(ctx context.Context) string {
	said := fmt.Sprint(addresses())
	if s.readOnly || s.claimed.Load() {
		return said
	}
	mail, err := askMail(ctx)
	if err != nil {
		return said + " not served"
	}
	s.claimed.Store(mail.Claim == "")

	return said + mail.Claim
}

// actions returns the menu: what a person needs who cannot reach the box by
// the network.
func actions(s *firmware.System, above *supervisor) []console.Action {
	var all []console.Action
	restart, off := endings(above)
	if s.ReadOnly {
		all = append(all, mending(s))
	} else {
		mail := &console.Mail{Program: mailProgram, Data: firmware.DataDir, Env: s.Environment(), Restart: restart.Run}
		all = append(all, mail.Actions()...)
	}

	return append(all, restart, off)
}

// mending is the way out when the data partition has errors that are not
// mended without a decision.
func mending(s *firmware.System) console.Action {
	return console.Action{Title: "Mend the data partition", Run: func(ctx context.Context, t *console.Terminal) error {
		t.Printf("What is damaged beyond repair will be lost. A copy of the disk made before can be worth much.\n")
		if err := t.Confirm("mend", "go on"); err != nil {
			return err
		}
		said, err := s.Mend(ctx)
		if err == nil {
			t.Printf("The data partition is mended. Start the box anew. This was done:\n")
		}

		return errors.Join(err, t.Page(strings.Split(said, "\n")))
	}}
}

// awaitNetwork waits a while for what the first screen is to show.
func awaitNetwork(ctx context.Context, s *firmware.System) {
	ctx, stop := context.WithTimeout(ctx, settleTime)
	defer stop()
	for ctx.Err() == nil {
		// Routers give addresses of IPv6 before DHCP one that people can type.
		if here := addresses(); len(here) > 0 && here[0].ip.To4() != nil && (s.ReadOnly || reachable(993)) {
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
}
