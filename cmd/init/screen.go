package main

import (
	"context"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
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

// status tells how the box is.
func status(s *firmware.System) []string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	lines := []string{fmt.Sprintf("Pillarbox %s on %s, %s", s.Version, host, time.Now().UTC().Format(time.DateTime+" MST"))}
	addresses := addresses()
	if len(addresses) == 0 {
		lines = append(lines, "Network      no address yet")
	}
	for _, a := range addresses {
		lines = append(lines, "Network      "+a)
	}
	lines = append(lines, "IMAP         "+answers(993)+", "+answers(990))
	if print, err := fingerprint(filepath.Join(dataDir, "certs", "ca.crt")); err == nil {
		lines = append(lines, "Certificate  "+print)
	}
	for _, note := range s.Notes {
		lines = append(lines, "Attention    "+note)
	}

	return lines
}

// addresses returns the addresses by which others reach the box.
func addresses() []string {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var all []string
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		list, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range list {
			if ip, _, err := net.ParseCIDR(a.String()); err == nil && ip.IsGlobalUnicast() {
				all = append(all, fmt.Sprintf("%s on %s", ip, i.Name))
			}
		}
	}

	return all
}

// answers tells in words whether something listens on a port.
func answers(port int) string {
	if reachable(port) {
		return fmt.Sprintf("port %d answers", port)
	}

	return fmt.Sprintf("port %d does not answer", port)
}

// reachable tells whether something listens on a port of this machine.
func reachable(port int) bool {
	c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()

	return true
}

// fingerprint returns the SHA-256 of the certificate in a PEM file.
func fingerprint(name string) (string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return "", fmt.Errorf("%s holds no certificate", name)
	}
	var hex []string
	for _, b := range sha256.Sum256(block.Bytes) {
		hex = append(hex, fmt.Sprintf("%02X", b))
	}

	return "SHA-256 " + strings.Join(hex, ":"), nil
}
