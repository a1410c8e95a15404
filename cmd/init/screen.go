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

	"golang.org/x/sys/unix"

	"pillarbox/appliance/firmware"
	"pillarbox/appliance/firmware/console"
)

// serveConsoles shows the menu on each console.
func serveConsoles(ctx context.Context, log *slog.Logger, s *firmware.System) {
	terminals, err := console.Open()
	if err != nil {
		log.Error("consoles", "err", err)
		return
	}
	accounts := &console.Accounts{Program: mailProgram, Data: dataDir}
	c := &console.Config{
		Status: func(context.Context) []string { return status(s) },
		Actions: append(accounts.Actions(),
			console.Action{Title: "Start anew", Run: stop(unix.SIGTERM)},
			console.Action{Title: "Switch off", Run: stop(unix.SIGUSR2)},
		),
	}
	for _, tty := range terminals {
		go func() {
			err := console.Run(ctx, c, tty)
			log.Warn("console ended", "console", tty.Name(), "err", err)
		}()
	}
}

// stop asks gokrazy, in this process, to end all services and then the system.
func stop(signal unix.Signal) func(context.Context, *console.Terminal) error {
	return func(_ context.Context, t *console.Terminal) error {
		t.Printf("The services are being stopped.\n")
		if err := unix.Kill(os.Getpid(), signal); err != nil {
			return err
		}
		select {}
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

// answers tells whether something listens on a port of this machine.
func answers(port int) string {
	c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
	if err != nil {
		return fmt.Sprintf("port %d does not answer", port)
	}
	_ = c.Close()

	return fmt.Sprintf("port %d answers", port)
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
