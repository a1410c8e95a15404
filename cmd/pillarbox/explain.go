package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"pillarbox/appliance"
	"pillarbox/appliance/control"
	"pillarbox/storage"
)

// usageError says that the command line is wrong.
type usageError struct {
	command string // whose help tells more; "" means the program's
	err     error
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// folderError says that a data folder could not be worked on.
type folderError struct {
	dir string
	err error
}

func (e *folderError) Error() string { return e.err.Error() }
func (e *folderError) Unwrap() error { return e.err }

// heldError says that another process holds the data folder.
type heldError struct {
	pid int // 0 if not known
	err error
}

func (e *heldError) Error() string { return e.err.Error() }
func (e *heldError) Unwrap() error { return e.err }

// hintError is an error with what to do next.
type hintError struct {
	hint string
	err  error
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// explain turns an error into what a person reads: what is wrong and what to
// do next.
func explain(err error) string {
	var (
		usage  *usageError
		held   *heldError
		hint   *hintError
		folder *folderError
		answer *control.Error
	)
	switch {
	case errors.As(err, &usage):
		return plainUsage(usage.Error()) + "\nSee: " + cmp.Or(usage.command, "pillarbox") + " --help"
	case errors.Is(err, context.Canceled):
		return "stopped"
	case errors.As(err, &hint):
		return oneLine(hint) + ".\n" + hint.hint
	case errors.As(err, &held) && held.pid != 0:
		return fmt.Sprintf("%s.\nAnother pillarbox works on this data folder, as process %d: stop it by Ctrl-C in its terminal or by kill %d, "+
			"or name another folder with --data.", oneLine(err), held.pid, held.pid)
	case errors.As(err, &folder):
		return explainFolder(folder)
	case errors.As(err, &answer):
		return explainAnswer(answer)
	case errors.Is(err, storage.ErrLocked):
		return oneLine(err) + ".\nAnother pillarbox works on this data folder: stop it, or name another folder with --data."
	case errors.Is(err, storage.ErrNewerFormat):
		return oneLine(err) + ".\nNothing was changed. Run the newer version, or restore a backup made by this one."
	case errors.Is(err, fs.ErrPermission):
		return oneLine(err) + ".\nRun it as the user that owns the data folder, or as root."
	}

	return oneLine(err)
}

func explainFolder(e *folderError) string {
	switch {
	case errors.Is(e.err, errNotFolder):
		return fmt.Sprintf("the data folder cannot be used: %s is not a folder.\nName another with --data.", e.dir)
	case errors.Is(e.err, appliance.ErrNoData):
		return fmt.Sprintf("there is no data folder %s.\n"+
			"Name another with --data, or make this one: pillarbox account add ADDRESS --data %s", e.dir, e.dir)
	case errors.Is(e.err, appliance.ErrInUse):
		return fmt.Sprintf("another process holds the data folder %s, but no server answers on its control socket.\n"+
			"If another pillarbox command works on it, wait until it is done; otherwise stop the process that holds it.", e.dir)
	case errors.Is(e.err, storage.ErrCorrupt):
		return fmt.Sprintf("no server is running on the data folder %s, and it cannot be opened: %s.\n%s", e.dir, oneLine(e.err), mendHint(e.dir))
	case errors.Is(e.err, fs.ErrPermission):
		return fmt.Sprintf("no server can be reached on the data folder %s, and the folder cannot be opened: %s.\n"+
			"Run this as the user that owns the folder, or as root.", e.dir, oneLine(e.err))
	case errors.Is(e.err, storage.ErrNewerFormat):
		return oneLine(e.err) + ".\nNothing was changed. Run the newer version, or restore a backup made by this one."
	}

	return fmt.Sprintf("no server is running on the data folder %s, and it cannot be opened: %s", e.dir, oneLine(e.err))
}

func explainAnswer(e *control.Error) string {
	text := oneLine(e)
	switch e.Code {
	case control.CodeNoAccount:
		return text + ".\nSee which there are: pillarbox account list"
	case control.CodeNoDevice:
		return text + ".\nSee which there are: pillarbox account device list ADDRESS"
	case control.CodeNoToken:
		return text + ".\nSee which there are: pillarbox token list"
	case control.CodeNoAlias:
		return text + ".\nSee which there are: pillarbox alias list"
	case control.CodeNoRecipient:
		return text + ".\nSee who gets mail: pillarbox account list; pillarbox alias list"
	case control.CodeAddressTaken:
		return text + ".\nTo change the account's password: pillarbox account passwd ADDRESS"
	case control.CodeDiskFull:
		return text + ".\nMake room on the disk that holds the data folder and try again."
	case control.CodeUnrecorded:
		return text + ".\nDo not do it again. See what is wrong with the disk: pillarbox status"
	case control.CodePending:
		return text + ".\nSee it: pillarbox network history. Keep it: pillarbox network confirm. Take it back: pillarbox network revert"
	case control.CodeNoPending:
		return text + ".\nSee what holds: pillarbox network history"
	case control.CodeNoVersion:
		return text + ".\nSee which there are: pillarbox network history"
	case control.CodeSettings:
		return text + ".\nNothing was changed. Put the settings right and try again: pillarbox network plan FILE"
	case control.CodeUnchanged:
		return text + ".\nSee what holds: pillarbox network settings"
	case control.CodeBusy:
		return text + ".\nTry again in a moment."
	}

	return text
}

// plainUsage puts into words what the parser says of a missing or wrong value.
func plainUsage(text string) string {
	if flag, ok := strings.CutSuffix(text, ` value but got "EOL" (<EOL>)`); ok {
		flag, _, _ = strings.Cut(flag, ": expected ")
		return flag + " wants a value"
	}
	if what, ok := strings.CutPrefix(text, `expected "<`); ok {
		what, _, _ = strings.Cut(what, ">")
		return strings.ToUpper(what) + " is missing"
	}

	return strings.NewReplacer(
		"expected a valid 64 bit int but got", "wants a number, not",
		"slog: level string ", "", ": unknown name", " is none of debug, info, warn and error",
	).Replace(text)
}

// oneLine puts joined errors on one line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
