package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"pillarbox/appliance/control"
)

// TestMain makes the test binary be pillarbox where a script calls it so.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"pillarbox": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PILLARBOX_DATA", filepath.Join(e.WorkDir, "data"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serving":   serving,
			"killing":   ending(syscall.SIGKILL),
			"stopping":  ending(syscall.SIGTERM),
			"hangingup": hangingUp,
			"ended":     ended,
			"large":     large,
			"crlf":      crlf,
			"fetch":     fetch,
			"damage":    damage,
			"spoil":     spoil,
			"replace":   replace,
		},
	})
}

// serving starts a server for the rest of the script: serving [FLAG…].
func serving(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("serving cannot be negated")
	}
	bin, err := exec.LookPath("pillarbox")
	ts.Check(err)
	all := []string{"serve", "--imaps", "127.0.0.1:0", "--lmtp", "off"}
	if !slices.Contains(args, "--imaps-legacy") {
		all = append(all, "--imaps-legacy", "off")
	}
	cmd := exec.Command(bin, append(all, args...)...)
	cmd.Env = append(os.Environ(), "PILLARBOX_DATA="+ts.Getenv("PILLARBOX_DATA"))
	log, err := os.Create(ts.MkAbs("serve.log"))
	ts.Check(err)
	cmd.Stderr = log
	out, err := os.Create(ts.MkAbs("serve.out"))
	ts.Check(err)
	defer out.Close()
	cmd.Stdout = out
	ts.Check(cmd.Start())
	ts.Setenv("SERVER", strconv.Itoa(cmd.Process.Pid))
	ts.Defer(func() {
		if ts.Getenv("ENDED"+strconv.Itoa(cmd.Process.Pid)) != "" {
			_, _ = cmd.Process.Wait()
			return
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			ts.Logf("%s", ts.ReadFile("serve.log"))
			ts.Logf("serve: %v", err)
		}
		_ = log.Close()
	})
	deadline := time.Now().Add(2 * time.Minute) // with --sample it makes an office first
	for !strings.Contains(ts.ReadFile("serve.log"), "msg=ready") {
		if time.Now().After(deadline) {
			ts.Fatalf("not ready:\n%s", ts.ReadFile("serve.log"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// ending ends the newest server by a signal.
func ending(sig syscall.Signal) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		pid, err := strconv.Atoi(ts.Getenv("SERVER"))
		ts.Check(err)
		ts.Setenv("ENDED"+strconv.Itoa(pid), "yes")
		ts.Check(syscall.Kill(pid, sig))
		awaitEnd(ts, pid)
	}
}

// awaitEnd waits for a process to end, with all its threads: until the last
// of them has gone, its sockets and locks are there.
func awaitEnd(ts *testscript.TestScript, pid int) {
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err == nil && info.Signo != 0 || errors.Is(err, unix.ECHILD) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("process %d does not end", pid)
		}
	}
}

// hangingUp sends the newest server what a terminal sends that is closed.
func hangingUp(ts *testscript.TestScript, neg bool, args []string) {
	pid, err := strconv.Atoi(ts.Getenv("SERVER"))
	ts.Check(err)
	ts.Check(syscall.Kill(pid, syscall.SIGHUP))
}

// ended waits for the newest server to end by itself.
func ended(ts *testscript.TestScript, neg bool, args []string) {
	pid, err := strconv.Atoi(ts.Getenv("SERVER"))
	ts.Check(err)
	ts.Setenv("ENDED"+strconv.Itoa(pid), "yes")
	awaitEnd(ts, pid)
}

// large writes a message of more than a KiB: large FILE.
func large(ts *testscript.TestScript, neg bool, args []string) {
	text := "Subject: large\r\n\r\n" + strings.Repeat("x\r\n", 1000)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// crlf gives files CRLF line ends: crlf FILE…
func crlf(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		text := strings.ReplaceAll(ts.ReadFile(name), "\n", "\r\n")
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

// replace copies a file with a text that must be there replaced: replace OLD
// NEW FROM TO.
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: replace OLD NEW FROM TO")
	}
	text := ts.ReadFile(args[2])
	if !strings.Contains(text, args[0]) {
		ts.Fatalf("%q is not in %s", args[0], args[2])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[3]), []byte(strings.ReplaceAll(text, args[0], args[1])), 0o600))
}

// spoil changes an octet wherever a text stands in a file: spoil FILE TEXT.
func spoil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: spoil FILE TEXT")
	}
	path, text := ts.MkAbs(args[0]), []byte(args[1])
	b, err := os.ReadFile(path)
	ts.Check(err)
	if !bytes.Contains(b, text) {
		ts.Fatalf("%q is not in %s", text, path)
	}
	other := bytes.Clone(text)
	other[len(other)/2] ^= 1
	ts.Check(os.WriteFile(path, bytes.ReplaceAll(b, text, other), 0o600))
}

// damage overwrites the index of an account: damage ADDRESS.
func damage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: damage ADDRESS")
	}
	ts.Check(ts.Exec("pillarbox", "account", "list", "--json"))
	var accounts []control.Account
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &accounts))
	for _, a := range accounts {
		if a.Address == args[0] {
			index := filepath.Join(ts.Getenv("PILLARBOX_DATA"), "accounts", string(a.ID), "index.db")
			ts.Check(os.WriteFile(index, bytes.Repeat([]byte("garbage "), 4096), 0o600))
			return
		}
	}
	ts.Fatalf("there is no account %s", args[0])
}

// fetch writes what IMAP serves to a file: fetch USER PASSWORD MAILBOX UID FILE.
// With UID 0 the file lists UID, flags and internal date of all messages.
func fetch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 5 {
		ts.Fatalf("usage: fetch USER PASSWORD MAILBOX UID FILE")
	}
	var addr string
	for line := range strings.Lines(ts.ReadFile("serve.log")) {
		if _, rest, ok := strings.Cut(line, "listener=imaps addr="); ok {
			addr = strings.TrimSpace(rest)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := fetchIMAP(ctx, addr, ts.Getenv("PILLARBOX_DATA"), args[0], args[1], args[2], args[3])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[4]), out, 0o600))
}
