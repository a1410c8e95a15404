package console

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// commandTime bounds a command of the mail server.
const commandTime = time.Minute

// Accounts are the actions on mail accounts. They call the mail server's
// program, which goes through the server that runs.
type Accounts struct {
	Program string
	Data    string // the data folder
}

// Actions returns the entries of the menu.
func (a *Accounts) Actions() []Action {
	return []Action{
		{Title: "List the accounts", Run: a.list},
		{Title: "Add an account", Run: a.add},
		{Title: "Give an account a new password", Run: a.password},
	}
}

func (a *Accounts) list(ctx context.Context, t *Terminal) error {
	return a.call(ctx, t, "account", "list")
}

func (a *Accounts) add(ctx context.Context, t *Terminal) error {
	address, err := t.Ask("Mail address of the new account")
	if err != nil {
		return err
	}

	return a.call(ctx, t, "account", "add", "--generate-password", "--", address)
}

func (a *Accounts) password(ctx context.Context, t *Terminal) error {
	address, err := t.Ask("Mail address of the account")
	if err != nil {
		return err
	}

	return a.call(ctx, t, "account", "passwd", "--generate-password", "--", address)
}

func (a *Accounts) call(ctx context.Context, t *Terminal, args ...string) error {
	ctx, stop := context.WithTimeout(ctx, commandTime)
	defer stop()
	cmd := exec.CommandContext(ctx, a.Program, args...)
	cmd.Env = []string{"PILLARBOX_DATA=" + a.Data}
	out, err := cmd.CombinedOutput()
	t.Printf("%s", out)
	if err != nil && len(strings.TrimSpace(string(out))) == 0 {
		return fmt.Errorf("the mail server's program failed: %w", err)
	}

	return nil
}
