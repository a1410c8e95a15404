package console_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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

func TestWhatHasChangedIsShownByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			mu    sync.Mutex
			state = "no address"
		)
		now := func(context.Context) string {
			mu.Lock()
			defer mu.Unlock()
			return state
		}
		keys, fingers := io.Pipe()
		screen := &tty{Reader: keys}
		ended := make(chan error, 1)
		go func() {
			shown := ""
			ended <- console.Run(t.Context(), &console.Config{
				Status: func(ctx context.Context) []string { shown = now(ctx); return []string{shown} },
				Stale:  func(ctx context.Context) bool { return now(ctx) != shown },
			}, screen)
		}()
		time.Sleep(time.Hour)
		mu.Lock()
		state = "192.0.2.7"
		mu.Unlock()
		time.Sleep(time.Hour)
		if _, err := io.WriteString(fingers, "\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		fingers.Close()
		if err := <-ended; !errors.Is(err, io.EOF) {
			t.Errorf("Run = %v", err)
		}
		if out := screen.String(); strings.Count(out, "no address") != 1 || strings.Count(out, "192.0.2.7") != 2 {
			t.Errorf("the screen was\n%s", out)
		}
	})
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

// mail returns the actions on a program that says how it was called.
func mail(t *testing.T) (m *console.Mail, restarts *int) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	script := "#!/bin/sh\necho \"$PILLARBOX_DATA $EXTRA: $*\"\ncase \"$*\" in *passwd*|check) exit 1; esac\n"
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	restarts = new(int)

	return &console.Mail{
		Program: program, Data: t.TempDir(), Env: []string{"EXTRA=more"},
		Restart: func(context.Context, *console.Terminal) error { *restarts++; return nil },
	}, restarts
}

// pick returns the number of an action.
func pick(t *testing.T, actions []console.Action, title string) string {
	t.Helper()
	i := slices.IndexFunc(actions, func(a console.Action) bool { return a.Title == title })
	if i < 0 {
		t.Fatalf("there is no action %q", title)
	}

	return strconv.Itoa(i + 1)
}

func TestMailActionsCallTheServersProgram(t *testing.T) {
	m, _ := mail(t)
	called := m.Data + " more: " // with the data folder and the environment
	for _, tt := range []struct{ title, typed, want string }{
		{"List the accounts", "", called + "account list\n"},
		{"Add an account", "--help\n", called + "account add --generate-password -- --help\n"},
		{"Add an account", "\n", console.ErrNothing.Error()},
		{"Give an account a new password", "bea@office.example\n", called + "account passwd --generate-password -- bea@office.example\n"},
		{"Give the administrator a new password", "", called + "admin passwd --generate-password\n"},
		{"Show the mail server's log", "", called + "log -n 100\n"},
		{"Show the last words of a crash", "", "has not left any"},
		{"Check the stored mail and mend it", "mend\n", called + "check\n"},
		{"Check the stored mail and mend it", "mend\n", called + "check --repair\n"},
		{"Check the stored mail and mend it", "\n", console.ErrNothing.Error()},
	} {
		t.Run(tt.title, func(t *testing.T) {
			out := session(t, &console.Config{Status: status, Actions: m.Actions()}, pick(t, m.Actions(), tt.title)+"\n"+tt.typed)
			if !strings.Contains(out, tt.want) {
				t.Errorf("the screen lacks %q:\n%s", tt.want, out)
			}
		})
	}
}

func TestFactoryResetIsMeant(t *testing.T) {
	m, restarts := mail(t)
	number := pick(t, m.Actions(), "Factory reset")
	for _, tt := range []struct {
		name, typed, want string
		restarts          int
	}{
		{"nothing typed", "\n", "", 0},
		{"another word", "yes\n", "", 0},
		{"keep", "keep\n", "factory-reset --keep-mail --yes", 1},
		{"wipe without the words", "wipe\nyes\n", "", 0},
		{"wipe with part of the words", "wipe\ndelete\n", "", 0},
		{"wipe", "wipe\ndelete all mail\n", "factory-reset --wipe-mail --yes", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			*restarts = 0
			record := filepath.Join(t.TempDir(), "calls")
			script := "#!/bin/sh\necho \"$*\" >> " + record + "\n"
			if err := os.WriteFile(m.Program, []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			out := session(t, &console.Config{Status: status, Actions: m.Actions()}, number+"\n"+tt.typed)
			called, err := os.ReadFile(record)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			if got := strings.TrimSpace(string(called)); got != tt.want || *restarts != tt.restarts {
				t.Errorf("called %q and restarted %d times, want %q and %d:\n%s", got, *restarts, tt.want, tt.restarts, out)
			}
			if tt.want == "" && !strings.Contains(out, console.ErrNothing.Error()) {
				t.Errorf("it does not say that nothing was done:\n%s", out)
			}
		})
	}
}

func TestFactoryResetThatCannotBeOrdered(t *testing.T) {
	m, restarts := mail(t)
	if err := os.WriteFile(m.Program, []byte("#!/bin/sh\necho the disk is full\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	out := session(t, &console.Config{Status: status, Actions: m.Actions()}, pick(t, m.Actions(), "Factory reset")+"\nkeep\n")
	if *restarts != 0 || !strings.Contains(out, "the disk is full") || strings.Contains(out, "It is ordered") {
		t.Errorf("restarted %d times:\n%s", *restarts, out)
	}
}

func TestLastWordsCannotSteerTheTerminal(t *testing.T) {
	m, _ := mail(t)
	if err := os.Mkdir(filepath.Join(m.Data, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	words := "panic: \x1b[2Jgone\x07 caf\u00e9 \x9b\r\n\tmain.go:1\n"
	if err := os.WriteFile(filepath.Join(m.Data, "run", "last-crash.txt"), []byte(words), 0o600); err != nil {
		t.Fatal(err)
	}
	out := session(t, &console.Config{Status: status, Actions: m.Actions()}, pick(t, m.Actions(), "Show the last words of a crash")+"\n")
	if want := "panic: .[2Jgone. caf\u00e9 ..\n\tmain.go:1\n"; !strings.Contains(out, want) {
		t.Errorf("the screen lacks %q:\n%q", want, out)
	}
}

func TestLongListsAreShownByPages(t *testing.T) {
	var long []string
	for i := range 60 {
		long = append(long, fmt.Sprintf("line %d.", i))
	}
	for _, tt := range []struct {
		name, typed string
		last        string // line that is shown
		hidden      string
	}{
		{"all", "1\n\n\n", "line 59.", ""},
		{"one more page", "1\n\nq\n", "line 45.", "line 46."},
		{"only the first", "1\nq\n", "line 22.", "line 23."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := session(t, &console.Config{Status: status, Actions: []console.Action{
				{Title: "List", Run: func(_ context.Context, t *console.Terminal) error { return t.Page(long) }},
			}}, tt.typed)
			if !strings.Contains(out, tt.last) || tt.hidden != "" && strings.Contains(out, tt.hidden) {
				t.Errorf("want %q as the last line:\n%s", tt.last, out)
			}
		})
	}
}
