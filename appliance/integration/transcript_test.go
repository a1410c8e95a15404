package integration_test

import (
	"bufio"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/integration/rig"
)

// TestConversationsOfClients replays what mail programs say, as far as it is
// particular to them, from testdata/transcripts.
//
//	# a remark
//	C: a line that the client sends
//	S: a line that it must get, in which "…" stands for anything
//	…  any number of lines, up to the next that is wanted
//	X: deliver    a message arrives for Ada meanwhile
//
// The lines of a literal are lines like others. Ada's INBOX holds a plain
// message and one in several parts when a conversation begins.
func TestConversationsOfClients(t *testing.T) {
	files, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d transcripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			box := openOffice(t)
			c := asAda(t, box, nil)
			mustAppend(t, c, "INBOX", letter("plain"))
			mustAppend(t, c, "INBOX", []byte(partsMail))
			conn, err := tls.Dial("tcp", box.IMAPS(t, "tcp4"), box.TLS(t))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			s := &stage{t: t, box: box, conn: conn, r: bufio.NewReader(conn)}
			for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
				s.line(file, i+1, line)
			}
		})
	}
}

// partsMail is a message that strict parsers have stumbled over in other
// servers: an empty multipart, an empty part, a name in RFC 2231.
const partsMail = "From: =?utf-8?q?J=C3=BCrgen?= <juergen@elsewhere.example>\r\n" +
	"To: ada@office.example\r\n" +
	"Subject: parts\r\n" +
	"Date: Mon, 02 Nov 2026 09:30:00 +0100\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed; boundary=outer\r\n" +
	"\r\n" +
	"--outer\r\n" +
	"Content-Type: multipart/alternative; boundary=inner\r\n" +
	"\r\n" +
	"--inner\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\n" +
	"Content-Transfer-Encoding: QUOTED-PRINTABLE\r\n" +
	"\r\n" +
	"Gr=C3=BC=C3=9Fe\r\n" +
	"--inner\r\n" +
	"Content-Type: text/html\r\n" +
	"\r\n" +
	"--inner--\r\n" +
	"--outer\r\n" +
	"Content-Type: multipart/mixed; boundary=none\r\n" +
	"\r\n" +
	"--outer\r\n" +
	"Content-Type: application/pdf\r\n" +
	"Content-Disposition: attachment; filename*=utf-8''Gr%C3%BC%C3%9Fe.pdf\r\n" +
	"Content-Transfer-Encoding: Base64\r\n" +
	"\r\n" +
	"JVBERi0=\r\n" +
	"--outer--\r\n"

// stage is where a conversation is replayed.
type stage struct {
	t    *testing.T
	box  *rig.Box
	conn *tls.Conn
	r    *bufio.Reader
	any  bool // lines that are not wanted may come
}

func (s *stage) line(file string, n int, line string) {
	s.t.Helper()
	if line == "…" {
		s.any = true
		return
	}
	kind, text, _ := strings.Cut(line, ": ")
	if err := s.conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		s.t.Fatal(err)
	}
	switch kind {
	case "C":
		if _, err := s.conn.Write([]byte(text + "\r\n")); err != nil {
			s.t.Fatalf("%s:%d: %v", file, n, err)
		}
	case "S":
		s.want(file, n, text)
	case "X":
		l, err := rig.DialLMTP("unix", s.box.LMTPSocket())
		if err != nil {
			s.t.Fatal(err)
		}
		defer l.Close()
		if answers, err := l.Deliver("carla@elsewhere.example", []string{ada}, letter("meanwhile")); err != nil || answers[0] != nil {
			s.t.Fatalf("%s:%d: deliver: %v, %v", file, n, answers, err)
		}
	default:
		if line != "" && !strings.HasPrefix(line, "#") {
			s.t.Fatalf("%s:%d: no line of a transcript: %q", file, n, line)
		}
	}
}

// want reads the line that is wanted.
func (s *stage) want(file string, n int, want string) {
	s.t.Helper()
	for {
		got, err := s.r.ReadString('\n')
		if err != nil {
			s.t.Fatalf("%s:%d: %v while the client waits for %q", file, n, err, want)
		}
		got = strings.TrimRight(got, "\r\n")
		if fits(got, want) {
			s.any = false
			return
		}
		if !s.any {
			s.t.Fatalf("%s:%d: the client got\n%s\nwant\n%s", file, n, got, want)
		}
	}
}

// fits tells whether a line is as wanted, "…" standing for anything.
func fits(line, want string) bool {
	parts := strings.Split(want, "…")
	last := len(parts) - 1
	if last == 0 {
		return line == want
	}
	line, ok := strings.CutPrefix(line, parts[0])
	for _, part := range parts[1:last] {
		if !ok {
			return false
		}
		_, line, ok = strings.Cut(line, part)
	}
	return ok && strings.HasSuffix(line, parts[last])
}
