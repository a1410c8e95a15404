package console

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxLine bounds what a person may type, in octets.
const maxLine = 1024

// Action is an entry of the menu.
type Action struct {
	Title string
	Run   func(ctx context.Context, t *Terminal) error
}

// Config tells what to show. No field may be nil.
type Config struct {
	Status  func(ctx context.Context) []string // lines
	Actions []Action
}

// Terminal is the person's side of a conversation.
type Terminal struct {
	in  *bufio.Reader
	out io.Writer
}

// ErrNothing says that a person gave an empty answer, which ends an action.
var ErrNothing = errors.New("nothing was done")

// Printf writes a text.
func (t *Terminal) Printf(format string, args ...any) { fmt.Fprintf(t.out, format, args...) }

// Ask asks for a line. An empty one is ErrNothing.
func (t *Terminal) Ask(prompt string) (string, error) {
	t.Printf("%s: ", prompt)
	line, err := t.line()
	if err != nil {
		return "", err
	}
	if line == "" {
		return "", ErrNothing
	}

	return line, nil
}

// line reads a line. Of a longer one than is allowed nothing is taken.
func (t *Terminal) line() (string, error) {
	var line []byte
	for {
		part, err := t.in.ReadSlice('\n')
		if len(line) <= maxLine {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return "", err
		}
		if len(line) > maxLine {
			return "", nil
		}

		return strings.TrimSpace(strings.ToValidUTF8(string(line), "")), nil
	}
}

// Run shows the menu on a terminal until reading fails or the context ends
// between two answers.
func Run(ctx context.Context, c *Config, tty io.ReadWriter) error {
	t := &Terminal{in: bufio.NewReader(tty), out: tty}
	for ctx.Err() == nil {
		c.show(ctx, t)
		choice, err := t.line()
		if err != nil {
			return fmt.Errorf("read from the console: %w", err)
		}
		n, err := strconv.Atoi(choice)
		if err != nil || n < 1 || n > len(c.Actions) {
			continue // shows the state anew
		}
		if err := c.Actions[n-1].Run(ctx, t); err != nil {
			t.Printf("%v\n", err)
		}
	}

	return ctx.Err()
}

// show prints the state and the menu.
func (c *Config) show(ctx context.Context, t *Terminal) {
	t.Printf("\n")
	for _, line := range c.Status(ctx) {
		t.Printf("%s\n", line)
	}
	t.Printf("\n")
	for i, a := range c.Actions {
		t.Printf("  %d  %s\n", i+1, a.Title)
	}
	t.Printf("\nNumber, or Enter to look again: ")
}
