package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"

	"pillarbox/appliance/control"
	"pillarbox/appliance/directory"
)

type accountCommand struct {
	Add    accountAddCommand    `cmd:"" help:"Make an account."`
	List   accountListCommand   `cmd:"" help:"List the accounts and what they use."`
	Passwd accountPasswdCommand `cmd:"" help:"Change an account's password."`
	Remove accountRemoveCommand `cmd:"" help:"Delete an account with all its mail."`
	Device deviceCommand        `cmd:"" help:"Passwords for single devices, which can be revoked one by one."`

	Name      accountNameCommand      `cmd:"" help:"Change how a person is called."`
	Quota     accountQuotaCommand     `cmd:"" help:"Change how much mail an account may hold."`
	Suspend   accountSuspendCommand   `cmd:"" help:"Keep everybody from signing in to an account; mail still comes in."`
	Unsuspend accountUnsuspendCommand `cmd:"" help:"Let a suspended person sign in again."`

	Web         accountWebCommand         `cmd:"" help:"Show a person's role, second factor, passkeys and sessions on the web page."`
	Role        accountRoleCommand        `cmd:"" help:"Say what a person may do on the web page."`
	ResetFactor accountResetFactorCommand `cmd:"" help:"Take a person's second factor and passkeys away, for instance with a lost telephone."`
	SignOut     accountSignOutCommand     `cmd:"" name:"sign-out" help:"Sign a person out of the web page everywhere."`
}

type accountAddCommand struct {
	dataFlag
	jsonFlag
	passwordFlags

	Address string `arg:"" help:"The account's mail address, such as anna@office.example."`
	Name    string `help:"The person's name."`
	Quota   size   `help:"How much mail the account may hold, such as 500M or 10G. Without it there is no limit." placeholder:"SIZE"`
}

// addedAccount is what a script reads.
type addedAccount struct {
	directory.Account

	Password string `json:"password,omitempty"` // only if it was made here
}

// Run makes an account. The data folder is made too if it is missing.
func (c *accountAddCommand) Run(ctx context.Context, e *env) error {
	password, err := c.read(e)
	if err != nil {
		return err
	}

	return c.with(ctx, e, true, func(client *control.Client) error {
		a, err := client.AddAccount(ctx, control.NewAccount{
			Address:  c.Address,
			Name:     c.Name,
			Password: string(password),
			Quota:    int64(c.Quota),
		})
		if codeOf(err) == control.CodeAddressTaken {
			return takenByAlias(ctx, client, c.Address, err)
		}
		if err != nil {
			return err
		}
		added := addedAccount{Account: a.Account}
		if c.GeneratePassword {
			added.Password = string(password)
		}
		if c.JSON {
			return printJSON(e.stdout, added)
		}
		fmt.Fprintf(e.stdout, "added %s\n", a.Address)
		if added.Password != "" {
			fmt.Fprintf(e.stdout, "password %s\n", added.Password)
		}

		return nil
	})
}

// takenByAlias gives the error a hint if an alias has the address.
func takenByAlias(ctx context.Context, client *control.Client, address string, err error) error {
	aliases, listErr := client.Aliases(ctx)
	if listErr != nil || !slices.ContainsFunc(aliases, func(a directory.Alias) bool { return sameAddress(a.Address, address) }) {
		return err
	}

	return &hintError{"It is an alias; to free it: pillarbox alias remove " + address, err}
}

// sameAddress tells whether two spellings are one address.
func sameAddress(a, b string) bool {
	x, errX := directory.ParseAddress(a)
	y, errY := directory.ParseAddress(b)

	return errX == nil && errY == nil && x == y
}

// codeOf returns the code of an answer, "" for another error or none.
func codeOf(err error) string {
	var answer *control.Error
	if !errors.As(err, &answer) {
		return ""
	}

	return answer.Code
}

type accountListCommand struct {
	dataFlag
	jsonFlag
}

// Run lists the accounts.
func (c *accountListCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		accounts, err := client.Accounts(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(e.stdout, accounts)
		}
		if len(accounts) == 0 {
			_, err := fmt.Fprintln(e.stdout, "There are no accounts yet. Make one: pillarbox account add ADDRESS")
			return err
		}
		w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ADDRESS\tNAME\tMESSAGES\tUSED\tQUOTA\tROLE")
		for _, a := range accounts {
			quota := "none"
			if a.Quota > 0 {
				quota = size(a.Quota).String()
			}
			if a.Error != "" {
				fmt.Fprintf(w, "%s\t%s\tdamaged\t-\t%s\t%s\n", a.Address, a.Name, quota, roleText(a))
				continue
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", a.Address, a.Name, a.UsedMessages, size(a.UsedBytes), quota, roleText(a))
		}

		return w.Flush()
	})
}

type accountPasswdCommand struct {
	dataFlag
	passwordFlags

	Address string `arg:"" help:"The account's address."`
}

// Run changes a password.
func (c *accountPasswdCommand) Run(ctx context.Context, e *env) error {
	password, err := c.read(e)
	if err != nil {
		return err
	}

	return c.with(ctx, e, false, func(client *control.Client) error {
		if err := client.SetPassword(ctx, c.Address, password); err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "changed the password of %s\n", c.Address)
		if c.GeneratePassword {
			fmt.Fprintf(e.stdout, "password %s\n", string(password))
		}

		return nil
	})
}

type accountRemoveCommand struct {
	dataFlag

	Address string `arg:"" help:"The account's address."`
	Yes     bool   `help:"Do not ask."`
}

// Run removes an account, after asking.
func (c *accountRemoveCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		if err := c.exists(ctx, client); err != nil {
			return err
		}
		if !c.Yes {
			if terminal(e.stdin) == nil {
				return &usageError{err: fmt.Errorf("this deletes all mail of %s; say --yes if that is meant", c.Address)}
			}
			fmt.Fprintf(e.stderr, "Delete %s with all its mail? Type the address to go on: ", c.Address)
			typed := bufio.NewScanner(e.stdin)
			if !typed.Scan() || typed.Text() != c.Address {
				return errors.New("nothing was deleted")
			}
		}
		if err := client.RemoveAccount(ctx, c.Address); err != nil {
			return err
		}
		_, err := fmt.Fprintf(e.stdout, "removed %s\n", c.Address)

		return err
	})
}

// exists finds a wrong address before the question is asked.
func (c *accountRemoveCommand) exists(ctx context.Context, client *control.Client) error {
	accounts, err := client.Accounts(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(accounts, func(a control.Account) bool { return sameAddress(a.Address, c.Address) }) {
		return &control.Error{Code: control.CodeNoAccount, Message: "no such account: " + c.Address}
	}

	return nil
}
