package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"pillarbox/appliance/control"
)

type deviceCommand struct {
	Add    deviceAddCommand    `cmd:"" help:"Make a password for a device and show it, this once."`
	List   deviceListCommand   `cmd:"" help:"List an account's devices and when they were last used."`
	Revoke deviceRevokeCommand `cmd:"" help:"Take a device's password away and end its sessions."`
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
			_, err := fmt.Fprintf(e.stdout, "No device has a password of its own. Make one: pillarbox account device add %s NAME\n", c.Address)
			return err
		}
		w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tCREATED\tLAST USED\tFROM\tSENDING\tID")
		for _, d := range devices {
			used, from, sending := "never", "-", "yes"
			if d.LastUsed != nil {
				used, from = d.LastUsed.Local().Format(time.DateTime), d.LastRemote
			}
			if d.NoSending {
				sending = "no"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", d.Name, d.Created.Local().Format(time.DateOnly), used, from, sending, d.ID)
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
