package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"pillarbox/appliance/control"
	"pillarbox/appliance/health"
	"pillarbox/appliance/restart"
)

type statusCommand struct {
	dataFlag
	jsonFlag
}

// Help is printed below the flags.
func (c *statusCommand) Help() string {
	return `The exit status is 0 if the server runs and nothing is wrong that keeps mail from
working; otherwise it is 1.`
}

// statusResult is what a script reads.
type statusResult struct {
	Running bool `json:"running"`
	*control.Status
}

// Run tells how the server is.
func (c *statusCommand) Run(ctx context.Context, e *env) error {
	client, err := control.Dial(ctx, c.Data)
	if errors.Is(err, control.ErrNoServer) {
		if c.JSON {
			err = errors.Join(err, printJSON(e.stdout, statusResult{}))
		}
		return c.explainSilence(err)
	}
	if err != nil {
		return err
	}
	defer client.Close()
	s, err := client.Status(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(e.stdout, statusResult{Running: true, Status: &s})
	} else {
		err = printStatus(e.stdout, &s)
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(s.Health, func(h health.Condition) bool { return h.Severity == health.High }) {
		return errors.New("something is wrong that keeps mail from working")
	}

	return nil
}

// explainSilence tells of a server that does not run why the last one ended,
// where that is known.
func (c *statusCommand) explainSilence(err error) error {
	err = fmt.Errorf("%w %s", err, c.Data)
	last, lastErr := restart.LastCrash(c.Data)
	if lastErr != nil || last == nil {
		return err // what keeps the record from being read says nothing of the server
	}
	hint := fmt.Sprintf("One ended badly at %s: %s", last.Time.Local().Format(time.DateTime), last.Reason)
	if last.File != "" {
		hint += "\nIts last words are in " + last.File
	}

	return &hintError{hint: hint, err: err}
}

func printStatus(w io.Writer, s *control.Status) error {
	var b strings.Builder
	fmt.Fprintf(&b, "pillarbox %s on %s\n", s.Version, s.Hostname)
	fmt.Fprintf(&b, "  running      for %s, as process %d\n", duration(time.Since(s.Started)), s.PID)
	for _, l := range s.Listeners {
		fmt.Fprintf(&b, "  %-12s %s\n", l.Name, l.Address)
	}
	fmt.Fprintf(&b, "  connections  %d\n", s.Connections)
	if s.Banned > 0 {
		fmt.Fprintf(&b, "  banned       %d\n", s.Banned)
	}
	if s.Claim != "" {
		fmt.Fprintf(&b, "  claim code   %s: whoever types it on the web page becomes the administrator\n", s.Claim)
	}
	if s.Change != "" {
		fmt.Fprintf(&b, "  settings     %s\n", s.Change)
	}
	if own := s.Certificate; own != nil {
		fmt.Fprintf(&b, "  certificate  the office's own, by %s, until %s\n", own.Issuer, own.Expires.Local().Format(time.DateOnly))
		fmt.Fprintf(&b, "  fingerprint  SHA-256 %s\n", own.SHA256)
	} else {
		fmt.Fprintf(&b, "  trust        %s\n", s.CA.File)
		fmt.Fprintf(&b, "  fingerprint  SHA-256 %s\n", s.CA.SHA256)
	}
	if last := s.Restarts.LastCrash; last != nil {
		fmt.Fprintf(&b, "  last crash   %s, version %s: %s\n", last.Time.Local().Format(time.DateTime), last.Version, last.Reason)
		if last.File != "" {
			fmt.Fprintf(&b, "               last words in %s\n", last.File)
		}
	}
	if len(s.Health) == 0 {
		fmt.Fprintf(&b, "  health       all is well\n")
	}
	for _, h := range s.Health {
		fmt.Fprintf(&b, "\n%s (%s, for %s)\n  %s\n", h.Title, h.Severity, duration(time.Since(h.Since)), h.Text)
	}
	_, err := io.WriteString(w, b.String())

	return err
}

// duration writes two units at most.
func duration(d time.Duration) string {
	d = max(d, 0)
	days, hours, minutes := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60
	switch {
	case days > 0:
		return fmt.Sprintf("%s %d h", plural(days, "day"), hours)
	case hours > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%d min", minutes)
	}

	return fmt.Sprintf("%d s", int(d.Seconds()))
}
