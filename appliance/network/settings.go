package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"pillarbox/netcfg/policy"
	"pillarbox/netcfg/state"
)

// Settings is what the service makes hold.
type Settings struct {
	Network  state.Desired `json:"network"`
	Firewall policy.Policy `json:"firewall"`
}

// Validate returns all that is wrong, joined.
func (s *Settings) Validate() error {
	return errors.Join(s.Network.Validate(), s.Firewall.Validate())
}

// same compares settings by what they say.
func (s *Settings) same(other *Settings) bool {
	a, errA := json.Marshal(s)
	b, errB := json.Marshal(other)

	return errA == nil && errB == nil && string(a) == string(b)
}

// confirmedFile is the file in Config.StateDir with the settings that were
// confirmed last: from them the network starts, before there is anybody to ask.
const confirmedFile = "confirmed.json"

// confirmed is what that file holds.
type confirmed struct {
	Settings Settings `json:"settings"`
	// Provisioned is the mark of the provisioned settings that were known when
	// these were confirmed. Others are newer: somebody has put them onto the
	// disk to get back in.
	Provisioned string `json:"provisioned"`
}

// provisioned is what was put onto the boot partition.
type provisioned struct {
	desired state.Desired
	mark    string // "" means that there is nothing to get back in with
}

// ReadSettings reads a settings file; "" is the default.
func ReadSettings(name string) (state.Desired, error) {
	if name == "" {
		return state.Default(), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return state.Desired{}, fmt.Errorf("read the network's settings: %w", err)
	}
	defer f.Close()

	return state.Parse(f)
}

// readConfirmed returns nil if nothing was ever confirmed.
func readConfirmed(dir string) (*confirmed, error) {
	if dir == "" {
		return nil, nil
	}
	if left, err := filepath.Glob(filepath.Join(dir, leftover(confirmedFile))); err == nil {
		for _, name := range left {
			_ = os.Remove(name)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, confirmedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the confirmed settings: %w", err)
	}
	var c confirmed
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("read the confirmed settings: %w", err)
	}
	if err := c.Settings.Validate(); err != nil {
		return nil, fmt.Errorf("read the confirmed settings: %w", err)
	}

	return &c, nil
}

// write makes the confirmed settings durable.
func (c *confirmed) write(dir string) error {
	if dir == "" {
		return nil
	}
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := writeDurably(filepath.Join(dir, confirmedFile), append(text, '\n')); err != nil {
		return fmt.Errorf("write the confirmed settings: %w", err)
	}

	return nil
}

// writeDurably replaces a file as a whole, and returns when a power cut cannot
// bring the old one back.
func writeDurably(name string, text []byte) error {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, leftover(name))
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}

	return errors.Join(syncFolder(dir), syncFolder(filepath.Dir(dir)))
}

// leftover is the pattern of what a power cut may leave beside a file.
func leftover(name string) string { return "." + filepath.Base(name) + ".*" }

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}

	return errors.Join(d.Sync(), d.Close())
}
