package message_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"pillarbox/storage/message"
)

// parse parses a message and checks what has to hold for every one.
func parse(t testing.TB, body []byte) *message.Message {
	t.Helper()
	m, err := message.Parse(bytes.NewReader(body), message.Limits{})
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	if err := check(m, body); err != nil {
		t.Fatalf("%v\nenvelope:  %s\nstructure: %s\nof: %.2000q", err, m.Envelope, m.Structure, body)
	}
	return m
}

// check tells what is inconsistent in a parsed message.
func check(m *message.Message, body []byte) error {
	if m.Size != int64(len(body)) {
		return fmt.Errorf("size is %d, want %d", m.Size, len(body))
	}
	if err := checkEnvelope(m.Envelope); err != nil {
		return fmt.Errorf("envelope: %w", err)
	}
	if err := checkBody(m.Structure, true); err != nil {
		return fmt.Errorf("structure: %w", err)
	}
	if err := checkParts(m, body); err != nil {
		return err
	}
	record, err := message.View(m.Append(nil))
	if err != nil {
		return err
	}
	if err := checkBody(record.AppendBody(nil), false); err != nil {
		return fmt.Errorf("body without extension data: %w", err)
	}
	parts, err := record.Parts()
	if err != nil {
		return err
	}
	if diff := cmp.Diff(m.Parts, parts); diff != "" {
		return fmt.Errorf("parts of the record differ (-want +got):\n%s", diff)
	}
	if !bytes.Equal(record.Envelope(), m.Envelope) || !bytes.Equal(record.Structure(), m.Structure) ||
		!bytes.Equal(record.Fields(), m.Fields) || record.HeaderSize() != m.HeaderSize || record.Size() != m.Size {
		return fmt.Errorf("the record differs from the message")
	}
	unix, zone, ok := record.Date()
	if _, offset := m.Date.Zone(); ok == m.Date.IsZero() || ok && (unix != m.Date.Unix() || zone != offset/60) {
		return fmt.Errorf("the record's date is %d %d %v, want %v", unix, zone, ok, m.Date)
	}
	return nil
}

func checkParts(m *message.Message, body []byte) error {
	if len(m.Parts) == 0 || m.Parts[0].Parent != -1 || m.Parts[0].End != m.Size || m.Parts[0].BodyStart != m.HeaderSize {
		return fmt.Errorf("the first part is not the message: %+v", m.Parts)
	}
	children := make([]int, len(m.Parts))
	for i, p := range m.Parts {
		if p.HeaderStart < 0 || p.HeaderStart > p.BodyStart || p.BodyStart > p.End || p.End > m.Size {
			return fmt.Errorf("part %d has no good bounds: %+v", i, p)
		}
		if want := int64(bytes.Count(body[p.BodyStart:p.End], []byte("\n"))); p.Lines != want {
			return fmt.Errorf("part %d has %d lines, want %d", i, p.Lines, want)
		}
		if i == 0 {
			continue
		}
		parent := m.Parts[p.Parent]
		if p.Parent >= i || parent.Kind == message.Leaf || p.HeaderStart < parent.BodyStart || p.End > parent.End {
			return fmt.Errorf("part %d does not lie within its parent: %+v in %+v", i, p, parent)
		}
		if parent.Kind == message.Embedded && p.HeaderStart != parent.BodyStart {
			return fmt.Errorf("message %d does not begin where its part does", i)
		}
		children[p.Parent]++
	}
	for i, p := range m.Parts {
		if n := children[i]; p.Kind == message.Multipart && n == 0 || p.Kind == message.Embedded && n != 1 {
			return fmt.Errorf("part %d has %d parts: %+v", i, n, p)
		}
	}
	return nil
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestParseIsIndependentOfReads(t *testing.T) {
	for _, name := range goldenNames(t) {
		body := readTestdata(t, name+".eml")
		want := parse(t, body)
		for _, r := range []io.Reader{
			iotest.OneByteReader(bytes.NewReader(body)),
			iotest.DataErrReader(bytes.NewReader(body)),
			iotest.HalfReader(bytes.NewReader(body)),
		} {
			got, err := message.Parse(r, message.Limits{})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: differs by how it is read (-want +got):\n%s", name, diff)
			}
		}
	}
}

func TestParseFailsOnlyIfReadingDoes(t *testing.T) {
	r := io.MultiReader(strings.NewReader("Subject: x\r\n\r\nbody"), iotest.ErrReader(io.ErrClosedPipe))
	if _, err := message.Parse(r, message.Limits{}); err == nil || !strings.Contains(err.Error(), io.ErrClosedPipe.Error()) {
		t.Errorf("Parse = %v, want %v", err, io.ErrClosedPipe)
	}
}
