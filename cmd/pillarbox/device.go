package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"pillarbox/appliance/control"
)

type deviceCommand struct {
	Add    deviceAddCommand    `cmd:"" help:"Make a password for a device and show it, this once."`
	List   deviceListCommand   `cmd:"" help:"List an account's devices and when they were last used."`
	Revoke deviceRevokeCommand `cmd:"" help:"Take a device's password or certificate away and end its sessions."`

	Certificate deviceCertificateCommand `cmd:"" help:"Make a certificate for a device, by which it signs in without a password."`
}

type deviceAddCommand struct {
	dataFlag
	jsonFlag

	Address   string `arg:"" help:"The account's address."`
	Name      string `arg:"" help:"What the device is to be called, such as telephone."`
	NoSending bool   `help:"It may read mail, but send none."`
}

// Run makes a password for a device.
func (c *deviceAddCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		added, err := client.AddDevice(ctx, c.Address, control.NewDevice{Name: c.Name, NoSending: c.NoSending})
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, added)
		}
		_, err = fmt.Fprintf(e.stdout, "added %s to %s\npassword %s\nIt is not shown again.\n", added.Name, c.Address, added.Password)

		return err
	})
}

type deviceCertificateCommand struct {
	dataFlag
	jsonFlag

	Address   string `arg:"" help:"The account's address."`
	Name      string `arg:"" help:"What the device is to be called, such as telephone."`
	Out       string `help:"Write the key and the certificate to this file (PKCS #12)." type:"path" placeholder:"FILE.p12"`
	Profile   string `help:"Write them, and the box's CA, to this file as a profile for iPhone, iPad and Mac." type:"path" placeholder:"FILE.mobileconfig"`
	RSA       bool   `name:"rsa" help:"Make an RSA key, for a device that knows no other."`
	Legacy    bool   `help:"Write FILE.p12 so that older systems read it: Windows before 2019, Android before 14, macOS before 15."`
	NoSending bool   `help:"It may read mail, but send none."`
}

// Help is printed below the flags.
func (c *deviceCertificateCommand) Help() string {
	return `The box asks for certificates where the settings say so: sign_in.rules with "certificate":
"offered" or "required" (pillarbox network settings). The key is not kept here: make
another certificate for a device that lost it, and revoke this one.`
}

// Run makes a certificate for a device.
func (c *deviceCertificateCommand) Run(ctx context.Context, e *env) error {
	if c.Out == "" && c.Profile == "" && !c.JSON {
		return errors.New("say where to write it: --out FILE.p12, --profile FILE.mobileconfig, or both")
	}
	return c.with(ctx, e, false, func(client *control.Client) error {
		added, err := client.CertifyDevice(ctx, c.Address, control.NewCertificate{
			NewDevice: control.NewDevice{Name: c.Name, NoSending: c.NoSending}, RSA: c.RSA, Legacy: c.Legacy,
		})
		if err != nil {
			return err
		}
		for name, text := range map[string][]byte{c.Out: added.PKCS12, c.Profile: added.Profile} {
			if name == "" {
				continue
			}
			if err := os.WriteFile(name, text, 0o600); err != nil {
				_, gone := client.RevokeDevice(ctx, c.Address, added.ID)
				return errors.Join(fmt.Errorf("write the certificate: %w", err), gone)
			}
		}
		if c.JSON {
			return printJSON(e.stdout, added)
		}
		_, err = fmt.Fprintf(e.stdout, "added %s to %s, until %s\npassword %s\nIt is not shown again; the device asks for it once, when the file is installed.\n",
			added.Name, c.Address, added.Expires.Local().Format(time.DateOnly), added.Password)

		return err
	})
}

type deviceListCommand struct {
	dataFlag
	jsonFlag

	Address string `arg:"" help:"The account's address."`
}

// Run lists an account's devices.
func (c *deviceListCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		devices, err := client.Devices(ctx, c.Address)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, devices)
		}
		if len(devices) == 0 {
			_, err := fmt.Fprintf(e.stdout, "No device has a password or certificate of its own. Make one: pillarbox account device add %s NAME\n", c.Address)
			return err
		}
		w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tBY\tCREATED\tLAST USED\tFROM\tSENDING\tID")
		for _, d := range devices {
			used, from, sending, by := "never", "-", "yes", "password"
			if d.Expires != nil {
				by = "certificate until " + d.Expires.Local().Format(time.DateOnly)
			}
			if d.LastUsed != nil {
				used, from = d.LastUsed.Local().Format(time.DateTime), d.LastRemote
			}
			if d.NoSending {
				sending = "no"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", d.Name, by, d.Created.Local().Format(time.DateOnly), used, from, sending, d.ID)
		}

		return w.Flush()
	})
}

type deviceRevokeCommand struct {
	dataFlag
	jsonFlag

	Address string `arg:"" help:"The account's address."`
	Device  string `arg:"" help:"The device's name or ID."`
}

// Run revokes a device.
func (c *deviceRevokeCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		gone, err := client.RevokeDevice(ctx, c.Address, c.Device)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, gone)
		}
		_, err = fmt.Fprintf(e.stdout, "revoked %s of %s\n", gone.Name, c.Address)

		return err
	})
}
