package firmware

import (
	"archive/zip"
	"errors"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"pillarbox/appliance/firmware/provision"
)

// readSettings reads the provisioning file. That there is none is not worth a
// word.
func (s *System) readSettings() {
	if s.disk == nil {
		return
	}
	text, err := s.disk.ReadBootFile(provision.File, provision.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		s.set(kindProvisioning, "It could not be read: %v. The box started without it", err)
		return
	}
	var problems []string
	s.Settings, problems = provision.Parse(text)
	for _, p := range problems {
		s.log.Warn(provision.File, "problem", p)
	}
	if len(problems) > 0 {
		s.set(kindProvisioning, "%s. The rest of it holds. Put it right on the boot partition, which any computer can read, and start the box anew",
			strings.Join(problems, "; "))
	}
	if s.Settings.Host != "" {
		if err := s.setHostName(s.Settings.Host); err != nil {
			s.note("set the host name", err)
		}
	}
	if zone := s.Settings.TimeZone; zone != "" {
		if err := unpackZone(s.path(zonesFile), zone, s.path(zoneFile)); err != nil {
			s.note("find the time zone "+zone, err)
			s.Settings.TimeZone = ""
		}
	}
	if s.Settings.Admin != "" {
		// Not by the command line, which every program can read.
		if err := os.WriteFile(s.path(AdminHashFile), []byte(string(s.Settings.Admin)+"\n"), 0o600); err != nil {
			s.note("hand the administrator's password on", err)
		}
	}
}

func (s *System) setHostName(name string) error {
	if s.conf.Root != "" {
		return nil // this machine has a name of its own
	}

	return unix.Sethostname([]byte(name))
}

// Environment returns the variables that services get.
func (s *System) Environment() []string {
	if s.Settings.TimeZone == "" {
		return nil
	}

	// Go's programs take the path of a file, too.
	return []string{"TZ=" + zoneFile}
}

// unpackZone takes a time zone out of Go's archive of all.
func unpackZone(archive, zone, name string) error {
	all, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer all.Close()
	data, err := fs.ReadFile(all, zone)
	if err != nil {
		return err
	}

	return os.WriteFile(name, data, 0o644)
}
