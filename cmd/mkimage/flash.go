package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/schollz/progressbar/v3"

	"pillarbox/buildroot/flash"
)

type flashCommand struct {
	Device string `arg:"" help:"The device, such as /dev/sdb." type:"path"`
	Image  string `required:"" short:"i" help:"The image's file, as it is or compressed (.gz)." type:"existingfile" placeholder:"FILE"`
	Force  bool   `help:"Write even to a disk that is in use or built in."`
	Yes    bool   `help:"Do not ask."`
}

// Run writes an image to a device.
func (c *flashCommand) Run(ctx context.Context, e *env) error {
	target, err := flash.Host{}.Find(c.Device)
	if err != nil {
		return err
	}
	image, err := flash.OpenImage(c.Image)
	if err != nil {
		return err
	}
	if err := target.Allow(image.Size, c.Force); err != nil {
		return c.explain(err)
	}
	fmt.Fprintf(e.stderr, "All that is on %s (%s, %s) will be lost.\n", target.Path, describe(target), mega(target.Size))
	if !c.Yes {
		fmt.Fprintf(e.stderr, "Type %s to go on: ", target.Name)
		if answer(ctx, e.stdin) != target.Name {
			return errors.New("nothing was written")
		}
	}
	if err := target.Write(ctx, image, c.Force, progress(e.stderr)); err != nil {
		fmt.Fprintln(e.stderr) // ends the bar
		return c.explain(err)
	}
	fmt.Fprintf(e.stdout, "%s holds the image; it was read back and compared\n", target.Path)

	return nil
}

// answer reads a line. Nothing is the answer of a person who interrupts.
func answer(ctx context.Context, in io.Reader) string {
	line := make(chan string, 1)
	go func() {
		s := bufio.NewScanner(in)
		s.Scan()
		line <- s.Text()
	}()
	select {
	case text := <-line:
		return text
	case <-ctx.Done():
		return ""
	}
}

// explain says how to insist, where that helps.
func (c *flashCommand) explain(err error) error {
	var refusal *flash.Refusal
	if errors.As(err, &refusal) && !refusal.Final {
		return fmt.Errorf("%w\nIf it is the right one: --force", err)
	}

	return err
}

func describe(t *flash.Target) string {
	if t.Model == "" {
		return "a disk without a name"
	}

	return t.Model
}

// progress draws a bar for each phase.
func progress(w io.Writer) flash.Progress {
	var bar *progressbar.ProgressBar
	current := ""

	return func(phase string, done, size int64) {
		if phase != current {
			current = phase
			bar = progressbar.NewOptions64(size,
				progressbar.OptionSetWriter(w),
				progressbar.OptionSetDescription(fmt.Sprintf("%-9s", phase)),
				progressbar.OptionShowBytes(true),
				progressbar.OptionSetPredictTime(true),
				progressbar.OptionOnCompletion(func() { fmt.Fprintln(w) }),
			)
		}
		_ = bar.Set64(done) // only a picture
	}
}
