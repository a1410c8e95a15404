package directory_test

import (
	"strings"
	"testing"

	"pillarbox/appliance/directory"
)

func TestPHC(t *testing.T) {
	good := directory.HashWeakly(password)
	salt, key := "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAA"
	costs := func(c string) string { return "$argon2id$v=19$" + c + "$" + salt + "$" + key }
	tests := []struct {
		name, in string
		ok       bool
	}{
		{"our own", good, true},
		{"made by hand", costs("m=64,t=1,p=1"), true},
		{"nothing", "", false},
		{"another algorithm", strings.Replace(good, "argon2id", "argon2i", 1), false},
		{"another version", strings.Replace(good, "v=19", "v=16", 1), false},
		{"too much memory", costs("m=262145,t=1,p=1"), false},
		{"memory beyond 32 bits", costs("m=4294967360,t=1,p=1"), false},
		{"too little memory for the threads", costs("m=64,t=1,p=9"), false},
		{"too many passes", costs("m=64,t=17,p=1"), false},
		{"no pass", costs("m=64,t=0,p=1"), false},
		{"no thread", costs("m=64,t=1,p=0"), false},
		{"256 threads, which would be none", costs("m=4096,t=1,p=256"), false},
		{"leading zero", costs("m=064,t=1,p=1"), false},
		{"sign", costs("m=+64,t=1,p=1"), false},
		{"other order", costs("t=1,m=64,p=1"), false},
		{"a cost missing", costs("m=64,t=1"), false},
		{"a cost too many", costs("m=64,t=1,p=1,x=1"), false},
		{"short key", "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$AAAA", false},
		{"no key", "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$", false},
		{"short salt", "$argon2id$v=19$m=64,t=1,p=1$AAAA$" + key, false},
		{"padded base64", "$argon2id$v=19$m=64,t=1,p=1$" + salt + "==$" + key, false},
		{"line break in base64", "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$AAAA\nAAAAAAAAAAAAAAAAAA", false},
		{"bits left over in base64", "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$AAAAAAAAAAAAAAAAAAAAAB", false},
		{"more behind", good + "$x", false},
		{"huge", costs("m=64,t=1,p=1") + strings.Repeat("A", 1000), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := directory.RoundTripPHC(tt.in)
			if (err == nil) != tt.ok {
				t.Errorf("error %v", err)
			}
			if tt.ok && got != tt.in {
				t.Errorf("got %s, want %s", got, tt.in)
			}
		})
	}
}

func TestPHCMatches(t *testing.T) {
	good := directory.HashWeakly(password)
	for _, tt := range []struct {
		name, hash, password string
		want                 bool
	}{
		{"right", good, password, true},
		{"wrong", good, password + " ", false},
		{"empty", good, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := directory.Matches(tt.hash, tt.password)
			if err != nil || got != tt.want {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	if directory.HashWeakly(password) == good {
		t.Error("two hashes of one password are the same")
	}
}

func FuzzPHC(f *testing.F) {
	f.Add(directory.HashWeakly("password"))
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=0,t=0,p=0$$")
	f.Add("$$$$$")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := directory.RoundTripPHC(s)
		if err == nil && got != s {
			t.Errorf("%q became %q", s, got)
		}
	})
}
