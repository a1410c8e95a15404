package console

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

const (
	// maxLine bounds what a person may type, in octets.
	maxLine = 1024

	// pageLines leave the question a line on a screen of 25.
	pageLines = 23
)

// Terminal is the person's side of a conversation.
type Terminal struct {
	in  *bufio.Reader
	out io.Writer
}

// ErrNothing says that a person gave an empty answer, which ends an action.
var ErrNothing = errors.New("nothing was done")

// Printf writes a text.
func (t *Terminal) Printf(format string, args ...any) { fmt.Fprintf(t.out, format, args...) }

// Ask asks for a line. An empty one is ErrNothing.
func (t *Terminal) Ask(prompt string) (string, error) {
	t.Printf("%s: ", prompt)
	line, err := t.line()
	if err != nil {
		return "", err
	}
	if line == "" {
		return "", ErrNothing
	}

	return line, nil
}

// Confirm tells whether a person types a word that is asked for. Anything else
// is ErrNothing.
func (t *Terminal) Confirm(word, what string) error {
	answer, err := t.Ask(fmt.Sprintf("Type %s to %s", word, what))
	if err != nil {
		return err
	}
	if answer != word {
		return ErrNothing
	}

	return nil
}

// Page shows lines, as many at a time as the smallest screen has.
func (t *Terminal) Page(lines []string) error {
	for i, line := range lines {
		if i > 0 && i%pageLines == 0 {
			t.Printf("-- %d of %d lines; Enter for more, q to end: ", i, len(lines))
			answer, err := t.line()
			if err != nil {
				return err
			}
			if answer == "q" {
				return nil
			}
		}
		t.Printf("%s\n", clean(line))
	}

	return nil
}

// clean takes out of a line what would steer the terminal: logs and last words
// hold what strangers have sent.
func clean(line string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return r
		case !unicode.IsPrint(r):
			return '.'
		}
		return r
	}, strings.ToValidUTF8(line, "."))
}

// line reads a line. Of a longer one than is allowed nothing is taken.
func (t *Terminal) line() (string, error) {
	var line []byte
	for {
		part, err := t.in.ReadSlice('\n')
		if len(line) <= maxLine {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return "", err
		}
		if len(line) > maxLine {
			return "", nil
		}

		return strings.TrimSpace(strings.ToValidUTF8(string(line), "")), nil
	}
}
