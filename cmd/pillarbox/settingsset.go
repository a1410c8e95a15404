package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"pillarbox/appliance/config"
	"pillarbox/appliance/control"
)

// settingsCommand keeps the settings. They are the network's, too, and have its
// commands.
type settingsCommand struct {
	Show    networkSettingsCommand `cmd:"" help:"Print the settings, or an earlier version."`
	Set     settingsSetCommand     `cmd:"" help:"Change some settings."`
	Edit    settingsEditCommand    `cmd:"" help:"Change the settings in an editor."`
	Plan    networkPlanCommand     `cmd:"" help:"Show what other settings would change."`
	Apply   networkApplyCommand    `cmd:"" help:"Apply other settings, to be confirmed."`
	Confirm networkConfirmCommand  `cmd:"" help:"Keep the settings that were applied."`
	Revert  networkRevertCommand   `cmd:"" help:"Take a change back that is not confirmed."`
	History networkHistoryCommand  `cmd:"" help:"List the versions of the settings."`
	Restore networkRestoreCommand  `cmd:"" help:"Apply an earlier version, to be confirmed."`
}

type settingsSetCommand struct {
	dataFlag
	jsonFlag

	Now  bool     `help:"Do not wait for the window in which changes are allowed."`
	Why  string   `help:"The reason, for the record." placeholder:"TEXT"`
	Sets []string `arg:"" name:"setting" help:"What is set, such as office.name='Lovelace & Sons'." placeholder:"PATH=VALUE"`
}

// Help is printed below the flags.
func (c *settingsSetCommand) Help() string {
	return `PATH is as "pillarbox settings show" has it, with dots. VALUE is JSON, or else a
text as it stands; with nothing behind "=" it is what is usual. What keeps nobody out
and loses nothing, such as office.name, office.domain, office.time_zone and
client_setup, holds at once; anything else is to be confirmed by "settings confirm".`
}

// Run sets them.
func (c *settingsSetCommand) Run(ctx context.Context, e *env) error {
	set := map[string]any{}
	for _, s := range c.Sets {
		path, value, ok := strings.Cut(s, "=")
		if !ok || path == "" {
			return &usageError{err: fmt.Errorf("%q is not PATH=VALUE, such as office.time_zone=Europe/Berlin", s)}
		}
		if err := setAt(set, path, settingOf(value)); err != nil {
			return err
		}
	}
	patch, err := json.Marshal(set)
	if err != nil {
		return fmt.Errorf("write down the settings: %w", err)
	}

	return c.with(ctx, e, false, func(client *control.Client) error {
		r, err := client.AmendSettings(ctx, &control.AmendSettings{Set: patch, Why: c.Why, Now: c.Now})
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, r)
		}
		if r.Pending != nil {
			return printPending(e.stdout, r.Pending)
		}
		_, err = fmt.Fprintf(e.stdout, "Version %d holds.\n", r.Current.Number)
		return err
	})
}

// settingOf reads a value: JSON, or a text as it stands.
func settingOf(text string) any {
	if text == "" {
		return nil
	}
	var v any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil || d.More() {
		return text
	}

	return v
}

// setAt puts a value at a path with dots.
func setAt(set map[string]any, path string, value any) error {
	first, rest, deeper := strings.Cut(path, ".")
	if !deeper {
		set[first] = value
		return nil
	}
	inner, ok := set[first].(map[string]any)
	if !ok {
		if set[first] != nil {
			return &usageError{err: fmt.Errorf("%s is set twice", first)}
		}
		inner = map[string]any{}
		set[first] = inner
	}

	return setAt(inner, rest, value)
}

type settingsEditCommand struct {
	dataFlag
	jsonFlag

	Yes bool   `help:"Do not ask."`
	Now bool   `help:"Do not wait for the window in which changes are allowed."`
	Why string `help:"The reason, for the record." placeholder:"TEXT"`
}

// Help is printed below the flags.
func (c *settingsEditCommand) Help() string {
	return `The editor is the one that VISUAL or EDITOR names, or vi. What it leaves is applied
like the file of "pillarbox settings apply", and to be confirmed.`
}

// Run edits and applies them.
func (c *settingsEditCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		s, err := client.Settings(ctx)
		if err != nil {
			return err
		}
		d, err := edited(ctx, e, &s.Current.Document)
		if err != nil {
			return err
		}
		if len(config.Diff(&s.Current.Document, d)) == 0 {
			return errNotAgreed
		}
		if !c.Yes {
			if err := showAndAsk(ctx, e, client, d); err != nil {
				return err
			}
		}
		return propose(ctx, e, client, &control.ProposeSettings{Document: d, Why: c.Why, Now: c.Now}, c.JSON)
	})
}

// edited has a person edit a document.
func edited(ctx context.Context, e *env, d *config.Document) (*config.Document, error) {
	dir, err := os.MkdirTemp("", "pillarbox-settings-")
	if err != nil {
		return nil, fmt.Errorf("make a file to edit: %w", err)
	}
	defer os.RemoveAll(dir)
	var text bytes.Buffer
	if err := printJSON(&text, d); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, "settings.json")
	if err := os.WriteFile(name, text.Bytes(), 0o600); err != nil {
		return nil, fmt.Errorf("make a file to edit: %w", err)
	}
	editor := strings.Fields("vi")
	for _, variable := range []string{"EDITOR", "VISUAL"} {
		if words := strings.Fields(os.Getenv(variable)); len(words) > 0 {
			editor = words
		}
	}
	cmd := exec.CommandContext(ctx, editor[0], append(editor[1:], name)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = e.stdin, e.stdout, e.stderr
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return nil, fmt.Errorf("%w: name your editor in EDITOR, or use \"pillarbox settings set\"", err)
		}
		return nil, fmt.Errorf("run %s: %w", editor[0], err)
	}
	changed, err := readDocument(name, e.stdin)
	if err != nil {
		return nil, fmt.Errorf("nothing was changed: %w", err)
	}

	return changed, nil
}

// printPending says what is to be done with a change that is on its way.
func printPending(w io.Writer, p *config.Pending) error {
	if p.State == config.Waiting {
		_, err := fmt.Fprintf(w, "The change waits for %s. \"pillarbox settings revert\" takes it back.\n", p.Begins.Local().Format(time.DateTime))
		return err
	}
	_, err := fmt.Fprintf(w, "Applied. Confirm it until %s (%s) by\n\n  pillarbox settings confirm\n\nor what was before holds again.\n",
		p.Ends.Local().Format(time.TimeOnly), time.Until(p.Ends).Round(time.Second))

	return err
}
