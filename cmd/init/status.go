package main

import (
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"pillarbox/appliance/firmware"
	"pillarbox/appliance/firmware/keeper"
)

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
	lines = append(lines, memory())
	if !s.ReadOnly {
		lines = append(lines, space())
	}
	if ends, err := keeper.Reports(endsDir); err == nil && len(ends) > 0 {
		lines = append(lines, fmt.Sprintf("Attention    the mail server ended by itself; its last words are in %s", ends[len(ends)-1]))
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

// memory tells how much of the memory is taken.
func memory() string {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return fmt.Sprintf("Memory       %v", err)
	}
	var total, available int64 // KiB
	for line := range strings.Lines(string(text)) {
		var n int64
		if _, err := fmt.Sscanf(line, "MemTotal: %d kB", &n); err == nil {
			total = n
		}
		if _, err := fmt.Sscanf(line, "MemAvailable: %d kB", &n); err == nil {
			available = n
		}
	}

	return fmt.Sprintf("Memory       %d of %d MB used", (total-available)/1024, total/1024)
}

// space tells how much of the data partition is taken.
func space() string {
	var disk unix.Statfs_t
	if err := unix.Statfs(firmware.Perm, &disk); err != nil {
		return fmt.Sprintf("Disk         %v", err)
	}
	size, free := int64(disk.Blocks)*disk.Bsize, int64(disk.Bavail)*disk.Bsize

	return fmt.Sprintf("Disk         %d of %d MB used", (size-free)/1e6, size/1e6)
}
