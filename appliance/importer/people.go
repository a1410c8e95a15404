package importer

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxPeople bounds the people of a job.
const MaxPeople = 10_000

const (
	maxCSV      = 8 << 20 // octets
	maxUserName = 320     // octets
	maxSecret   = 16 << 10
	maxProblems = 20 // that are told at once
)

// Login is a person at the source, and the account to which the mail goes.
type Login struct {
	User    string `json:"user"`
	Account string `json:"account"`          // address
	Secret  Secret `json:"secret,omitempty"` // "" where an administrator signs in
}

// columns are the names that a list's first line may have.
var columns = map[string]string{
	"user": "user", "username": "user", "login": "user", "source": "user", "from": "user", "benutzer": "user",
	"account": "account", "address": "account", "email": "account", "e-mail": "account", "to": "account", "adresse": "account", "konto": "account",
	"password": "secret", "secret": "secret", "token": "secret", "passwort": "secret", "kennwort": "secret",
}

// ParsePeople reads a list of people: a line each with the user at the source,
// the address of the account here (if it is another) and the password (unless
// an administrator signs in), with commas, semicolons or tabs between them. The
// first line may name the columns, in any order. All problems are told, with
// their lines; no text of the list is in them but the names of columns.
func ParsePeople(in io.Reader) ([]Login, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxCSV+1))
	if err != nil {
		return nil, fmt.Errorf("read the list of people: %w", err)
	}
	if len(text) > maxCSV {
		return nil, fmt.Errorf("the list of people is larger than %d MB", maxCSV>>20)
	}
	if !utf8.Valid(text) {
		return nil, errors.New("the list of people is not UTF-8: save it so")
	}
	list := strings.TrimPrefix(string(text), "\ufeff")
	c := csv.NewReader(strings.NewReader(list))
	c.Comma, c.Comment = separator(list), '#'
	c.FieldsPerRecord, c.TrimLeadingSpace = -1, true
	p := &peopleParser{order: []string{"user", "account", "secret"}, lines: map[string]int{}}
	for {
		row, err := c.Read()
		if err == io.EOF {
			break
		}
		var syntax *csv.ParseError
		if errors.As(err, &syntax) {
			p.wrong(syntax.Line, "%v", syntax.Err)
			break
		}
		if err != nil {
			return nil, err
		}
		line, _ := c.FieldPos(0)
		if p.rows++; p.rows > MaxPeople+1 || len(p.people) >= MaxPeople {
			p.wrong(line, "there are more than %d people", MaxPeople)
			break
		}
		p.row(line, row)
	}
	if len(p.people) == 0 && len(p.errs) == 0 {
		return nil, errors.New("the list names nobody")
	}
	return p.people, errors.Join(p.errs...)
}

// separator finds what a list has between its columns.
func separator(list string) rune {
	for line := range strings.Lines(list) {
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		best, n := ',', strings.Count(line, ",")
		for _, r := range ";\t" {
			if c := strings.Count(line, string(r)); c > n {
				best, n = r, c
			}
		}
		return best
	}
	return ','
}

type peopleParser struct {
	people []Login
	order  []string
	lines  map[string]int // in which an account was named
	rows   int
	errs   []error
}

func (p *peopleParser) wrong(line int, format string, args ...any) {
	if len(p.errs) < maxProblems {
		p.errs = append(p.errs, fmt.Errorf("line %d: %w", line, fmt.Errorf(format, args...)))
	}
}

func (p *peopleParser) row(line int, row []string) {
	if p.rows == 1 && p.heads(line, row) {
		return
	}
	if len(row) > len(p.order) {
		p.wrong(line, "it has %d columns, and %d are known", len(row), len(p.order))
		return
	}
	var l Login
	for i, text := range row {
		if strings.ContainsAny(text, "\x00\r\n") {
			p.wrong(line, "a line end or NUL is within a column")
			return
		}
		switch p.order[i] {
		case "user":
			l.User = strings.TrimSpace(text)
		case "account":
			l.Account = strings.TrimSpace(text)
		case "secret":
			l.Secret = Secret(text)
		}
	}
	if l.User == "" {
		l.User = l.Account
	}
	if l.Account == "" {
		l.Account = l.User
	}
	key := strings.ToLower(l.Account + "\n" + l.User)
	switch {
	case l.User == "":
		p.wrong(line, "it names nobody")
		return
	case len(l.User) > maxUserName || len(l.Account) > maxUserName || len(l.Secret) > maxSecret:
		p.wrong(line, "a column is too long")
		return
	case p.lines[key] != 0:
		p.wrong(line, "line %d names the same", p.lines[key])
		return
	}
	p.lines[key] = line
	p.people = append(p.people, l)
}

// heads tells whether the first line names the columns, and takes their order.
func (p *peopleParser) heads(line int, row []string) bool {
	var order []string
	for _, name := range row {
		order = append(order, columns[strings.ToLower(strings.TrimSpace(name))])
	}
	known := slices.DeleteFunc(slices.Clone(order), func(s string) bool { return s == "" })
	if order[0] == "" { // a password may well be called as a column
		return false
	}
	slices.Sort(known)
	switch {
	case len(known) != len(order):
		p.wrong(line, "it names a column that is not known; known are user, account and password")
	case len(slices.Compact(known)) != len(order):
		p.wrong(line, "it names a column twice")
	}
	if len(p.errs) == 0 {
		p.order = order
	}
	return true
}
