package imap

import (
	"strings"
	"testing"
	"time"
)

func TestMatcher(t *testing.T) {
	tests := []struct {
		name      string
		reference string
		pattern   string
		matches   []string
		others    []string
	}{
		{"a name matches itself only", "", "a/b", []string{"a/b"}, []string{"a", "a/b/c", "b", "A/B"}},
		{"star crosses levels", "", "*", []string{"INBOX", "a", "a/b", "a/b/c"}, nil},
		{"percent stays on its level", "", "%", []string{"INBOX", "a"}, []string{"a/b", "a/b/c"}},
		{"percent in the middle", "", "a/%/c", []string{"a/b/c", "a//c"}, []string{"a/c", "a/b/b/c"}},
		{"star in the middle", "", "a*c", []string{"ac", "abc", "a/b/c"}, []string{"a", "ab", "xac"}},
		{"runs of wildcards are one", "", "a%%*%%c", []string{"ac", "a/b/c"}, []string{"ab"}},
		{"a run of percents is one", "", "%%%%", []string{"a"}, []string{"a/b"}},
		{"the reference comes in front", "a/", "%", []string{"a/b"}, []string{"b", "a/b/c", "a"}},
		{"a delimiter at the end is dropped", "", "a/", []string{"a"}, []string{"a/b"}},
		{"INBOX in any case", "", "inBox", []string{"INBOX"}, []string{"inBox", "INBOX/a"}},
		{"INBOX by a wildcard in any case", "", "in%", []string{"INBOX", "inner"}, []string{"INBOX/a"}},
		{"what is below INBOX in any case", "", "inbox/%", []string{"INBOX/a"}, []string{"INBOX"}},
		{"INBOX and what is below it", "", "inbox*", []string{"INBOX", "INBOX/a", "inboxes"}, nil},
		{"octets beyond ASCII", "", "Entw*fe", []string{"Entwürfe"}, []string{"Entwurf"}},
		{"a pattern of more than four words", "", strings.Repeat("a%", 200), []string{strings.Repeat("a", 200), strings.Repeat("ab", 200)}, []string{strings.Repeat("a", 199)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMatcher(tt.reference, []string{tt.pattern})
			for _, name := range tt.matches {
				if !m.match(name) {
					t.Errorf("%q does not match", name)
				}
			}
			for _, name := range tt.others {
				if m.match(name) {
					t.Errorf("%q matches", name)
				}
			}
		})
	}
}

// TestMatchTakesLinearTime has a pattern that makes backtracking matchers try
// billions of ways.
func TestMatchTakesLinearTime(t *testing.T) {
	p := compile(strings.Repeat("*a%a", 100) + "b")
	name := strings.Repeat("a", 1000)
	matched := make(chan bool, 1)
	go func() { matched <- p.match(name) }()
	select {
	case got := <-matched:
		if got {
			t.Error("it must not match")
		}
	case <-time.After(30 * time.Second):
		t.Error("it tries every way")
	}
}

// naive matches by trying all ways.
func naive(pattern, name string) bool {
	if pattern == "" {
		return name == ""
	}
	switch pattern[0] {
	case '*', '%':
		for i := 0; ; i++ {
			if naive(pattern[1:], name[i:]) {
				return true
			}
			if i == len(name) || pattern[0] == '%' && name[i] == '/' {
				return false
			}
		}
	}
	return name != "" && name[0] == pattern[0] && naive(pattern[1:], name[1:])
}

func FuzzMatch(f *testing.F) {
	f.Add("*", "a/b")
	f.Add("%/%", "a/b")
	f.Add("a*b%c", "a/bbc")
	f.Add("%*%", "")
	f.Add(strings.Repeat("ab", 40)+"%", strings.Repeat("ab", 41))
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if strings.Count(pattern, "*")+strings.Count(pattern, "%") > 8 || len(name) > 100 {
			t.Skip("the naive matcher would take too long")
		}
		if got, want := compile(pattern).match(name), naive(pattern, name); got != want {
			t.Errorf("match %q with %q: got %v", name, pattern, got)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	m := newMatcher("", []string{"*/Projects/%"})
	b.ReportAllocs()
	for b.Loop() {
		m.match("Customers/Miller and Sons/Projects/2026")
	}
}
