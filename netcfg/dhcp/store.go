package dhcp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"pillarbox/netcfg/state"
)

// maxStored bounds a stored lease.
const maxStored = 64 << 10

// Store keeps leases in a folder, one file for each interface.
type Store struct {
	Dir string // "" keeps nothing
}

func (s *Store) file(mac net.HardwareAddr) string {
	return filepath.Join(s.Dir, "lease-"+strings.ReplaceAll(mac.String(), ":", "")+".json")
}

// Load returns the lease that was kept for an interface, nil if there is none.
func (s *Store) Load(mac net.HardwareAddr) (*Lease, error) {
	if s.Dir == "" {
		return nil, nil
	}
	f, err := os.Open(s.file(mac))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the kept lease: %w", err)
	}
	defer f.Close()
	var l Lease
	if err := json.NewDecoder(io.LimitReader(f, maxStored)).Decode(&l); err != nil {
		return nil, fmt.Errorf("read the kept lease: %w", err)
	}
	// Only the address is used, to ask for it again.
	if !state.ValidHost(l.Address) || !l.Address.Addr().Is4() {
		return nil, fmt.Errorf("read the kept lease: a host cannot have the address %s", l.Address)
	}

	return &l, nil
}

// Save keeps a lease. The file is whole at every moment.
func (s *Store) Save(mac net.HardwareAddr, l *Lease) error {
	if s.Dir == "" {
		return nil
	}
	text, err := json.Marshal(l.Rebased())
	if err != nil {
		return fmt.Errorf("keep the lease: %w", err)
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return fmt.Errorf("keep the lease: %w", err)
	}
	f, err := os.CreateTemp(s.Dir, ".lease-*")
	if err != nil {
		return fmt.Errorf("keep the lease: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), s.file(mac))
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("keep the lease: %w", err)
	}

	return nil
}

// Forget removes the lease of an interface.
func (s *Store) Forget(mac net.HardwareAddr) error {
	if s.Dir == "" {
		return nil
	}
	if err := os.Remove(s.file(mac)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget the lease: %w", err)
	}

	return nil
}
