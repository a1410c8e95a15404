// Package resolv writes the resolver's configuration (resolv.conf(5)).
package resolv

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// Resolvers read no more than these.
const (
	maxServers = 3
	maxSearch  = 6
)

// Text returns the file's text.
func Text(servers []netip.Addr, search []string) []byte {
	var b bytes.Buffer
	b.WriteString("# written by pillarbox\n")
	if len(search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(search[:min(len(search), maxSearch)], " "))
	}
	for _, s := range servers[:min(len(servers), maxServers)] {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}

	return b.Bytes()
}

// Write replaces the file as a whole if it is not already so, and tells whether
// it did. A link in its place is replaced too: gokrazy leaves one there that
// leads into /proc.
func Write(name string, servers []netip.Addr, search []string) (changed bool, err error) {
	text := Text(servers, search)
	if info, err := os.Lstat(name); err == nil && info.Mode().IsRegular() {
		if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, text) {
			return false, nil
		}
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return false, fmt.Errorf("write name servers: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return false, fmt.Errorf("write name servers: %w", err)
	}

	return true, nil
}
