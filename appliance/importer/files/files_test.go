package files_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/importer"
	"pillarbox/appliance/importer/files"
)

func lay(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	at := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, text := range content {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for p := path; len(p) >= len(dir); p = filepath.Dir(p) {
			if err := os.Chtimes(p, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// ways opens a source here, and over a connection.
func ways(t *testing.T, dir string) map[string]importer.Source {
	t.Helper()
	open := func() *files.Source {
		s, err := files.Open(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	here, there := net.Pipe()
	served := open()
	ended := make(chan error)
	go func() { ended <- files.Serve(context.Background(), there, served, nil) }()
	remote, err := files.Remote(t.Context(), here)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := remote.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return map[string]importer.Source{"here": open(), "over a connection": remote}
}

// dump reads everything as the importer does: the whole listing, then in two
// goes.
func dump(t *testing.T, s importer.Source) []string {
	t.Helper()
	var all []string
	boxes, err := s.Mailboxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, mb := range boxes {
		var msgs []importer.Message
		for m, err := range r.Messages(t.Context(), &mb) {
			var bad *importer.MessageError
			switch {
			case errors.As(err, &bad):
				all = append(all, fmt.Sprintf("%s: %s is bad", mb.ID, m.Key))
			case err != nil:
				t.Fatal(err)
			default:
				msgs = append(msgs, m)
			}
		}
		all = append(all, fmt.Sprintf("%s: %v subscribed=%v validity=%d next=%d mark=%v", mb.ID, mb.Path, mb.Subscribed, mb.UIDValidity, mb.UIDNext, mb.Mark != ""))
		texts := make([]string, len(msgs))
		half := len(msgs) / 2
		for _, part := range [][2]int{{half, len(msgs)}, {0, half}} {
			err := r.Read(t.Context(), &mb, msgs[part[0]:part[1]], func(i int, body io.Reader, err error) error {
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(body)
				texts[part[0]+i] = string(text)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for i, m := range msgs {
			text := fmt.Sprintf("%q", texts[i])
			if len(text) > 100 {
				text = fmt.Sprintf("%d octets", len(texts[i]))
			}
			all = append(all, fmt.Sprintf("  %d %v %s %d %s", m.UID, m.Flags, m.Date.UTC().Format(time.DateTime), m.Size, text))
		}
	}
	return all
}

func TestMaildirs(t *testing.T) {
	large := "a: b\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 60_000)
	dir := lay(t, map[string]string{
		"cur/1577934000.a:2,S": "a: 1\n", "cur/1577934001.b:2,Fa": large, "new/1577934002.c": "a: 3\n", "cur/1577934003.d:2,": "",
		"dovecot-keywords": "0 $Work\n", "dovecot-uidlist": "3 V7 N30\n9 :1577934001.b\n12 :1577934000.a\n",
		".Archive.2024/cur/1.x:2,": "a: 4\n", ".Archive.2024/new/.keep": "", "subscriptions": "Archive.2024\n",
	})
	for name, s := range ways(t, dir) {
		t.Run(name, func(t *testing.T) {
			if want := "maildir++ " + dir; s.Origin() != want {
				t.Errorf("origin %q, want %q", s.Origin(), want)
			}
			want := []string{
				".: file/name/1577934003.d is bad",
				".: [INBOX] subscribed=false validity=7 next=30 mark=true",
				fmt.Sprintf(`  9 [$Work \Flagged] 2020-01-02 03:04:05 -1 %d octets`, len(large)),
				`  12 [\Seen] 2020-01-02 03:04:05 -1 "a: 1\r\n"`,
				`  0 [] 2020-01-02 03:04:05 -1 "a: 3\r\n"`,
				".Archive.2024: [Archive 2024] subscribed=true validity=0 next=0 mark=true",
				`  0 [] 1970-01-01 00:00:01 -1 "a: 4\r\n"`,
			}
			if diff := cmp.Diff(want, dump(t, s)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMboxes(t *testing.T) {
	const from = "From bob@example.org Thu Jan  1 10:00:00 2026\n"
	dir := lay(t, map[string]string{
		"Inbox":         from + "a: 1\nStatus: RO\n\nx\n\n" + from + "a: 1\n\nx\n\n" + from + "a: 2\nX-Mozilla-Status: 0008\n\nx\n\n" + from + "a: 3\nX-UID: 7\n\nx\n",
		"Sent.sbd/2024": from + "a: 1\n\nx\n",
	})
	for name, s := range ways(t, dir) {
		t.Run(name, func(t *testing.T) {
			want := []string{
				"Inbox: [INBOX] subscribed=true validity=0 next=0 mark=true",
				`  0 [\Seen] 2026-01-01 10:00:00 23 "a: 1\r\nStatus: RO\r\n\r\nx\r\n"`,
				`  0 [] 2026-01-01 10:00:00 11 "a: 1\r\n\r\nx\r\n"`,
				`  7 [] 2026-01-01 10:00:00 21 "a: 3\r\nX-UID: 7\r\n\r\nx\r\n"`,
				"Sent.sbd/2024: [Sent 2024] subscribed=true validity=0 next=0 mark=true",
				`  0 [] 2026-01-01 10:00:00 11 "a: 1\r\n\r\nx\r\n"`,
			}
			if diff := cmp.Diff(want, dump(t, s)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// keys lists the messages of the first mailbox.
func keys(t *testing.T, s importer.Source) (all []string, mark string) {
	t.Helper()
	boxes, err := s.Mailboxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for m, err := range r.Messages(t.Context(), &boxes[0]) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m.Key)
	}
	return all, boxes[0].Mark
}

func TestAMessageKeepsItsKey(t *testing.T) {
	const from = "From bob@example.org Thu Jan  1 10:00:00 2026\n"
	one, two, three := from+"a: 1\n\nx\n\n", from+"a: 2\n\nx\n\n", from+"a: 3\n\nx\n\n"
	for name, tc := range map[string]struct{ name, before, after string }{
		"an mbox of which messages went": {"m.mbox", one + two + three, three},
		"an mbox to which flags came":    {"m.mbox", one + three, from + "a: 1\nStatus: RO\nX-Keywords: x\n y\n\nx\n\n" + from + "X-Mozilla-Status: 0001\nX-UID: 3\na: 3\n\nx\n"},
		"doubles":                        {"m.mbox", one + one + one, one + one},
	} {
		t.Run(name, func(t *testing.T) {
			dir := lay(t, map[string]string{tc.name: tc.before})
			s, err := files.Open(filepath.Join(dir, tc.name), "")
			if err != nil {
				t.Fatal(err)
			}
			before, _ := keys(t, s)
			if err := os.WriteFile(filepath.Join(dir, tc.name), []byte(tc.after), 0o600); err != nil {
				t.Fatal(err)
			}
			after, mark := keys(t, s)
			if mark != "" {
				t.Error("a file that has just changed may change once more within the same moment")
			}
			slices.Sort(before)
			if len(slices.Compact(before)) != strings.Count(tc.before, "From ") {
				t.Errorf("keys %q", before)
			}
			for _, k := range after {
				if !slices.Contains(before, k) {
					t.Errorf("%s is new", k)
				}
			}
		})
	}
}

func TestWhatChangesWhileItIsRead(t *testing.T) {
	dir := lay(t, map[string]string{"cur/1.a:2,": "a: 1\n", "cur/2.b:2,": "a: 2\n", "new/3.c": "a: 3\n"})
	for name, s := range ways(t, dir) {
		t.Run(name, func(t *testing.T) {
			boxes, err := s.Mailboxes(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			r, err := s.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var msgs []importer.Message
			for m, err := range r.Messages(t.Context(), &boxes[0]) {
				if err != nil {
					t.Fatal(err)
				}
				msgs = append(msgs, m)
			}
			move := func(from, to string) {
				if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
					t.Fatal(err)
				}
			}
			move("cur/2.b:2,", "gone")
			move("new/3.c", "cur/3.c:2,S")
			defer move("gone", "cur/2.b:2,")
			defer move("cur/3.c:2,S", "new/3.c")
			var got []string
			err = r.Read(t.Context(), &boxes[0], msgs, func(i int, body io.Reader, err error) error {
				if err != nil {
					return err
				}
				text, err := io.ReadAll(body)
				got = append(got, fmt.Sprintf("%s %q", msgs[i].Key, text))
				return err
			})
			if diff := cmp.Diff([]string{`file/name/1.a "a: 1\r\n"`, `file/name/3.c "a: 3\r\n"`}, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"origin":"x"}`), []byte(`[{"ID":"a"}]`), []byte(`{"message":{"Key":"k"}}`+"\n"+`{"end":true}`+"\n"), []byte(`{"piece":3}`+"\nabc"+`{"piece":0,"whole":true}`+"\n"+`{"end":true}`+"\n"))
	f.Fuzz(func(t *testing.T, hello, boxes, messages, read []byte) {
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			buf := make([]byte, 4096)
			for _, answer := range [][]byte{hello, boxes, messages, read} {
				if _, err := there.Read(buf); err != nil {
					return
				}
				fmt.Fprintf(there, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		s, err := files.Remote(ctx, here)
		if err != nil {
			return
		}
		defer s.Close()
		all, err := s.Mailboxes(ctx)
		if err != nil || len(all) == 0 {
			return
		}
		r, _ := s.Open(ctx)
		var msgs []importer.Message
		for m, err := range r.Messages(ctx, &all[0]) {
			if err != nil {
				return
			}
			msgs = append(msgs, m)
		}
		_ = r.Read(ctx, &all[0], msgs, func(_ int, body io.Reader, err error) error {
			if err == nil {
				_, err = io.Copy(io.Discard, body)
			}
			return err
		})
		if ctx.Err() != nil {
			t.Error("it hung")
		}
	})
}

// TestNamesThatAreNoUTF8 has what older programs wrote in Latin-1, here and over
// a connection, whose JSON knows UTF-8 alone.
func TestNamesThatAreNoUTF8(t *testing.T) {
	for kind, layout := range map[string]map[string]string{
		"maildir": {
			"cur/1.gr\xfcn:2,S": "a: 1\n", "cur/2.gr\xfdn:2,S": "a: 2\n", "new/.keep": "",
			".Entw\xfcrfe/cur/1.x:2,": "a: 3\n", ".Entw\xfcrfe/new/.keep": "", ".Entw\xfdrfe/cur/1.x:2,": "a: 4\n", ".Entw\xfdrfe/new/.keep": "",
		},
		"mbox": {
			"Entw\xfcrfe": aMessage, "Entw\xfdrfe": aMessage + strings.ReplaceAll(aMessage, "body", "other"), "Inbox": aMessage,
			"Gr\xfcn.sbd/Alt": aMessage,
		},
	} {
		dir := lay(t, layout)
		want := map[string]int{"maildir": 4, "mbox": 5}[kind]
		var first map[string][]mail
		for way, src := range ways(t, dir) {
			b := newBox(t)
			for n := range 2 {
				r := b.take(t, src, importer.Options{})
				if n == 0 && r.Total.Taken != int64(want) || n == 1 && r.Total.Taken+r.Total.Gone != 0 || len(r.Bad) > 0 || r.Total.Gone > 0 {
					t.Errorf("%s %s, run %d: %+v %q", kind, way, n, r.Total, r.Remarks)
				}
			}
			got := b.contents(t)
			if len(got["Entwürfe"]) != 1 || len(got["Entwýrfe"]) == 0 {
				t.Errorf("%s %s: %v", kind, way, got)
			}
			if first == nil {
				first = got
			} else if diff := cmp.Diff(first, got); diff != "" {
				t.Errorf("%s: over a connection it is another:\n%s", kind, diff)
			}
		}
	}
}
