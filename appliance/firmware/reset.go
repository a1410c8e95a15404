package firmware

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"pillarbox/appliance/factory"
)

// resetRest does the firmware's part of a factory reset that is ordered: it
// deletes what lies beside the mail server's folder. The server does its own
// part when it starts, and takes the order away when all is done; so a power
// cut in between makes the next start do both again.
func (s *System) resetRest() error {
	order, err := factory.Scheduled(s.path(DataDir))
	if err != nil {
		s.log.Error("a factory reset is not understood, and not done", "err", err)
		return nil
	}
	if order == nil {
		return nil
	}
	s.log.Warn("factory reset", "keep_mail", order.KeepMail)
	kept := []string{
		filepath.Base(DataDir),
		filepath.Base(timeFile), // no clock is to run backwards
		"random.seed",           // nor is randomness to be lost
		"lost+found",
		"var", // gokrazy made it just now
	}
	if order.KeepMail {
		kept = append(kept, filepath.Base(machineIDFile))
	}
	entries, err := os.ReadDir(s.path(Perm))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if slices.Contains(kept, e.Name()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(s.path(Perm), e.Name())); err != nil {
			return fmt.Errorf("delete settings: %w", err)
		}
	}

	return nil
}
