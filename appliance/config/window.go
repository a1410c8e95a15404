package config

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Window is a part of the week, in the office's time zone.
type Window struct {
	// Days are those on which it begins ("mon" … "sun"); none means every day.
	Days []string `json:"days,omitempty"`
	// From and To are times of day such as "22:00"; one that ends before it
	// begins ends on the next day.
	From string `json:"from"`
	To   string `json:"to"`
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

const clockForm = "15:04"

func (w *Window) validate() error {
	var errs []error
	for i, d := range w.Days {
		if !slices.Contains(weekdays, d) {
			errs = append(errs, fmt.Errorf("days[%d]: %q is none of mon, tue, wed, thu, fri, sat and sun", i, d))
		}
	}
	for _, t := range []struct{ name, text string }{{"from", w.From}, {"to", w.To}} {
		if _, err := time.Parse(clockForm, t.text); err != nil {
			errs = append(errs, fmt.Errorf("%s: %q is not a time of day such as 22:00", t.name, t.text))
		}
	}
	if len(errs) == 0 && clock(w.From).Equal(clock(w.To)) {
		errs = append(errs, errors.New("to: the window ends when it begins"))
	}

	return errors.Join(errs...)
}

// Next returns when changes may be applied next: now, if they may. There is no
// window where the document has none.
func (d *Document) Next(now time.Time) time.Time {
	if d.Changes.Window == nil {
		return now
	}

	return d.Changes.Window.next(now.In(d.Office.Place()))
}

// next returns when the window is open next: now, if it is.
func (w *Window) next(now time.Time) time.Time {
	// One that began yesterday may still be open.
	for day := -1; day <= 15; day++ {
		begin, end := onDay(now, day, w.From), onDay(now, day, w.To)
		if overnight := !clock(w.To).After(clock(w.From)); overnight {
			end = onDay(now, day+1, w.To)
		}
		// On the day on which clocks are put forward there may be no such time.
		if !w.on(now, day) || !end.After(begin) || !end.After(now) {
			continue
		}
		if begin.Before(now) {
			return now
		}
		return begin
	}

	return now // not reached by a valid window
}

// on tells whether the window begins on a day some days from now.
func (w *Window) on(now time.Time, days int) bool {
	y, m, d := now.Date()

	return len(w.Days) == 0 || slices.Contains(w.Days, weekdays[time.Date(y, m, d+days, 12, 0, 0, 0, time.UTC).Weekday()])
}

// clock reads a time of day that was validated.
func clock(text string) time.Time {
	c, _ := time.Parse(clockForm, text)

	return c
}

// onDay returns a time of day some days from now.
func onDay(now time.Time, days int, text string) time.Time {
	c := clock(text)
	y, m, d := now.Date()

	return time.Date(y, m, d+days, c.Hour(), c.Minute(), 0, 0, now.Location())
}
