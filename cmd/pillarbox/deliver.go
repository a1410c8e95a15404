package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net/mail"

	"pillarbox/appliance/control"
	"pillarbox/appliance/delivery"
	"pillarbox/appliance/mailfile"
)

type deliverCommand struct {
	dataFlag
	jsonFlag

	To      string   `required:"" help:"Whose mail it is: the address of an account, or an alias." placeholder:"ADDRESS"`
	Mailbox string   `help:"The mailbox to put it into, such as Archive/2025; made if missing." default:"INBOX" placeholder:"NAME"`
	From    *string  `help:"The messages have just arrived from this sender (may be empty): add the header fields Return-Path, Delivered-To and Received, and refuse mail that goes in circles." placeholder:"ADDRESS"`
	Files   []string `arg:"" optional:"" name:"file" help:"A message (.eml), an mbox or a Maildir folder; - or none is one message on standard input."`
}

// Help is printed below the flags.
func (c *deliverCommand) Help() string {
	return `Messages come out of the mailbox with the octets that they have in the file.
Only where a file's lines end in LF alone do they end in CR LF afterwards, as mail
has it, and an mbox loses its ">" before "From ". Flags and dates are kept: a
Maildir's from its file names and times, an mbox's from Status, X-Status and the
"From " lines; a single message gets the date of its Date field.

Where a server runs on the data folder, the messages go through it. A message or
a file that cannot be delivered is named and the rest goes on; the exit status is then 1.`
}

// deliverResult is what a script reads.
type deliverResult struct {
	Delivered int       `json:"delivered"`
	Bytes     int64     `json:"bytes"`
	Failed    int       `json:"failed"`
	Failures  []failure `json:"failures"`
	Error     string    `json:"error,omitempty"` // why not all was tried
}

type failure struct {
	Message string `json:"message"`
	Reason  string `json:"reason"`
	Error   string `json:"error"`
}

// maxFailures bounds the failures listed in JSON; all are counted.
const maxFailures = 1000

// Run delivers the messages.
func (c *deliverCommand) Run(ctx context.Context, e *env) error {
	if err := c.validate(); err != nil {
		return err
	}
	sources, err := c.open(e)
	if err != nil {
		return err
	}
	defer func() {
		for _, s := range sources {
			s.close()
		}
	}()

	return c.with(ctx, e, false, func(client *control.Client) error {
		var total int64
		for _, s := range sources {
			total += s.bytes
		}
		bar := newProgress(e.stderr, total)
		result := deliverResult{Failures: []failure{}}
		dest := control.Destination{To: c.To, Mailbox: c.Mailbox, From: c.From}
		err := client.Deliver(ctx, dest, allMessages(ctx, sources), func(o control.Outcome) {
			bar.step(o.Bytes)
			if o.Err == nil {
				result.Delivered++
				result.Bytes += max(o.Bytes, 0)
				return
			}
			result.Failed++
			f := failure{Message: o.Name, Reason: reasonOf(o.Err), Error: failureText(o.Err)}
			if len(result.Failures) < maxFailures {
				result.Failures = append(result.Failures, f)
			}
			bar.say("not delivered: %s: %s\n", f.Message, f.Error)
		})
		bar.finish()
		if err != nil && c.JSON {
			result.Error = oneLine(err)
			err = errors.Join(err, printJSON(e.stdout, result))
		}
		switch {
		case errors.Is(err, context.Canceled):
			// What was on its way may have arrived.
			return fmt.Errorf("stopped; at least %s had been delivered", plural(result.Delivered, "message"))
		case err != nil && result.Delivered > 0:
			bar.say("%s had been delivered before this happened:\n", plural(result.Delivered, "message"))
			return err
		case err != nil:
			return err
		}

		return c.report(e, result)
	})
}

