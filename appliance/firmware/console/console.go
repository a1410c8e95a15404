package console

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"
)

// Action is an entry of the menu.
type Action struct {
	Title string
	Run   func(ctx context.Context, t *Terminal) error
}

// lookTime is how often is looked for a change while nobody types.
const lookTime = 20 * time.Second

// Config tells what to show. Nothing but what says so may be nil.
type Config struct {
	Status  func(ctx context.Context) []string // lines
	Actions []Action
	// Stale tells whether what Status told last is worth showing anew; nil means
	// that it never is.
	Stale func(ctx context.Context) bool
}

// Run shows the menu on a terminal until reading fails or the context ends
// between two answers.
func Run(ctx context.Context, c *Config, tty io.ReadWriter) error {
	t := &Terminal{in: bufio.NewReader(tty), out: tty}
	for ctx.Err() == nil {
		c.show(ctx, t)
		stop := c.watch(ctx, t)
		choice, err := t.line()
		stop()
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

// watch shows all anew when it has become old, until stop is called.
func (c *Config) watch(ctx context.Context, t *Terminal) (stop func()) {
	if c.Stale == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(lookTime)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if c.Stale(ctx) && ctx.Err() == nil {
				c.show(ctx, t)
			}
		}
	})

	return func() { cancel(); wg.Wait() }
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
