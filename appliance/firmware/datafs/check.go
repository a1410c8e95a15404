package datafs

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// checkTime bounds a check. A full one of a large disk takes minutes; one that
// hangs must not keep the box from starting.
const checkTime = 30 * time.Minute

// e2fsck's exit status is a sum of these.
const (
	statusMended    = 1
	statusRebootNow = 2
	statusLeft      = 4 // errors are left
)

// Verdict is the result of a check.
type Verdict struct {
	Mended   bool   // something was wrong and was put right
	ReadOnly bool   // something is wrong; the mail must not be written to
	Words    string // for a person
}

// Check runs program, which is e2fsck, on the device, which is not mounted.
func Check(ctx context.Context, program, device string) Verdict {
	ctx, stop := context.WithTimeout(ctx, checkTime)
	defer stop()
	out, err := exec.CommandContext(ctx, program, "-p", device).CombinedOutput()

	return judge(err, string(out))
}

// Mend runs program, which is e2fsck, so that it mends all it can, even if
// something is lost by that. It returns what the program said.
func Mend(ctx context.Context, program, device string) (string, error) {
	out, err := exec.CommandContext(ctx, program, "-f", "-y", device).CombinedOutput()
	if v := judge(err, string(out)); v.ReadOnly {
		return string(out), errors.New(v.Words)
	}

	return string(out), nil
}

func judge(err error, out string) Verdict {
	last := gist(out)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return Verdict{Words: "the data partition is sound"}
	case !errors.As(err, &exit) || exit.ExitCode() < 0:
		return Verdict{ReadOnly: true, Words: fmt.Sprintf("the data partition could not be checked: %v", err)}
	case exit.ExitCode()&^(statusMended|statusRebootNow) == 0:
		return Verdict{Mended: true, Words: "the data partition had errors and was mended: " + last}
	case exit.ExitCode()&statusLeft != 0:
		return Verdict{ReadOnly: true, Words: "the data partition has errors that need a decision: " + last}
	}

	return Verdict{ReadOnly: true, Words: fmt.Sprintf("the data partition could not be checked: %v: %s", err, last)}
}

// gist returns the last line of e2fsck's output that says what is wrong.
func gist(out string) string {
	words := ""
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		// What it says about itself and its options helps nobody here.
		if line != "" && !strings.Contains(line, "UNEXPECTED INCONSISTENCY") &&
			!strings.HasPrefix(line, "(i.e.") && !strings.HasSuffix(line, "check forced.") {
			words = line
		}
	}

	return words
}