func (c *deliverCommand) report(e *env, r deliverResult) error {
	if c.JSON {
		if err := printJSON(e.stdout, r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(e.stdout, "delivered %s to %s in %s\n", plural(r.Delivered, "message"), c.To, c.Mailbox)
	}
	if r.Failed > 0 {
		return fmt.Errorf("%s could not be delivered; the reasons stand above", plural(r.Failed, "message"))
	}

	return nil
}

// reasonOf returns the stable name of what went wrong.
func reasonOf(err error) string {
	var answer *control.Error
	if errors.As(err, &answer) {
		return answer.Code
	}
	if errors.Is(err, mailfile.ErrEmpty) {
		return "empty"
	}

	return "unreadable"
}

// failureText tells why a message was not delivered, and what to do.
func failureText(err error) string {
	var file *fs.PathError
	switch {
	case errors.As(err, &file):
		return oneLine(file.Err) // the name stands before it
	case reasonOf(err) == string(delivery.TooBig):
		return oneLine(err) + "; to have larger ones taken start the server with --max-message SIZE"
	}

	return oneLine(err)
}

// validate finds what the server would take for something else.
func (c *deliverCommand) validate() error {
	if c.Mailbox == "" {
		return &usageError{err: errors.New("--mailbox: the name is empty; leave the flag out for INBOX")}
	}
	if c.From == nil || *c.From == "" {
		return nil
	}
	if a, err := mail.ParseAddress("<" + *c.From + ">"); err != nil || a.Name != "" {
		return &usageError{err: fmt.Errorf("--from: %q is not an address, such as bob@office.example", *c.From)}
	}

	return nil
}

// source is a file to deliver from.
type source struct {
	messages func(context.Context) iter.Seq2[*mailfile.Message, error]
	bytes    int64 // 0 if not known
	close    func()
}

// open opens all files first, so that there is a measure of progress. One that
// cannot be opened is a message that cannot be delivered.
func (c *deliverCommand) open(e *env) ([]source, error) {
	var sources []source
	files := c.Files
	if len(files) == 0 {
		files = []string{"-"}
		if terminal(e.stdin) != nil {
			return nil, &usageError{err: errors.New("name a file, or put a message on standard input")}
		}
	}
	for _, name := range files {
		if name == "-" {
			sources = append(sources, standardInput(e))
			continue
		}
		s, err := mailfile.Open(name)
		if err != nil {
			sources = append(sources, unreadable(name, err))
			continue
		}
		if len(s.Unread) > 0 {
			fmt.Fprintf(e.stderr, "%s has %s below it, which are not read; deliver each with a --mailbox of its own, such as %s\n",
				name, plural(len(s.Unread), "folder"), s.Unread[0])
		}
		sources = append(sources, source{
			messages: settled(s),
			bytes:    s.Bytes,
			close:    func() { _ = s.Close() }, // it was only read
		})
	}

	return sources, nil
}

// settled are the messages of a file, each as its own first lines say only where
// they can be believed.
func settled(s *mailfile.Source) func(ctx context.Context) iter.Seq2[*mailfile.Message, error] {
	return func(ctx context.Context) iter.Seq2[*mailfile.Message, error] {
		return func(yield func(*mailfile.Message, error) bool) {
			for m, err := range s.Messages(ctx) {
				if err == nil {
					err = s.Settle(m)
				}
				if !yield(m, err) {
					return
				}
			}
		}
	}
}

func unreadable(name string, err error) source {
	return source{
		messages: func(context.Context) iter.Seq2[*mailfile.Message, error] {
			return func(yield func(*mailfile.Message, error) bool) {
				yield(&mailfile.Message{Name: name}, err)
			}
		},
		close: func() {},
	}
}

func standardInput(e *env) source {
	return source{
		messages: func(context.Context) iter.Seq2[*mailfile.Message, error] {
			return func(yield func(*mailfile.Message, error) bool) {
				yield(mailfile.FromReader("standard input", e.stdin), nil)
			}
		},
		close: func() {},
	}
}

// allMessages chains the messages of all sources.
func allMessages(ctx context.Context, sources []source) iter.Seq2[*mailfile.Message, error] {
	return func(yield func(*mailfile.Message, error) bool) {
		for _, s := range sources {
			for m, err := range s.messages(ctx) {
				if m.Internal {
					continue // what Pine knows of its folder
				}
				if !yield(m, err) {
					return
				}
			}
		}
	}
}
