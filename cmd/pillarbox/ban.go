package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"pillarbox/appliance/access"
	"pillarbox/appliance/control"
)

// banCommand is about who may not connect.
type banCommand struct {
	List     banListCommand     `cmd:"" help:"List who is banned."`
	Add      banAddCommand      `cmd:"" help:"Ban an address or a network."`
	Lift     banLiftCommand     `cmd:"" help:"End a ban, and forget that it was."`
	Allow    banAllowCommand    `cmd:"" help:"Never ban an address or a network."`
	Disallow banDisallowCommand `cmd:"" help:"Take it off the allow-list."`
	Allowed  banAllowedCommand  `cmd:"" help:"List what is never banned."`
}

type banListCommand struct {
	dataFlag
	jsonFlag
}

// Help is printed below the flags.
func (c *banListCommand) Help() string {
	return `A ban with an account keeps that address from signing in to that account alone.
TIMES is how often it was banned so far: each ban is longer than the one before.`
}

// Run lists the bans.
func (c *banListCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		bans, err := client.Bans(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, bans)
		}
		if len(bans) == 0 {
			_, err := fmt.Fprintln(e.stdout, "Nobody is banned.")
			return err
		}
		w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "WHO\tACCOUNT\tSINCE\tUNTIL\tTIMES\tREFUSED\tWHY")
		for _, b := range bans {
			account := b.Account
			if account == "" {
				account = "all"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%s\n", networkName(b.Network), account,
				b.Since.Local().Format(time.DateTime), b.Until.Local().Format(time.DateTime), b.Times, b.Refused, banReason(&b))
		}

		return w.Flush()
	})
}

// banReason tells why, and what was tried.
func banReason(b *access.Ban) string {
	var text strings.Builder
	switch {
	case b.Manual && b.Reason == "":
		text.WriteString("by the administrator")
	case b.Manual:
		text.WriteString("by the administrator: " + b.Reason)
	default:
		text.WriteString(b.Reason)
	}
	if b.Attempts > 0 {
		text.WriteString(" (" + plural(b.Attempts, "attempt"))
		if len(b.Tried) > 0 {
			text.WriteString(", the last as " + strings.Join(b.Tried, ", "))
		}
		text.WriteString(")")
	}

	return text.String()
}

// networkName leaves out the length of a single address.
func networkName(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}

	return p.String()
}

type banAddCommand struct {
	dataFlag
	jsonFlag

	Network string  `arg:"" help:"An address or a network, such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32."`
	For     banTime `help:"For how long, such as 30m, 12h or 7d." placeholder:"TIME" default:"24h"`
	Reason  string  `help:"Why, for the list and the record." placeholder:"TEXT"`
	Account string  `help:"Only for signing in to this account." placeholder:"ADDRESS"`
}

// Help is printed below the flags.
func (c *banAddCommand) Help() string {
	return `Its connections are closed. An IPv6 address is banned with its /64, which
is what one customer gets.`
}

// Run bans a network.
func (c *banAddCommand) Run(ctx context.Context, e *env) error {
	if err := checkNetwork(c.Network); err != nil {
		return err
	}

	return c.with(ctx, e, false, func(client *control.Client) error {
		b, err := client.AddBan(ctx, control.NewBan{
			Network: c.Network, Account: strings.ToLower(c.Account), Reason: c.Reason, Seconds: int64(time.Duration(c.For).Seconds()),
		})
		if codeOf(err) == control.CodeSpared {
			return &hintError{"See what is never banned: pillarbox ban allowed", err}
		}
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, b)
		}
		what := networkName(b.Network)
		if b.Account != "" {
			what += " for the account " + b.Account
		}
		_, err = fmt.Fprintf(e.stdout, "banned %s until %s\n", what, b.Until.Local().Format(time.DateTime))

		return err
	})
}

type banLiftCommand struct {
	dataFlag
	jsonFlag

	Network string `arg:"" help:"The address or network."`
	Account string `help:"Only the ban for this account." placeholder:"ADDRESS"`
}

// Run ends bans.
func (c *banLiftCommand) Run(ctx context.Context, e *env) error {
	if err := checkNetwork(c.Network); err != nil {
		return err
	}

	return c.with(ctx, e, false, func(client *control.Client) error {
		lifted, err := client.LiftBan(ctx, c.Network, strings.ToLower(c.Account))
		if codeOf(err) == control.CodeNotBanned {
			return &hintError{"Nothing was changed. See who is: pillarbox ban list", err}
		}
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, lifted)
		}
		for _, b := range lifted {
			what := networkName(b.Network)
			if b.Account != "" {
				what += " for the account " + b.Account
			}
			if _, err := fmt.Fprintf(e.stdout, "lifted the ban of %s\n", what); err != nil {
				return err
			}
		}

		return nil
	})
}

// checkNetwork finds a wrong network before anything is opened.
func checkNetwork(s string) error {
	if _, err := access.ParseNetwork(s); err != nil {
		return &usageError{err: err}
	}

	return nil
}

// errBanTime says that a text is not a time.
var errBanTime = errors.New("wants a time such as 30m, 12h or 7d")

// banTime is a duration that also knows days.
type banTime time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *banTime) UnmarshalText(text []byte) error {
	s := string(text)
	parsed, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 12)
		parsed = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || parsed < time.Second {
		return errBanTime
	}
	*d = banTime(parsed)

	return nil
}
