package message_test

import (
	"testing"

	"pillarbox/storage/message"
)

func TestMatcher(t *testing.T) {
	for _, tt := range []struct {
		name, needle, text string
		want               bool
	}{
		{"same", "hello", "say hello now", true},
		{"upper case", "HELLO", "say hElLo now", true},
		{"not there", "hello", "say hell now", false},
		{"empty needle", "", "", true},
		{"digits and signs", "@[`{", "x@[`{x", true},
		{"signs beside the letters are no letters", "@[", "`{", false},
		{"umlaut", "grüße", "GRÜßE", true},
		{"Greek sigma", "ΟΔΟΣ", "οδος", true},
		{"Cyrillic", "привет", "ПРИВЕТ", true},
		{"ASCII within other text", "b", "äBö", true},
		{"Kelvin sign is no k", "k", "\u212a", false},
		{"raw octets", "\xff", "a\xffb", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := message.NewMatcher(tt.needle).MatchString(tt.text); got != tt.want {
				t.Errorf("%q in %q = %v, want %v", tt.needle, tt.text, got, tt.want)
			}
		})
	}
}

func TestMatchHeaderValue(t *testing.T) {
	for _, tt := range []struct {
		name, needle, value string
		want                bool
	}{
		{"plain", "world", " Hello World\r\n", true},
		{"across a fold", "hello world", " Hello\r\n\tWorld\r\n", true},
		{"encoded word", "GRÜSSE", " =?utf-8?q?gr=C3=BCsse?=\r\n", true},
		{"encoded word is not looked at as it is", "utf-8", " =?utf-8?q?gr=C3=BCsse?=\r\n", false},
		{"raw octets", "grüße", " Gr\xfc\xdfe\r\n", true},
		{"empty needle, empty value", "", "\r\n", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := message.NewMatcher(tt.needle).MatchHeaderValue([]byte(tt.value)); got != tt.want {
				t.Errorf("%q in %q = %v, want %v", tt.needle, tt.value, got, tt.want)
			}
		})
	}
}
