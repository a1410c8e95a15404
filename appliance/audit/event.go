package audit

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Names of values that every kind may have.
const (
	ValueActor   = "actor"
	ValueAccount = "account"
	ValueRemote  = "remote"
	ValuePort    = "port"
	ValueBefore  = "before"
	ValueAfter   = "after"
	ValueCount   = "count" // of a summarised kind: how many were alike
	ValueSince   = "since" // and when the first of them was; the record's time is that of the last
)

// Bounds of what one event may say. What is longer is cut.
const (
	maxValue  = 1024 // octets
	maxValues = 24
)

// Event is something that happened. Fields that mean nothing for its kind stay
// empty. It must not hold a password.
type Event struct {
	Kind    Kind
	Actor   string // who did it: "command line, uid 1000", an administrator's name, "the box"
	Account string // whom it is about
	Remote  string // the address it came from, without the port
	Port    int    // the port of ours that it came to
	Before  string // what was, in words or JSON
	After   string // what is
	Count   int    // of a summarised kind: how many are told at once; 0 means 1
	// More are further values by their names, which Kinds lists: lower-case
	// words. Empty ones are left out.
	More map[string]string
}

// values returns what is recorded of an event.
func (e *Event) values() map[string]string {
	v := make(map[string]string, len(e.More)+6)
	put := func(name, value string) {
		if value = clean(value); value != "" && len(v) < maxValues {
			v[name] = value
		}
	}
	put(ValueActor, e.Actor)
	put(ValueAccount, e.Account)
	put(ValueRemote, e.Remote)
	if e.Port != 0 {
		put(ValuePort, strconv.Itoa(e.Port))
	}
	put(ValueBefore, e.Before)
	put(ValueAfter, e.After)
	for name, value := range e.More {
		if validName(name) {
			put(name, value)
		}
	}

	return v
}

// clean makes a value safe to show on a terminal and bounds it.
func clean(s string) string {
	cut := len(s) > maxValue
	if cut {
		s = s[:maxValue-len("…")]
		for len(s) > 0 && !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]) {
			if r, size := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || size != 1 {
				break
			}
			s = s[:len(s)-1]
		}
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if cut {
		s += "…"
	}

	return s
}

// validName tells whether a value may have this name.
func validName(name string) bool {
	if name == "" || len(name) > 32 {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}

	return true
}

// stamp is the time as records hold it: milliseconds, UTC.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
