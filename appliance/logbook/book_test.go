package logbook_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"pillarbox/appliance/logbook"
)

func open(t *testing.T, c *logbook.Config) *logbook.Book {
	t.Helper()
	b, err := logbook.Open(c)
	if err != nil {
		t.Fatal(err)
	}

	return b
}

func say(t *testing.T, b *logbook.Book, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if n, err := b.Write([]byte(line + "\n")); err != nil || n != len(line)+1 {
			t.Fatalf("write: %d, %v", n, err)
		}
	}
}

func read(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "pillarbox.log"))
	if err != nil {
		t.Fatal(err)
	}

	return string(text)
}

func TestLinesAreWrittenTogetherAndErrorsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "log")
		b := open(t, &logbook.Config{Dir: dir})
		log := slog.New(b.Handler(slog.NewTextHandler(b, nil))).With("service", "imap")
		log.Info("one")
		time.Sleep(50 * time.Second)
		log.Info("two")
		if got := read(t, dir); got != "" {
			t.Errorf("written too early: %q", got)
		}
		time.Sleep(11 * time.Second)
		if got := read(t, dir); strings.Count(got, "\n") != 2 {
			t.Errorf("after a minute: %q", got)
		}
		log.WithGroup("g").Error("three")
		if got := read(t, dir); !strings.Contains(got, "msg=three") {
			t.Errorf("after an error: %q", got)
		}
		log.Info("four")
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if got := read(t, dir); !strings.HasSuffix(got, "msg=four service=imap\n") {
			t.Errorf("after the end: %q", got)
		}
		say(t, b, "late")
		if got := b.Tail(1); !cmp.Equal(got, []string{"late"}) {
			t.Errorf("tail %q", got)
		}
	})
}

func TestFilesAreBounded(t *testing.T) {
	dir := t.TempDir()
	for run := range 3 { // it goes on with what is there
		b := open(t, &logbook.Config{Dir: dir, MaxSize: 100, Files: 3})
		for i := range 20 {
			say(t, b, fmt.Sprintf("run %d line %02d %s", run, i, strings.Repeat("x", 20)))
			if err := b.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 3 {
		t.Fatalf("files %q, %v", files, err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Size() > 100 || info.Size() == 0 {
			t.Errorf("%s has %d octets, %v", f, info.Size(), err)
		}
	}
	got, err := logbook.ReadTail(dir, 3)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		got[i], _, _ = strings.Cut(got[i], " x")
	}
	if diff := cmp.Diff([]string{"run 2 line 17", "run 2 line 18", "run 2 line 19"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestMemoryKeepsTheNewestWholeLines(t *testing.T) {
	b := open(t, &logbook.Config{})
	const last = 5000
	for i := range last + 1 {
		say(t, b, fmt.Sprintf("line %d %s", i, strings.Repeat("x", i%300)))
	}
	got := b.Tail(1 << 20)
	first := 0
	if _, err := fmt.Sscanf(got[0], "line %d", &first); err != nil {
		t.Fatalf("the first line is %q", got[0])
	}
	if len(got) != last-first+1 || len(got) < 100 || !strings.HasPrefix(got[len(got)-1], "line 5000 ") {
		t.Errorf("%d lines from %d to %q", len(got), first, got[len(got)-1])
	}
	if len(b.Tail(0)) != 0 || len(b.Tail(-1)) != 0 {
		t.Error("lines that nobody asked for")
	}
}

func TestALogThatCannotBeWrittenStopsNothing(t *testing.T) {
	dir := t.TempDir()
	b := open(t, &logbook.Config{Dir: dir, MaxSize: 40})
	say(t, b, strings.Repeat("a", 30))
	if err := b.Sync(); err != nil {
		t.Fatal(err)
	}
	// The next line needs a new file where none can be made.
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	say(t, b, strings.Repeat("b", 30))
	if err := b.Sync(); err == nil {
		t.Error("nothing was told")
	}
	if err := os.Rename(dir+"-away", dir); err != nil {
		t.Fatal(err)
	}
	say(t, b, "c")
	if err := b.Sync(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, dir); !strings.Contains(got, `msg="lines of the log were lost" count=1`) || !strings.HasSuffix(got, "\nc\n") {
		t.Errorf("log %q", got)
	}
}

func TestADiskThatHangsDoesNotHoldUpTheLog(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "pillarbox.log")
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, &logbook.Config{Dir: dir, Delay: time.Millisecond, MaxSize: 1 << 30})
	// Many times what the pipe takes, and what may wait.
	line := strings.Repeat("x", 99)
	const lines = 10_000
	written := make(chan struct{})
	go func() {
		defer close(written)
		for range lines {
			say(t, b, line)
		}
	}()
	select {
	case <-written:
	case <-time.After(20 * time.Second):
		t.Fatal("a line waits for the disk")
	}
	if got := b.Tail(1); !cmp.Equal(got, []string{line}) {
		t.Errorf("tail %q", got)
	}
	// When it answers again, the log says what it lacks.
	text := make(chan string)
	go func() {
		var got strings.Builder
		buf := make([]byte, 64<<10)
		for !strings.Contains(got.String(), "the last one\n") {
			n, err := pipe.Read(buf)
			if err != nil {
				break
			}
			got.Write(buf[:n])
		}
		text <- got.String()
	}()
	for strings.Count(strings.Join(b.Tail(2), ""), "last") == 0 {
		say(t, b, "the last one")
		_ = b.Sync() // a pipe cannot be synced
	}
	got := <-text
	lost := 0
	for _, note := range strings.Split(got, `msg="lines of the log were lost" count=`)[1:] {
		var count int
		if _, err := fmt.Sscanf(note, "%d", &count); err != nil {
			t.Fatal(err)
		}
		lost += count
	}
	if n := strings.Count(got, line+"\n"); lost == 0 || n+lost < lines || n+lost > lines+1 {
		t.Errorf("%d lines arrived and %d are told as lost, of %d", n, lost, lines)
	}
	_ = b.Close()
	if err := pipe.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAllThatIsKeptIsCopied(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "files": t.TempDir()} {
		b := open(t, &logbook.Config{Dir: dir, MaxSize: 100, Files: 3})
		for i := range 9 {
			say(t, b, fmt.Sprintf("line %d %s", i, strings.Repeat("x", 20)))
			if i < 8 {
				_ = b.Sync()
			}
		}
		var got strings.Builder
		if err := b.Copy(&got); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(got.String()), "\n")
		if len(lines) < 7 || !strings.HasPrefix(lines[len(lines)-1], "line 8 ") || !strings.HasPrefix(lines[len(lines)-7], "line 2 ") {
			t.Errorf("%s: %q", name, lines)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
