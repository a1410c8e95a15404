package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"pillarbox/appliance/firmware/provision"
	"pillarbox/buildroot"
	"pillarbox/images"
)

type listCommand struct{}

// Run lists the images.
func (c *listCommand) Run(e *env) error {
	all, err := buildroot.ReadDeclarations(images.Declarations())
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	for _, d := range all {
		fmt.Fprintf(w, "%s\t%s\n", d.Name, d.Summary)
	}

	return w.Flush()
}

type buildCommand struct {
	Image    string `required:"" short:"i" help:"Which image; see mkimage list." placeholder:"NAME"`
	Output   string `required:"" short:"o" help:"The file to write." type:"path" placeholder:"FILE"`
	Compress bool   `help:"Write FILE.gz beside it."`
	Source   string `help:"The folder of the sources." default:"." type:"path"`
	Cache    string `help:"A folder for what is used again." default:".cache/image" type:"path"`
	Version  string `help:"The version that the image tells. Without it that of the sources."`
	Date     string `help:"The image's time in seconds since 1970. Without it that of the sources." env:"SOURCE_DATE_EPOCH" placeholder:"SECONDS"`

	Host          string   `group:"Settings in the image's pillarbox.toml:" help:"The host name."`
	Timezone      string   `group:"Settings in the image's pillarbox.toml:" help:"The time zone, such as Europe/Berlin." placeholder:"ZONE"`
	NTP           []string `name:"ntp" group:"Settings in the image's pillarbox.toml:" help:"Servers to take the time from." placeholder:"SERVER"`
	Address       string   `group:"Settings in the image's pillarbox.toml:" help:"A static address, such as 192.168.1.10/24. Without it DHCP is asked."`
	Gateway       string   `group:"Settings in the image's pillarbox.toml:" help:"The router's address."`
	DNS           []string `name:"dns" group:"Settings in the image's pillarbox.toml:" help:"Name servers." placeholder:"ADDRESS"`
	AdminPassword string   `name:"admin-password-hash" group:"Settings in the image's pillarbox.toml:" help:"The hash of the administrator's password (argon2id)." placeholder:"HASH"`
}

// Run builds an image.
func (c *buildCommand) Run(ctx context.Context, e *env) error {
	declaration, err := c.declaration()
	if err != nil {
		return err
	}
	settings, err := c.settings()
	if err != nil {
		return err
	}
	date, err := c.date(ctx)
	if err != nil {
		return err
	}
	if c.Version == "" {
		c.Version = c.git(ctx, "unknown", "describe", "--tags", "--always", "--dirty")
	}
	start := time.Now()
	result, err := buildroot.Build(ctx, &buildroot.Config{
		Declaration: declaration,
		Source:      c.Source,
		Cache:       c.Cache,
		Version:     c.Version,
		Date:        date,
		Provision:   settings,
		Report:      func(s buildroot.Step) { fmt.Fprintln(e.stderr, stepLine(s)) },
	}, c.Output)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s: %s, boot files %s, root %s, in %.1f s\n",
		c.Output, mega(result.Size), mega(result.Boot), mega(result.Root), time.Since(start).Seconds())
	if !c.Compress {
		return nil
	}
	size, err := compress(c.Output, date)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s.gz: %s\n", c.Output, mega(size))

	return nil
}

func (c *buildCommand) declaration() (*buildroot.Declaration, error) {
	all, err := buildroot.ReadDeclarations(images.Declarations())
	if err != nil {
		return nil, err
	}
	var names []string
	for _, d := range all {
		if d.Name == c.Image {
			return d, nil
		}
		names = append(names, d.Name)
	}

	return nil, fmt.Errorf("there is no image %q, only %s", c.Image, strings.Join(names, ", "))
}

func (c *buildCommand) settings() ([]byte, error) {
	s := provision.Settings{
		Host:     c.Host,
		TimeZone: c.Timezone,
		Time:     c.NTP,
		Admin:    provision.Secret(c.AdminPassword),
		Network:  provision.Network{Address: c.Address, Gateway: c.Gateway, DNS: c.DNS},
	}
	if problems := s.Validate(); len(problems) > 0 {
		return nil, errors.New(strings.Join(problems, "; "))
	}

	return s.Text()
}

// date is the commit's, so that the same sources give the same image.
func (c *buildCommand) date(ctx context.Context) (time.Time, error) {
	text := c.Date
	if text == "" {
		text = c.git(ctx, "", "log", "-1", "--format=%ct")
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, errors.New("the sources' time is unknown; name it with --date")
	}

	return time.Unix(seconds, 0).UTC(), nil
}

// git asks git about the sources; where it does not know, otherwise is taken.
func (c *buildCommand) git(ctx context.Context, otherwise string, args ...string) string {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = c.Source
	out, err := cmd.Output()
	if err != nil {
		return otherwise
	}

	return strings.TrimSpace(string(out))
}

func stepLine(s buildroot.Step) string {
	size := ""
	if s.Size > 0 {
		size = mega(s.Size)
	}

	return fmt.Sprintf("  %-24s %10s %7.1f s", s.What, size, s.Took.Seconds())
}

func mega(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// compress writes name.gz and returns its size.
func compress(name string, at time.Time) (size int64, err error) {
	in, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	out, err := os.Create(name + ".gz")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	z := gzip.NewWriter(out)
	z.Name, z.ModTime = filepath.Base(name), at
	if _, err := io.Copy(z, in); err != nil {
		return 0, fmt.Errorf("compress %s: %w", name, err)
	}
	if err := z.Close(); err != nil {
		return 0, fmt.Errorf("compress %s: %w", name, err)
	}
	info, err := out.Stat()
	if err != nil {
		return 0, err
	}

	return info.Size(), nil
}
