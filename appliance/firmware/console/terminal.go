package console

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Open opens the terminals that the kernel uses as consoles.
func Open() ([]*os.File, error) {
	text, err := os.ReadFile("/sys/class/tty/console/active")
	if err != nil {
		return nil, fmt.Errorf("find the consoles: %w", err)
	}
	var all []*os.File
	for _, name := range strings.Fields(string(text)) {
		// A declared console whose hardware is missing cannot be opened.
		f, err := os.OpenFile(filepath.Join("/dev", filepath.Base(name)), os.O_RDWR|unix.O_NOCTTY, 0)
		if err == nil {
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("none of the consoles %q can be opened", strings.TrimSpace(string(text)))
	}

	return all, nil
}
