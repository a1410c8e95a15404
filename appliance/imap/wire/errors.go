package wire

import "fmt"

// SyntaxError is a mistake of the client in one command. The next command can
// be read.
type SyntaxError struct{ Text string }

func (e *SyntaxError) Error() string { return e.Text }

// LimitError tells that a command is longer than [Limits] allow. The next
// command can be read.
type LimitError struct{ Text string }

func (e *LimitError) Error() string { return e.Text }

// FatalError tells that the start of the next command cannot be found within
// the limits. The connection must end with BYE.
type FatalError struct{ Text string }

func (e *FatalError) Error() string { return e.Text }

func syntaxf(format string, args ...any) *SyntaxError {
	return &SyntaxError{Text: fmt.Sprintf(format, args...)}
}
