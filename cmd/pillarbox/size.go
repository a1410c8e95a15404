package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// size is a number of octets that is written as people do: 500M, 10G.
type size int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *size) UnmarshalText(text []byte) error {
	t := strings.ToUpper(strings.TrimSpace(string(text)))
	t = strings.TrimSuffix(strings.TrimSuffix(t, "B"), "I")
	shift := 0
	if i := strings.IndexAny("KMGT", last(t)); i >= 0 && t != "" {
		shift, t = 10*(i+1), t[:len(t)-1]
	}
	n, err := strconv.ParseInt(t, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64>>shift {
		return fmt.Errorf("%q is not a size, such as 500M or 10G", text)
	}
	*s = size(n << shift)

	return nil
}

// String returns the size in the largest unit that fits.
func (s size) String() string {
	if s < 1<<10 {
		return fmt.Sprintf("%d B", int64(s))
	}
	f, unit := float64(s), -1
	for f >= 1<<10 && unit < 3 {
		f /= 1 << 10
		unit++
	}

	return fmt.Sprintf("%.1f %ciB", f, "KMGT"[unit])
}

func last(s string) string {
	if s == "" {
		return " "
	}

	return s[len(s)-1:]
}
