package control

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxLogLines is how many lines of the log are answered at most.
const maxLogLines = 20_000

// LogFilter chooses lines of the log. Zero fields choose all.
type LogFilter struct {
	Find    string // anywhere in the line, in whatever case
	Least   string // "warn" or "error": no milder ones
	Service string // such as "imap"
	Since   time.Time
	Until   time.Time // not included
	All     bool      // of what is kept in files, too; else of the newest, which are in memory
	Lines   int       // how many at most: the newest
}

func (h *Handler) getLog(w http.ResponseWriter, r *http.Request) error {
	f, err := logFilter(r.URL.Query())
	if err != nil {
		return badRequest(err)
	}
	s := lineSieve{f: f}
	switch {
	case f.All && h.logAll != nil:
		if err := h.logAll(&s); err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		s.end()
	case h.lines != nil:
		for _, line := range h.lines(maxLogLines) {
			s.line([]byte(line))
		}
	}

	return writeJSON(w, http.StatusOK, s.newest())
}

func logFilter(q url.Values) (*LogFilter, error) {
	f := &LogFilter{Find: strings.ToLower(q.Get("find")), Least: q.Get("least"), Service: q.Get("service"), All: q.Get("all") == "yes"}
	var err error
	if f.Lines, err = strconv.Atoi(q.Get("lines")); err != nil || f.Lines < 0 {
		return nil, fmt.Errorf("lines: a number is wanted")
	}
	f.Lines = min(f.Lines, maxLogLines)
	if f.Least != "" && f.Least != "warn" && f.Least != "error" {
		return nil, fmt.Errorf("least: warn or error is wanted")
	}
	for name, t := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		if s := q.Get(name); s != "" {
			if *t, err = time.Parse(time.RFC3339, s); err != nil {
				return nil, fmt.Errorf("%s: a time like 2026-11-27T13:00:00Z is wanted", name)
			}
		}
	}

	return f, nil
}

// takes tells whether the filter chooses a line, as slog writes it: in words or in
// JSON.
func (f *LogFilter) takes(line []byte) bool {
	if f.Least != "" {
		levels := []string{"ERROR", "WARN"}
		if f.Least == "error" {
			levels = levels[:1]
		}
		if !slices.ContainsFunc(levels, func(level string) bool { return says(line, "level", level) }) {
			return false
		}
	}
	if f.Service != "" && !says(line, "service", f.Service) {
		return false
	}
	if !f.Since.IsZero() || !f.Until.IsZero() {
		at, ok := timeOf(line)
		if !ok || at.Before(f.Since) || !f.Until.IsZero() && !at.Before(f.Until) {
			return false
		}
	}

	return f.Find == "" || bytes.Contains(bytes.ToLower(line), []byte(f.Find))
}

// says tells whether a line has a key with a value.
func says(line []byte, key, value string) bool {
	if bytes.Contains(line, []byte(`"`+key+`":"`+value+`"`)) {
		return true
	}
	word := []byte(" " + key + "=" + value)
	for {
		i := bytes.Index(line, word)
		if i < 0 {
			return false
		}
		if line = line[i+len(word):]; len(line) == 0 || line[0] == ' ' {
			return true
		}
	}
}

// timeOf reads when a line was written.
func timeOf(line []byte) (time.Time, bool) {
	for _, begin := range []string{"time=", `{"time":"`} {
		if rest, ok := bytes.CutPrefix(line, []byte(begin)); ok {
			if i := bytes.IndexAny(rest, ` "`); i >= 0 {
				rest = rest[:i]
			}
			at, err := time.Parse(time.RFC3339, string(rest))
			return at, err == nil
		}
	}

	return time.Time{}, false
}

// lineSieve is written a log, and keeps the newest lines that a filter chooses.
type lineSieve struct {
	f    *LogFilter
	kept []string
	rest []byte // of a line that goes on
}

// Write implements io.Writer.
func (s *lineSieve) Write(p []byte) (int, error) {
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			if len(s.rest) < maxAnswer {
				s.rest = append(s.rest, p...)
			}
			return n, nil
		}
		if len(s.rest) > 0 {
			s.rest = append(s.rest, p[:i]...)
			s.line(s.rest)
			s.rest = s.rest[:0]
		} else {
			s.line(p[:i])
		}
		p = p[i+1:]
	}
}

func (s *lineSieve) end() {
	if len(s.rest) > 0 {
		s.line(s.rest)
	}
}

func (s *lineSieve) line(line []byte) {
	if !s.f.takes(line) {
		return
	}
	if len(s.kept) >= 2*s.f.Lines && len(s.kept) > 0 { // few lines move the rest
		s.kept = append(s.kept[:0], s.kept[len(s.kept)-s.f.Lines:]...)
	}
	s.kept = append(s.kept, string(line))
}

// newest returns what was chosen, the oldest first.
func (s *lineSieve) newest() []string {
	return append([]string{}, s.kept[max(len(s.kept)-s.f.Lines, 0):]...)
}

// LogLines returns lines of the server's log, the oldest first.
func (c *Client) LogLines(ctx context.Context, f *LogFilter) ([]string, error) {
	q := url.Values{"lines": {strconv.Itoa(f.Lines)}}
	for name, value := range map[string]string{"find": f.Find, "least": f.Least, "service": f.Service} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, t := range map[string]time.Time{"since": f.Since, "until": f.Until} {
		if !t.IsZero() {
			q.Set(name, t.Format(time.RFC3339))
		}
	}
	if f.All {
		q.Set("all", "yes")
	}
	var lines []string

	return lines, c.call(ctx, http.MethodGet, "/v1/log?"+q.Encode(), nil, &lines)
}
