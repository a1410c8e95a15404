package control_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/control"
)

// TestLinesOfTheLogAreChosen looks for lines among those in memory and among all.
func TestLinesOfTheLogAreChosen(t *testing.T) {
	begin := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	var all []string
	for i := range 1000 {
		level := map[bool]string{true: "WARN", false: "INFO"}[i%100 == 7]
		service := map[bool]string{true: "imap", false: "importer"}[i%2 == 0]
		line := fmt.Sprintf("time=%s level=%s msg=\"line %d of Ada\" service=%s", begin.Add(time.Duration(i)*time.Second).Format("2006-01-02T15:04:05.000Z07:00"), level, i, service)
		if i == 500 {
			line = fmt.Sprintf(`{"time":%q,"level":"ERROR","msg":"line 500","service":"imap"}`, begin.Add(500*time.Second).Format(time.RFC3339Nano))
		}
		all = append(all, line)
	}
	c := newLogClient(t, all)
	for name, tt := range map[string]struct {
		filter     control.LogFilter
		n          int
		first, end string
	}{
		"the newest":        {control.LogFilter{Lines: 3}, 3, "line 997", "line 999"},
		"of those at hand":  {control.LogFilter{Lines: 10, Find: "line 89 "}, 0, "", ""},
		"of all":            {control.LogFilter{Lines: 10, Find: "LINE 89 OF ADA", All: true}, 1, "line 89 ", "line 89 "},
		"warnings":          {control.LogFilter{Lines: 50, Least: "warn", All: true}, 11, "line 7 ", "line 907"},
		"errors":            {control.LogFilter{Lines: 50, Least: "error", All: true}, 1, "line 500", "line 500"},
		"a service":         {control.LogFilter{Lines: 2, Service: "imap", All: true}, 2, "line 996", "line 998"},
		"no part of a name": {control.LogFilter{Lines: 2, Service: "import", All: true}, 0, "", ""},
		"a time":            {control.LogFilter{Lines: 100, Since: begin.Add(10 * time.Second), Until: begin.Add(20 * time.Second), All: true}, 10, "line 10 ", "line 19 "},
		"none":              {control.LogFilter{All: true}, 0, "", ""},
	} {
		got, err := c.LogLines(t.Context(), &tt.filter)
		if err != nil || len(got) != tt.n {
			t.Errorf("%s: %d lines, want %d: %v %.200q", name, len(got), tt.n, err, got)
			continue
		}
		if tt.n > 0 && (!strings.Contains(got[0], tt.first) || !strings.Contains(got[tt.n-1], tt.end)) {
			t.Errorf("%s: %q to %q", name, got[0], got[tt.n-1])
		}
	}
	for _, f := range []control.LogFilter{{Lines: -1}, {Least: "loud"}} {
		if _, err := c.LogLines(t.Context(), &f); err == nil {
			t.Errorf("%+v is no error", f)
		}
	}
}

// newLogClient asks a handler with a log, of which the last 100 lines are in memory.
func newLogClient(t *testing.T, all []string) *control.Client {
	t.Helper()
	h := control.NewHandler(&control.Config{
		Logger: discard(),
		Log:    func(n int) []string { return all[len(all)-min(n, 100):] },
		LogAll: func(w io.Writer) error {
			text := strings.Join(all, "\n") + "\n"
			for len(text) > 0 { // in pieces that end anywhere
				n := min(777, len(text))
				if _, err := io.WriteString(w, text[:n]); err != nil {
					return err
				}
				text = text[n:]
			}
			return nil
		},
	})
	c, stop := control.Local(t.Context(), h, discard())
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})

	return c
}
