package console

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strconv"
)

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
		t.Printf("%s\n", clean(line))
	}
	t.Printf("\n")
	for i, a := range c.Actions {
		t.Printf("  %d  %s\n", i+1, a.Title)
	}
	t.Printf("\nNumber, or Enter to look again: ")
}
