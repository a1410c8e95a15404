package webui

import (
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// logPage is what of the log is shown, and how it was chosen.
type logPage struct {
	Lines          []string
	Find           string
	Least          string // "", "warn" or "error"
	Service        string
	Services       []string
	Since, Until   string // as the browser's fields have them, in the office's zone
	Live           string // where more comes from; "" where what is shown has ended
	Chosen, Bundle string // where what is chosen, and everything, is as a file
}

const (
	logLines  = 500
	logBundle = 10_000
	logMoment = "2006-01-02T15:04"
)

func (s *Server) logRoutes() []Route {
	return []Route{
		{Pattern: "GET /logs", Role: Auditor, Nav: "Log", Section: "System", Handle: (*visit).logs},
		{Pattern: "GET /live/logs", Role: Auditor, Stream: true, Handle: (*visit).logsLive},
		{Pattern: "GET /logs/pillarbox.log", Role: Auditor, Handle: (*visit).logFile},
	}
}

func (v *visit) logs() error {
	d, choice := v.logChoice()
	lines, err := v.logTail(logLines, choice, len(choice) > 0)
	if err != nil {
		return err
	}
	d.Lines = lines
	query := ""
	if len(choice) > 0 {
		query = "?" + v.r.URL.Query().Encode()
		d.Chosen = "/logs/pillarbox.log" + query
	}
	d.Bundle = "/logs/pillarbox.log"
	if d.Until == "" {
		d.Live = "/live/logs" + query
	}

	return v.show("logs", "Log", d)
}

// logChoice reads what lines are wanted, and makes a query for the API of it; what
// is no time or level chooses nothing.
func (v *visit) logChoice() (d logPage, choice url.Values) {
	q := v.r.URL.Query()
	d = logPage{Find: q.Get("find"), Least: q.Get("least"), Service: q.Get("service"), Services: logServices()}
	choice = url.Values{}
	for name, value := range map[string]string{"find": d.Find, "service": d.Service} {
		if value != "" {
			choice.Set(name, value)
		}
	}
	if d.Least == "warn" || d.Least == "error" {
		choice.Set("least", d.Least)
	}
	for name, shown := range map[string]*string{"since": &d.Since, "until": &d.Until} {
		if at, err := time.ParseInLocation(logMoment, q.Get(name), v.s.office.zone()); err == nil {
			*shown = at.Format(logMoment)
			choice.Set(name, at.Format(time.RFC3339))
		}
	}

	return d, choice
}

// logServices are the parts of the box, as its log calls them.
func logServices() []string {
	return []string{
		"access", "audit", "certs", "config", "control", "delivery", "directory", "exporter", "health", "imap", "importer", "lmtp",
		"metrics", "plans", "ports", "restart", "setup", "storage", "web",
	}
}

// logTail returns the newest lines of a choice: of those in memory, or of all that
// are kept.
func (v *visit) logTail(n int, choice url.Values, all bool) (lines []string, err error) {
	q := maps.Clone(choice)
	q.Set("lines", strconv.Itoa(n))
	if all {
		q.Set("all", "yes")
	}

	return lines, v.call(http.MethodGet, "/v1/log?"+q.Encode(), nil, &lines)
}

// logsLive sends the lines that come.
func (v *visit) logsLive() error {
	_, choice := v.logChoice()
	seen, err := v.logTail(logLines, choice, false)
	if err != nil {
		return err
	}

	return v.stream(time.Second, func() (string, error) {
		lines, err := v.logTail(logLines, choice, false)
		if err != nil {
			return "", err
		}
		fresh := after(seen, lines)
		if len(seen) > 0 && len(fresh) == len(lines) && len(lines) > 0 {
			fresh = append([]string{"… lines came faster than they are shown here; download the log for all of them …"}, fresh...)
		}
		if len(lines) > 0 {
			seen = lines
		}
		return strings.Join(fresh, "\n"), nil
	})
}

// after returns the lines of now that came after before.
func after(before, now []string) []string {
	if len(before) == 0 {
		return now
	}
	last := before[len(before)-1]
	for i := len(now) - 1; i >= 0; i-- {
		if now[i] == last {
			return now[i+1:]
		}
	}

	return now
}

func (v *visit) logFile() error {
	_, choice := v.logChoice()
	lines, err := v.logTail(logBundle, choice, true)
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	v.w.Header().Set("Content-Disposition", `attachment; filename="pillarbox.log"`)
	_, _ = v.w.Write([]byte(strings.Join(lines, "\n") + "\n")) // a browser that has gone asks again

	return nil
}
