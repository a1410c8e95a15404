package message_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/storage/message"
)

var update = flag.Bool("update", false, "write the golden files")

func goldenNames(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "*.eml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no messages in testdata: %v", err)
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(filepath.Base(f), ".eml")
	}
	return names
}

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestGolden compares what is sent for tricky messages with what was found
// right by eye, and with strict clients, before.
func TestGolden(t *testing.T) {
	for _, name := range goldenNames(t) {
		t.Run(name, func(t *testing.T) {
			body := readTestdata(t, name+".eml")
			got := describe(t, body)
			file := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func describe(t *testing.T, body []byte) []byte {
	m := parse(t, body)
	record, err := message.View(m.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "size %d header %d\n", m.Size, m.HeaderSize)
	fmt.Fprintf(&b, "ENVELOPE %q\nBODYSTRUCTURE %q\nBODY %q\nFIELDS %q\n", m.Envelope, m.Structure, record.AppendBody(nil), m.Fields)
	if !m.Date.IsZero() {
		fmt.Fprintf(&b, "DATE %s\n", m.Date.Format("2006-01-02 15:04:05 -0700"))
	}
	for i, p := range m.Parts {
		fmt.Fprintf(&b, "PART %d in %d: kind %d encoding %d %s charset=%q header %d body %d end %d lines %d %.60q\n",
			i, p.Parent, p.Kind, p.Encoding, p.Type, p.Charset, p.HeaderStart, p.BodyStart, p.End, p.Lines, body[p.BodyStart:p.End])
	}
	return b.Bytes()
}
