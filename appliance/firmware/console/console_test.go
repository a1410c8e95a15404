package console_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pillarbox/appliance/firmware/console"
)

// tty is a terminal at which a person has typed all in advance.
type tty struct {
	io.Reader
	bytes.Buffer
}

func (t *tty) Read(p []byte) (int, error) { return t.Reader.Read(p) }

func session(t *testing.T, c *console.Config, typed string) string {
	t.Helper()
	screen := &tty{Reader: strings.NewReader(typed)}
	if err := console.Run(t.Context(), c, screen); !errors.Is(err, io.EOF) {
		t.Errorf("Run = %v, want the end of what was typed", err)
	}

	return screen.String()
}

func status(context.Context) []string { return []string{"all is well"} }

func TestMenuRunsTheChosenAction(t *testing.T) {
	var got []string
	c := &console.Config{Status: status, Actions: []console.Action{
		{Title: "First", Run: func(context.Context, *console.Terminal) error { got = append(got, "first"); return nil }},
		{Title: "Ask", Run: func(_ context.Context, t *console.Terminal) error {
			name, err := t.Ask("Name")
			got = append(got, "asked "+name)
			return err
		}},
	}}
	out := session(t, c, "\n1\n2\nanna \r\n2\n\n9\nx\n-1\n")
	want := []string{"first", "asked anna", "asked "}
	if strings.Join(got, ",") != strings.Join(want, ",") {
		t.Errorf("ran %q, want %q", got, want)
	}
	for _, text := range []string{"all is well", "1  First", "Name: ", console.ErrNothing.Error()} {
		if !strings.Contains(out, text) {
			t.Errorf("the screen lacks %q:\n%s", text, out)
		}
	}
}

func TestEndlessLineIsForgotten(t *testing.T) {
	ran := 0
	c := &console.Config{Status: status, Actions: []console.Action{
		{Title: "Count", Run: func(context.Context, *console.Terminal) error { ran++; return nil }},
	}}
	session(t, c, strings.Repeat("1", 1<<20)+"\n1\n")
	if ran != 1 {
		t.Errorf("the action ran %d times, want once", ran)
	}
}

func TestAccountsCallTheServersProgram(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	script := "#!/bin/sh\necho \"$PILLARBOX_DATA: $*\"\n[ \"$2\" != passwd ]\n"
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	accounts := &console.Accounts{Program: program, Data: "/data"}
	out := session(t, &console.Config{Status: status, Actions: accounts.Actions()},
		"1\n2\n--help\n3\nbea@office.example\n2\n\n")
	for _, want := range []string{
		"/data: account list\n",
		"/data: account add --generate-password -- --help\n",
		"/data: account passwd --generate-password -- bea@office.example\n",
		console.ErrNothing.Error(),
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the screen lacks %q:\n%s", want, out)
		}
	}
}
