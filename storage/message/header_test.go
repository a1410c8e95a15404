package message_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/storage/message"
)

func TestAppendFields(t *testing.T) {
	header := []byte("From mail\r\nFrom: a@example.org\r\nSUBJECT : one\r\n two\r\nno field\r\n still none\r\nTo: b@example.org\nX: last\r\n\r\nSubject: body\r\n")
	for _, tt := range []struct {
		name  string
		names []string
		not   bool
		want  string
	}{
		{"named, any case, folded", []string{"subject", "FROM"}, false, "From: a@example.org\r\nSUBJECT : one\r\n two\r\n\r\n"},
		{"not named", []string{"subject", "from"}, true, "To: b@example.org\nX: last\r\n\r\n"},
		{"none there", []string{"Cc"}, false, "\r\n"},
		{"bare line end stays", []string{"To"}, false, "To: b@example.org\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := message.AppendFields(nil, header, tt.names, tt.not)
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAppendFieldsEndsACutLine(t *testing.T) {
	got := message.AppendFields([]byte("> "), []byte("Subject: cut"), []string{"subject"}, false)
	if want := "> Subject: cut\r\n\r\n"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFieldsHoldWhatIsListed(t *testing.T) {
	body := crlf("Received: from x\nSubject: a\n b\nDKIM-Signature: v=1;\n b=x\nTO: c@example.org\nX-Other: y\n\nbody")
	m := parse(t, []byte(body))
	if got, want := string(m.Fields), "Subject: a\r\n b\r\nTO: c@example.org\r\n"; got != want {
		t.Errorf("Fields = %q, want %q", got, want)
	}
}

func TestListed(t *testing.T) {
	for _, name := range []string{"Date", "SUBJECT", "message-ID", "References", "X-Universally-Unique-Identifier", "Disposition-Notification-To"} {
		if !message.Listed(name) {
			t.Errorf("%s is not listed", name)
		}
	}
	for _, name := range []string{"", "Received", "DKIM-Signature", "Autocrypt", "X-Universally-Unique-Identifiers"} {
		if message.Listed(name) {
			t.Errorf("%s is listed", name)
		}
	}
}

func TestAppendUnfolded(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", " plain \r\n", "plain"},
		{"tab becomes a space", " one\r\n\ttwo\r\n", "one two"},
		{"bare line end", " one\n two", "one two"},
		{"many blanks", " one  \r\n   \r\n   two", "one two"},
		{"lone carriage return", " one\rtwo", "one two"},
		{"inner blanks stay", " a  b\tc", "a  b\tc"},
		{"nothing", " \r\n \r\n", ""},
	} {
		if got := message.AppendUnfolded(nil, []byte(tt.in)); string(got) != tt.want {
			t.Errorf("%s: AppendUnfolded(%q) = %q, want %q", tt.name, tt.in, got, tt.want)
		}
	}
}
