package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"pillarbox/appliance/timesync"
	"pillarbox/netcfg"
)

// StatusFile is where the firmware's service tells its state.
const StatusFile = "/run/pillarbox-network.json"

// maxStatus bounds what is read of it.
const maxStatus = 4 << 20

// Status is what the service tells.
type Status struct {
	// PID is the service's process; 0 means that none runs and all was found
	// by looking.
	PID     int           `json:"pid"`
	Since   time.Time     `json:"since,omitzero"`
	Updated time.Time     `json:"updated"`
	Network netcfg.Status `json:"network"`
	// Name is the box's by multicast DNS, as "pillarbox.local"; "" while it has
	// none.
	Name string          `json:"name,omitempty"`
	Time timesync.Status `json:"time"`
}

// ReadStatus returns what the service says, or, where none runs, what the kernel
// says.
func ReadStatus(name string) (*Status, error) {
	s, err := readFile(name)
	if err != nil {
		return nil, err
	}
	if s != nil && running(s.PID) {
		return s, nil
	}
	n, err := netcfg.Observe()
	if err != nil {
		return nil, fmt.Errorf("look at the network: %w", err)
	}

	return &Status{Updated: time.Now(), Network: n}, nil
}

func readFile(name string) (*Status, error) {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the network's state: %w", err)
	}
	defer f.Close()
	var s Status
	if err := json.NewDecoder(io.LimitReader(f, maxStatus)).Decode(&s); err != nil {
		return nil, fmt.Errorf("read the network's state: %w", err)
	}

	return &s, nil
}

func running(pid int) bool {
	_, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid)))

	return pid > 0 && err == nil
}

// write replaces the file. It lies in memory, so nothing is synced.
func (s *Status) write(name string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}

	return err
}
