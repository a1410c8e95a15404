package appliance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/directory"
	"pillarbox/appliance/health"
)

// maxHash bounds the file with the hash of the administrator's password, in
// octets.
const maxHash = 1024

// takeAdminHash takes the administrator's first password from the file that
// the firmware wrote. One that cannot be used keeps no mail from being served.
func (a *Appliance) takeAdminHash(ctx context.Context) {
	if a.conf.AdminHash == "" {
		return
	}
	hash, err := readHash(a.conf.AdminHash)
	if err == nil && hash != "" {
		var taken bool
		if taken, err = a.office.directory.InitAdmin(ctx, hash); taken {
			a.log.InfoContext(ctx, "the administrator's password is the one that was provided")
			a.record(ctx, audit.Event{Kind: audit.AdminPassword, Actor: "the provisioning file"})
		}
	}
	if err == nil {
		return
	}
	text := fmt.Sprintf("What was provided cannot be taken (%v). Set another: pillarbox admin passwd", err)
	a.health.Set(&health.Kind{
		Name: "admin-password", Title: "The administrator's password is not set", Severity: health.Low,
	}, text)
}

// readHash returns what the file holds, "" if there is no file.
func readHash(name string) (directory.Secret, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxHash))

	return directory.Secret(strings.TrimSpace(string(text))), err
}
