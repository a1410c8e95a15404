package main

import (
	"testing"
	"time"
)

func TestBanTime(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30m": 30 * time.Minute, "12h": 12 * time.Hour, "7d": 7 * 24 * time.Hour, "1s": time.Second, "1h30m": 90 * time.Minute,
		"4095d": 4095 * 24 * time.Hour, "4096d": 0, "0": 0, "0d": 0, "-1h": 0, "-1d": 0, "1ms": 0, "d": 0, "": 0, "forever": 0,
		"1d12h": 0, "99999999999d": 0,
	} {
		var got banTime
		if err := got.UnmarshalText([]byte(text)); (err == nil) != (want > 0) || time.Duration(got) != want {
			t.Errorf("%q is %v, %v; want %v", text, time.Duration(got), err, want)
		}
	}
}

func FuzzBanTime(f *testing.F) {
	for _, seed := range []string{"30m", "7d", "1h30m", "-1d", "99999999999d", "0.5d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var d banTime
		if err := d.UnmarshalText([]byte(text)); err == nil && time.Duration(d) < time.Second {
			t.Errorf("%q is %v", text, time.Duration(d))
		}
	})
}
