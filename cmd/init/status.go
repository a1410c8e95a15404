package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"pillarbox/appliance/firmware"
	"pillarbox/appliance/firmware/sockets"
	"pillarbox/appliance/health"
)

// screen tells how the box is, and by what it is reached and what its mail server
// says, nil if that does not say anything.
func screen(ctx context.Context, s *firmware.System) (lines []string, here []address, mail *mailStatus) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	lines = []string{fmt.Sprintf("Pillarbox %s on %s, %s", s.Version, host, time.Now().UTC().Format(time.DateTime+" MST"))}
	here = addresses()
	if len(here) == 0 {
		lines = append(lines, "Network      no address yet")
	}
	for _, a := range here {
		lines = append(lines, fmt.Sprintf("Network      %s on %s", a.ip, a.device))
	}
	if !s.ReadOnly {
		var mailErr error
		if mail, mailErr = askMail(ctx); mailErr != nil {
			lines = append(lines, "Mail         is not served")
			lines = append(lines, indent(mailErr.Error())...)
		} else {
			lines = append(lines, mail.lines(host, here)...)
		}
	}
	listening, err := sockets.List("/proc")
	lines = append(lines, listens(listening, err), memory())
	if !s.ReadOnly {
		lines = append(lines, space())
	}

	return append(lines, healthLines(s.Conditions(), mail)...), here, mail
}

// lines tells how mail programs connect.
func (m *mailStatus) lines(host string, here []address) []string {
	servers := []string{host}
	for _, a := range here {
		servers = append(servers, a.ip.String())
	}
	var lines []string
	if ports := m.ports(); len(ports) > 0 {
		lines = append(lines,
			"Mail         IMAP with SSL/TLS, port "+strings.Join(ports, " or "),
			"             server "+strings.Join(servers, " or "),
			"             log in by the full address and the password")
	} else {
		lines = append(lines, "Mail         the server listens on no port")
	}
	lines = append(lines, m.page(here)...)
	switch {
	case m.Certificate != nil:
		lines = append(lines, "Certificate  the office's own, by "+m.Certificate.Issuer, "             SHA-256 "+m.Certificate.SHA256)
	case m.CA.SHA256 != "":
		lines = append(lines, "Certificate  of the box's own authority, which mail programs are to trust:",
			"             SHA-256 "+m.CA.SHA256)
	}
	if c := m.Restarts.LastCrash; c != nil {
		lines = append(lines, fmt.Sprintf("Last crash   %s: %s", c.Time.UTC().Format(time.DateTime), c.Reason))
	}

	return lines
}

// page tells where the web page is, and the code by which it is claimed.
func (m *mailStatus) page(here []address) []string {
	if !slices.ContainsFunc(m.Listeners, func(l mailListener) bool { return l.Name == "http" }) {
		return nil
	}
	lines := []string{"Web page     http://pillarbox.local/"}
	if len(here) > 0 {
		host := here[0].ip.String()
		if here[0].ip.To4() == nil {
			host = "[" + host + "]"
		}
		lines[0] += " or http://" + host + "/"
	}
	if m.Claim != "" {
		lines = append(lines, "             claim code "+m.Claim+": with it you become the administrator")
	}

	return lines
}

// ports returns those for IMAP, the usual one first.
func (m *mailStatus) ports() []string {
	var ports []string
	for _, name := range []string{"imaps", "imaps-legacy"} {
		for _, l := range m.Listeners {
			_, port, err := net.SplitHostPort(l.Address)
			if err == nil && l.Name == name && !slices.Contains(ports, port) {
				ports = append(ports, port)
			}
		}
	}

	return ports
}

// listens tells what can be reached from the network.
func listens(all []sockets.Socket, err error) string {
	var words []string
	for _, s := range all {
		words = append(words, s.String())
	}
	switch {
	case err != nil:
		words = []string{err.Error()}
	case len(words) == 0:
		words = []string{"nothing"}
	}

	return "Listens      " + strings.Join(words, ", ")
}

// healthLines tells what is wrong. The mail server shows what the device
// published some seconds ago; what the device knows now takes its place.
func healthLines(device []health.Condition, mail *mailStatus) []string {
	all := slices.Clone(device)
	if mail != nil {
		for _, c := range mail.Health {
			if !firmware.Publishes(c.Name) {
				all = append(all, c)
			}
		}
	}
	if len(all) == 0 && mail != nil {
		return []string{"Health       all is well"}
	}
	var lines []string
	for _, c := range all {
		lines = append(lines, fmt.Sprintf("Attention    %s (%s)", c.Title, c.Severity))
		lines = append(lines, indent(c.Text)...)
	}

	return lines
}

// indent breaks a text into lines that fit beside the column of headings on a
// screen of 80.
func indent(text string) []string {
	const column, width = "             ", 66
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines = append(lines, column+line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}

	return append(lines, column+line)
}

// address is one by which others reach the box.
type address struct {
	ip     net.IP
	device string
}

// addresses returns the addresses by which others reach the box.
func addresses() []address {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var all []address
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
				all = append(all, address{ip, i.Name})
			}
		}
	}
	// The short ones of IPv4 first: people type them.
	slices.SortStableFunc(all, func(a, b address) int { return cmp.Compare(len(a.ip.String()), len(b.ip.String())) })

	return all
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
