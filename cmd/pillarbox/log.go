package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"pillarbox/appliance/control"
	"pillarbox/appliance/journal"
	"pillarbox/appliance/logbook"
)

// logDir returns where the log of a data folder is kept.
func logDir(data string) string { return filepath.Join(data, "log") }

type logCommand struct {
	dataFlag

	Lines int `short:"n" help:"How many." default:"50" placeholder:"N"`
}

// Run shows the log: of the server that runs, otherwise what it left.
func (c *logCommand) Run(ctx context.Context, e *env) error {
	lines, err := c.read(ctx)
	if err != nil {
		return err
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(e.stdout, line); err != nil {
			return err
		}
	}

	return nil
}

func (c *logCommand) read(ctx context.Context) ([]string, error) {
	client, err := control.Dial(ctx, c.Data)
	if err == nil {
		defer client.Close()
		return client.Log(ctx, c.Lines)
	}
	if !errors.Is(err, control.ErrNoServer) {
		return nil, err
	}
	lines, err := logbook.ReadTail(logDir(c.Data), c.Lines)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no server is running on the data folder %s, and none kept its log there; see serve --log-file", c.Data)
	}

	return lines, err
}

// openLog opens the book that keeps the server's log.
func openLog(data string, inFiles bool) (*logbook.Book, error) {
	conf := &logbook.Config{}
	if inFiles {
		conf.Dir = logDir(data)
	}

	return logbook.Open(conf)
}

// logger returns the logger that the flags describe. The book gets all lines
// as text.
func (c *serveCommand) logger(e *env, book *logbook.Book) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	both := io.MultiWriter(book, e.stderr) // the book never fails
	switch {
	case c.LogFormat == "json":
		return slog.New(book.Handler(slog.NewJSONHandler(both, options)))
	case c.LogFormat == "auto" && e.stderr == os.Stderr && journal.Available():
		text := slog.NewTextHandler(book, options)
		return slog.New(book.Handler(slog.NewMultiHandler(text, journal.New(c.LogLevel, nil))))
	}

	return slog.New(book.Handler(slog.NewTextHandler(both, options)))
}
