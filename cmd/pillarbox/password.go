package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"pillarbox/appliance/directory"
)

// maxPasswordLine bounds what is read for a password, in octets.
const maxPasswordLine = 4096

// passwordFlags say where a password comes from.
type passwordFlags struct {
	PasswordStdin    bool `help:"Read the password from the first line of standard input." xor:"password"`
	GeneratePassword bool `help:"Make a password and print it." xor:"password"`
}

// read returns the password that the flags name; without any it asks.
func (p *passwordFlags) read(e *env) (directory.Secret, error) {
	switch {
	case p.GeneratePassword:
		return newPassword(), nil
	case p.PasswordStdin:
		return readPasswordLine(e.stdin)
	}
	tty := terminal(e.stdin)
	if tty == nil {
		return "", &usageError{err: errors.New("there is no terminal to ask for a password; " +
			"use --password-stdin or --generate-password")}
	}
	ask := func(prompt string) (directory.Secret, error) {
		fmt.Fprint(e.stderr, prompt)
		text, err := term.ReadPassword(int(tty.Fd()))
		fmt.Fprintln(e.stderr)
		if err != nil {
			return "", fmt.Errorf("read password: %w", err)
		}

		return directory.Secret(text), nil
	}
	first, err := ask("Password: ")
	if err != nil {
		return "", err
	}
	again, err := ask("The same again: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", errors.New("the two passwords differ; nothing was changed")
	}

	return first, nil
}

func readPasswordLine(r io.Reader) (directory.Secret, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxPasswordLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read password: %w", err)
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", errors.New("standard input holds no password on its first line")
	}

	return directory.Secret(line), nil
}

// secretFrom returns a password that exists elsewhere: from the first line of
// standard input or of a file, from the environment, or typed. It never comes
// from the command line, which others can see.
func secretFrom(e *env, stdin bool, file, variable, prompt string) (directory.Secret, error) {
	switch {
	case stdin:
		return readPasswordLine(e.stdin)
	case file != "":
		return secretInFile(file)
	}
	if p := os.Getenv(variable); p != "" {
		return directory.Secret(p), nil
	}
	tty := terminal(e.stdin)
	if tty == nil {
		return "", &usageError{err: errors.New("there is no terminal to ask for a password; use --password-stdin, --password-file or " + variable)}
	}
	fmt.Fprint(e.stderr, prompt)
	text, err := term.ReadPassword(int(tty.Fd()))
	fmt.Fprintln(e.stderr)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}

	return directory.Secret(text), nil
}

func secretInFile(name string) (directory.Secret, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	defer f.Close()
	p, err := readPasswordLine(f)
	if err != nil {
		return "", fmt.Errorf("%s holds no password on its first line: %w", name, err)
	}

	return p, nil
}

// newPassword makes one of 100 bits that can be read out and typed.
func newPassword() directory.Secret {
	t := strings.ToLower(rand.Text()[:20])

	return directory.Secret(t[:5] + "-" + t[5:10] + "-" + t[10:15] + "-" + t[15:])
}
