package message_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"

	"golang.org/x/text/encoding/japanese"

	"pillarbox/storage/message"
)

func search(t testing.TB, s *message.Searcher, prefix string, body []byte, scope message.Scope, needle string) bool {
	t.Helper()
	m := parse(t, body)
	r := bytes.NewReader(append([]byte(prefix), body...))
	found := make([]bool, 2)
	ms := []*message.Matcher{message.NewMatcher("nowhere to be found"), message.NewMatcher(needle)}
	if err := s.Search(r, int64(len(prefix)), m.Parts, scope, ms, found); err != nil {
		t.Fatalf("Search %q: %v", needle, err)
	}
	if found[0] {
		t.Errorf("Search %q found what is not there", needle)
	}
	return found[1]
}

func TestSearch(t *testing.T) {
	sjis, err := japanese.ShiftJIS.NewEncoder().String("日本語ソフト")
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(crlf(`From: ann@example.org
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from
 afar
Content-Type: multipart/mixed; boundary=b

preamble text
--b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Stra=C3=9Fe with a soft lin=
e break
--b
Content-Type: text/html; charset=iso-8859-1
X-Part: part header

<p>caf` + "\xe9 cr\xe8me" + `</p>
--b
Content-Type: text/plain; charset=shift_jis
Content-Transfer-Encoding: base64

` + base64.StdEncoding.EncodeToString([]byte(sjis)) + `
--b
Content-Type: text/plain; charset=x-unknown
Content-Transfer-Encoding: x-unknown

unknown as it stands
--b
Content-Type: application/octet-stream; name="filename.bin"

binary text
--b
Content-Type: message/delivery-status

Status: 5.1.1 no such user
--b
Content-Type: message/rfc822

Subject: inner subject
Content-Type: text/plain

inner body
--b--
epilogue text
`))
	s := message.NewSearcher()
	for _, tt := range []struct {
		name, needle string
		inBody       bool
		inText       bool
	}{
		{"quoted-printable", "STRASSE", false, false},
		{"quoted-printable, folded", "STRAßE", true, true},
		{"soft line break", "line break", true, true},
		{"Latin-1", "CAFÉ CRÈME", true, true},
		{"ASCII beside Latin-1", "<p>CAF", true, true},
		{"Shift JIS in base64", "日本語", true, true},
		{"ASCII within a Shift JIS character", "\\", false, false},
		{"unknown encoding", "as it stands", true, true},
		{"delivery report", "no such user", true, true},
		{"attachment", "binary text", false, false},
		{"body of an inner message", "Inner Body", true, true},
		{"header of an inner message", "inner subject", false, true},
		{"MIME header", "filename.bin", false, true},
		{"another MIME header", "x-part: part header", false, true},
		{"header, decoded and unfolded", "grüße from afar", false, true},
		{"header the server added", "delivered-to: me", false, true},
		{"preamble", "preamble text", false, false},
		{"epilogue", "epilogue text", false, false},
		{"across parts", "break\r\n--b", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const prefix = "Delivered-To: me\r\n"
			if got := search(t, s, prefix, body, message.ScopeBody, tt.needle); got != tt.inBody {
				t.Errorf("in the body: %v, want %v", got, tt.inBody)
			}
			if got := search(t, s, prefix, body, message.ScopeText, tt.needle); got != tt.inText {
				t.Errorf("in header and body: %v, want %v", got, tt.inText)
			}
		})
	}
}

// TestSearchAcrossChunks puts a text at every place around where one chunk
// ends and the next begins.
func TestSearchAcrossChunks(t *testing.T) {
	s := message.NewSearcher()
	for _, needle := range []string{"needle", "nädél"} {
		for _, encoding := range []string{"8bit", "quoted-printable"} {
			for at := 32<<10 - 20; at < 32<<10+20; at++ {
				text := strings.Repeat("x", at) + strings.ToUpper(needle) + strings.Repeat("y", 40_000)
				body := "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: " + encoding + "\r\n\r\n" + text
				if !search(t, s, "", []byte(body), message.ScopeBody, needle) {
					t.Fatalf("%s at %d (%s) was not found", needle, at, encoding)
				}
			}
		}
	}
}

func TestSearchSeveralAtOnce(t *testing.T) {
	body := []byte("Subject: x\r\n\r\none two\r\n")
	m := parse(t, body)
	needles := []string{"TWO", "three", "", "one"}
	ms := make([]*message.Matcher, len(needles))
	for i, n := range needles {
		ms[i] = message.NewMatcher(n)
	}
	found := []bool{false, true, false, false} // of the message before
	if err := message.NewSearcher().Search(bytes.NewReader(body), 0, m.Parts, message.ScopeBody, ms, found); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, false, true, true} {
		if found[i] != want {
			t.Errorf("%q found = %v, want %v", needles[i], found[i], want)
		}
	}
}

func TestSearchFailsIfTheBodyIsShort(t *testing.T) {
	body := []byte("Subject: x\r\n\r\nbody")
	m := parse(t, body)
	ms := []*message.Matcher{message.NewMatcher("z")}
	err := message.NewSearcher().Search(bytes.NewReader(body[:5]), 0, m.Parts, message.ScopeText, ms, make([]bool, 1))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("err = %v, want %v", err, io.ErrUnexpectedEOF)
	}
}
