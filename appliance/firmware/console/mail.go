package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	// commandTime bounds a command of the mail server, checkTime one that reads
	// all mail: 100 GB from a slow card take two hours.
	commandTime = 3 * time.Minute // a small board that is busy takes its time for a password
	checkTime   = 6 * time.Hour

	// logLines is how much of the log is shown.
	logLines = "100"

	// maxWords bounds what is shown of last words, in octets.
	maxWords = 64 << 10
)

// lastWords is where the mail server keeps the last words of a crash, in its
// data folder.
var lastWords = filepath.Join("run", "last-crash.txt")

// Mail are the actions on the mail server. They call its program, which goes
// through the server that runs.
type Mail struct {
	Program string
	Data    string   // the data folder
	Env     []string // more than the data folder
	// Restart makes the box start anew, as a factory reset wants it.
	Restart func(ctx context.Context, t *Terminal) error
}

// Actions returns the entries of the menu.
func (m *Mail) Actions() []Action {
	return []Action{
		{Title: "List the accounts", Run: m.page("account", "list")},
		{Title: "Add an account", Run: m.add},
		{Title: "Give an account a new password", Run: m.password},
		{Title: "Give the administrator a new password", Run: m.page("admin", "passwd", "--generate-password")},
		{Title: "Show the mail server's log", Run: m.page("log", "-n", logLines)},
		{Title: "Show the last words of a crash", Run: m.words},
		{Title: "Check the stored mail and mend it", Run: m.mend},
		{Title: "Factory reset", Run: m.reset},
	}
}

func (m *Mail) add(ctx context.Context, t *Terminal) error {
	address, err := t.Ask("Mail address of the new account")
	if err != nil {
		return err
	}

	return m.page("account", "add", "--generate-password", "--", address)(ctx, t)
}

func (m *Mail) password(ctx context.Context, t *Terminal) error {
	address, err := t.Ask("Mail address of the account")
	if err != nil {
		return err
	}

	return m.page("account", "passwd", "--generate-password", "--", address)(ctx, t)
}

// words shows what the mail server said when it broke down.
func (m *Mail) words(_ context.Context, t *Terminal) error {
	f, err := os.Open(filepath.Join(m.Data, lastWords))
	if errors.Is(err, os.ErrNotExist) {
		t.Printf("The mail server has not left any.\n")
		return nil
	}
	if err != nil {
		return fmt.Errorf("read last words: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxWords))
	if err != nil {
		return fmt.Errorf("read last words: %w", err)
	}

	return t.Page(lines(text))
}

// mend checks all mail, and mends it where something is found. A server that
// refuses to start because it does not know its accounts starts after that.
func (m *Mail) mend(ctx context.Context, t *Terminal) error {
	t.Printf("All mail is read. That may take long; nothing is changed.\n")
	out, found := m.within(ctx, checkTime, "check")
	if len(bytes.TrimSpace(out)) == 0 {
		return found
	}
	if err := t.Page(lines(out)); err != nil || found == nil {
		return err
	}
	t.Printf("\nWhat is lost for good will be named. The files as they are now will be kept beside the mail.\n")
	if err := t.Confirm("mend", "go on"); err != nil {
		return err
	}
	out, err := m.within(ctx, checkTime, "check", "--repair")
	if len(bytes.TrimSpace(out)) == 0 {
		return err
	}

	return t.Page(lines(out))
}

// reset makes the box as new. It is ordered here and carried out by the next
// start, so that a power cut leaves it either not begun or still ordered.
func (m *Mail) reset(ctx context.Context, t *Terminal) error {
	t.Printf(`The box can be made as new in two ways:

  keep   Accounts, passwords and mail stay. Certificates, keys, logs and settings
         are deleted and made anew: every computer and telephone has to be told
         to trust the new certificate.
  wipe   All accounts and all mail are deleted too. Nothing of it can be brought
         back from this box. On flash, what was deleted may remain readable until
         it is written over: destroy or erase a disk that is given away.

What pillarbox.toml on the boot partition says holds as before.

`)
	way, err := t.Ask("Type keep or wipe; Enter alone changes nothing")
	if err != nil {
		return err
	}
	flag := map[string]string{"keep": "--keep-mail", "wipe": "--wipe-mail"}[way]
	switch {
	case flag == "":
		return ErrNothing
	case way == "wipe":
		if err := t.Confirm("delete all mail", "go on; after that there is no way back"); err != nil {
			return err
		}
	}
	out, err := m.call(ctx, "factory-reset", flag, "--yes")
	if err != nil {
		return errors.Join(err, t.Page(lines(out)))
	}
	t.Printf("It is ordered, and done when the box starts anew, which it does now.\n")

	return m.Restart(ctx, t)
}

// page returns an action that calls the program and shows what it says.
func (m *Mail) page(args ...string) func(context.Context, *Terminal) error {
	return func(ctx context.Context, t *Terminal) error {
		out, err := m.call(ctx, args...)
		if err != nil && len(bytes.TrimSpace(out)) == 0 {
			return err
		}

		return t.Page(lines(out))
	}
}

func (m *Mail) call(ctx context.Context, args ...string) ([]byte, error) {
	return m.within(ctx, commandTime, args...)
}

func (m *Mail) within(ctx context.Context, limit time.Duration, args ...string) ([]byte, error) {
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	cmd := exec.CommandContext(ctx, m.Program, args...)
	cmd.Env = append([]string{"PILLARBOX_DATA=" + m.Data}, m.Env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return out, fmt.Errorf("the mail server's program failed: %w", err)
	}

	return out, nil
}

func lines(text []byte) []string {
	all := strings.TrimRight(string(text), "\n")
	if all == "" {
		return nil
	}

	return strings.Split(all, "\n")
}
