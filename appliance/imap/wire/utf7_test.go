package wire_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pillarbox/appliance/imap/wire"
)

func TestUTF7(t *testing.T) {
	for plain, encoded := range map[string]string{
		"":                   "",
		"INBOX":              "INBOX",
		"&":                  "&-",
		"~peter/mail/台北/日本語": "~peter/mail/&U,BTFw-/&ZeVnLIqe-",
		"Entwürfe":           "Entw&APw-rfe",
		"Отправленные":       "&BB4EQgQ,BEAEMAQyBDsENQQ9BD0ESwQ1-",
		"\u00e9\u00e9\u00e9": "&AOkA6QDp-",
		"a\u00e9&b":          "a&AOk-&-b",
		"😀":                  "&2D3eAA-",
		"\x7f\t":             "&AH8ACQ-",
	} {
		if got := string(wire.AppendUTF7(nil, plain)); got != encoded {
			t.Errorf("%q: got %q, want %q", plain, got, encoded)
		}
		if got, err := wire.DecodeUTF7(encoded); err != nil || got != plain {
			t.Errorf("%q: got %q, %v", encoded, got, err)
		}
	}
}

func TestUTF7OfSloppyClients(t *testing.T) {
	for encoded, plain := range map[string]string{
		"&AGE-":      "a",     // a printable character
		"&AOk-&AOk-": "éé",    // two runs
		"&AOl-":      "é",     // padding bits
		"é &- &AOk-": "é & é", // raw UTF-8
		"\x01":       "\x01",  // a raw control character
	} {
		if got, err := wire.DecodeUTF7(encoded); err != nil || got != plain {
			t.Errorf("%q: got %q, %v", encoded, got, err)
		}
	}
}

func TestWrongUTF7(t *testing.T) {
	for _, s := range []string{
		"&", "a&", "&AOk", "R&D", "R&D-", "&A-", "&AO-", "&AOkA-", "&AOk/-", "&AOk=-", "& -",
		"&2D0-", "&2D3-", "&3gA-", "&3gDYPQ-", "&2D0AYQ-", "\xff", "&AOk-\xff",
	} {
		if got, err := wire.DecodeUTF7(s); err == nil {
			t.Errorf("%q was decoded to %q", s, got)
		}
	}
}

func FuzzUTF7(f *testing.F) {
	for _, s := range []string{"", "INBOX", "&", "R&D", "Entw&APw-rfe", "&U,BTFw-", "&2D3eAA-", "台北", "&-&-", "\xff", "&AOk", "é&-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		encoded := string(wire.AppendUTF7(nil, s))
		for i := range len(encoded) {
			if encoded[i] < ' ' || encoded[i] > '~' {
				t.Fatalf("%q was encoded to %q", s, encoded)
			}
		}
		back, err := wire.DecodeUTF7(encoded)
		if want := strings.ToValidUTF8(s, "\ufffd"); err != nil || utf8.ValidString(s) && back != want {
			t.Errorf("%q came back as %q, %v", s, back, err)
		}
		plain, err := wire.DecodeUTF7(s)
		if err != nil {
			return
		}
		if !utf8.ValidString(plain) {
			t.Errorf("%q was decoded to %q, which is not UTF-8", s, plain)
		}
		if again, err := wire.DecodeUTF7(string(wire.AppendUTF7(nil, plain))); err != nil || again != plain {
			t.Errorf("%q was decoded to %q, which came back as %q, %v", s, plain, again, err)
		}
	})
}
