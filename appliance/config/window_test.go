package config

import (
	"testing"
	"time"
	_ "time/tzdata" // the machine may have no time zones
)

func TestAWindowOpensByTheClocksOfThePlace(t *testing.T) {
	for name, c := range map[string]struct {
		window          Window
		zone, now, want string
	}{
		"later today": {Window{From: "22:00", To: "23:00"}, "Europe/Berlin", "2026-01-10 12:00", "2026-01-10 22:00"},
		"over night, begun yesterday": {
			Window{Days: []string{"sat"}, From: "22:00", To: "02:00"}, "Europe/Berlin", "2026-01-11 01:30", "2026-01-11 01:30",
		},
		"hours of one digit":            {Window{From: "9:00", To: "10:00"}, "Europe/Berlin", "2026-01-10 12:00", "2026-01-11 09:00"},
		"an hour that the clocks leave": {Window{From: "02:30", To: "03:00"}, "Europe/Berlin", "2026-03-28 12:00", "2026-03-30 02:30"},
		"that one day, at noon":         {Window{From: "02:30", To: "03:00"}, "Europe/Berlin", "2026-03-29 12:00", "2026-03-30 02:30"},
		"one that the clocks leave, once a week": {
			Window{Days: []string{"sun"}, From: "02:30", To: "03:00"}, "Europe/Berlin", "2026-03-24 12:00", "2026-04-05 02:30",
		},
		"longer than what the clocks leave":  {Window{From: "01:00", To: "04:00"}, "Europe/Berlin", "2026-03-29 03:59", "2026-03-29 03:59"},
		"an hour that the clocks show twice": {Window{From: "02:00", To: "03:00"}, "Europe/Berlin", "2026-10-24 12:00", "2026-10-25 02:00"},
		"a midnight that the clocks leave": {
			Window{Days: []string{"sun"}, From: "00:00", To: "04:00"}, "America/Sao_Paulo", "2018-11-03 12:00", "2018-11-03 23:00",
		},
	} {
		t.Run(name, func(t *testing.T) {
			zone, err := time.LoadLocation(c.zone)
			if err != nil {
				t.Fatal(err)
			}
			const form = "2006-01-02 15:04"
			now, err := time.ParseInLocation(form, c.now, zone)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.window.validate(); err != nil {
				t.Fatal(err)
			}
			if got := c.window.next(now).Format(form); got != c.want {
				t.Errorf("at %s it opens at %s, want %s", c.now, got, c.want)
			}
		})
	}
}
