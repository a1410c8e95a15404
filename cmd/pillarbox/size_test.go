package main

import "testing"

func TestSizes(t *testing.T) {
	for text, want := range map[string]size{
		"0": 0, "1000": 1000, "5k": 5 << 10, "500M": 500 << 20, "10G": 10 << 30, "10GiB": 10 << 30, "10gb": 10 << 30, " 2T ": 2 << 40,
	} {
		var got size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "G", "-1", "1.5G", "10X", "9999999999T", "lots"} {
		var got size
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: %d, want an error", text, got)
		}
	}
	for want, s := range map[string]size{
		"0 B": 0, "1023 B": 1023, "1.0 KiB": 1024, "1.5 MiB": 3 << 19, "10.0 GiB": 10 << 30, "2048.0 TiB": 2 << 50,
	} {
		if got := s.String(); got != want {
			t.Errorf("%d: %q, want %q", int64(s), got, want)
		}
	}
}
