package exporter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// plainError says in words what happened, and what to do.
type plainError struct {
	text string
	err  error
}

func (e *plainError) Error() string { return e.text + " (" + e.err.Error() + ")" }
func (e *plainError) Unwrap() error { return e.err }

// resumed is what every cut-off run has in common.
const resumed = "; then resume the export or run the same command again, it goes on where it was"

// plain puts what a person can do about an error in front of it.
func plain(err error) error {
	if err == nil {
		return nil
	}
	for cause, text := range map[error]string{
		syscall.ENOSPC:   "the target's disk is full: make room there" + resumed,
		syscall.EDQUOT:   "the quota of the target's disk is used up: raise it or make room there" + resumed,
		syscall.EFBIG:    "the target's file system does not take files of that size: use another, or export to a Maildir",
		errName:          "the target's file system does not take the file names of a Maildir, which have a colon: use one of Linux's, or export to mbox",
		syscall.EROFS:    "the target cannot be written to: it is mounted read-only",
		syscall.EIO:      "the target's disk fails: use another",
		fs.ErrPermission: "the target may not be written to by this user",
		errFull:          "the target's quota is used up: make room there, or have it raised" + resumed,
		errConnection:    "the connection to the target was lost" + resumed,
	} {
		if errors.Is(err, cause) {
			return &plainError{text, err}
		}
	}
	if leadsOut(err) {
		return &plainError{"a link in the target's folder leads out of it, and nothing is written through it: remove the link, or choose another folder", err}
	}

	return err
}

// leadsOut tells of the error that os.Root has for such a link, which it does not
// export.
func leadsOut(err error) bool {
	var at *fs.PathError
	var link *os.LinkError

	return errors.As(err, &at) && at.Err.Error() == escapes || errors.As(err, &link) && link.Err.Error() == escapes
}

const escapes = "path escapes from parent"

// Errors that have words of their own.
var (
	errName       = errors.New("invalid file name")
	errFull       = errors.New("over quota")
	errConnection = errors.New("connection lost")
)

// UsageError says that the target cannot be used for this.
type UsageError struct{ Text string }

func (e *UsageError) Error() string { return e.Text }

func refuse(format string, args ...any) error {
	return &UsageError{fmt.Sprintf(format, args...)}
}
