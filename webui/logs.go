package webui

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// logPage is the end of the log.
type logPage struct {
	Lines []string
	Find  string
	Least string // "", "warn" or "error"
	Live  string // where more comes from
}

const (
	logLines  = 500
	logBundle = 10_000
)

func (s *Server) logRoutes() []Route {
	return []Route{
		{Pattern: "GET /logs", Role: Auditor, Nav: "Log", Section: "System", Handle: (*visit).logs},
		{Pattern: "GET /live/logs", Role: Auditor, Stream: true, Handle: (*visit).logsLive},
		{Pattern: "GET /logs/pillarbox.log", Role: Auditor, Handle: (*visit).logFile},
	}
}

func (v *visit) logs() error {
	d := logPage{Find: v.r.URL.Query().Get("find"), Least: v.r.URL.Query().Get("least")}
	lines, err := v.logTail(logLines)
	if err != nil {
		return err
	}
	d.Lines = d.choose(lines)
	d.Live = "/live/logs"
	if q := v.r.URL.RawQuery; q != "" {
		d.Live += "?" + v.r.URL.Query().Encode()
	}

	return v.show("logs", "Log", d)
}

func (v *visit) logTail(n int) (lines []string, err error) {
	return lines, v.call(http.MethodGet, "/v1/log?lines="+strconv.Itoa(n), nil, &lines)
}

// choose returns those lines that are searched for.
func (d *logPage) choose(lines []string) []string {
	levels := map[string][]string{"warn": {"level=WARN", "level=ERROR"}, "error": {"level=ERROR"}}[d.Least]

	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
		loud := len(levels) == 0 || slices.ContainsFunc(levels, func(l string) bool { return strings.Contains(line, l) })
		return !loud || !strings.Contains(strings.ToLower(line), strings.ToLower(d.Find))
	})
}

// logsLive sends the lines that come.
func (v *visit) logsLive() error {
	d := logPage{Find: v.r.URL.Query().Get("find"), Least: v.r.URL.Query().Get("least")}
	seen, err := v.logTail(logLines)
	if err != nil {
		return err
	}

	return v.stream(time.Second, func() (string, error) {
		lines, err := v.logTail(logLines)
		if err != nil {
			return "", err
		}
		fresh := after(seen, lines)
		seen = lines
		return strings.Join(d.choose(fresh), "\n"), nil
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
	lines, err := v.logTail(logBundle)
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	v.w.Header().Set("Content-Disposition", `attachment; filename="pillarbox.log"`)
	_, _ = v.w.Write([]byte(strings.Join(lines, "\n") + "\n")) // a browser that has gone asks again

	return nil
}
