package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
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
	menu := actions(s, above)
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		awaitNetwork(ctx, s)
	}()
	for _, tty := range terminals {
		go func() {
			<-settled
			d := &display{system: s}
			err := console.Run(ctx, &console.Config{Status: d.status, Stale: d.stale, Actions: menu}, tty)
			log.Warn("console ended", "console", tty.Name(), "err", err)
		}()
	}
}

// display is what a console shows of the box.
type display struct {
	system *firmware.System

	here []address   // as it was shown
	mail *mailStatus // the same; nil if it was not known
}

func (d *display) status(ctx context.Context) []string {
	lines, here, mail := screen(ctx, d.system)
	d.here, d.mail = here, mail

	return lines
}

// stale looks for what people do elsewhere, or wait for, before this screen: by
// what the box is reached, that mail is served, and that nobody needs its code
// any more. A server that is busy is no news.
func (d *display) stale(ctx context.Context) bool {
	if fmt.Sprint(addresses()) != fmt.Sprint(d.here) {
		return true
	}
	if d.system.ReadOnly || d.mail != nil && d.mail.Claim == "" {
		return false
	}
	now, err := askMail(ctx)

	return err == nil && (d.mail == nil || now.Claim != d.mail.Claim)
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
