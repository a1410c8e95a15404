package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"maps"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pillarbox/appliance/audit"
)

// TestTheEncodingOfVersion1 pins what is on people's disks.
func TestTheEncodingOfVersion1(t *testing.T) {
	r := audit.Record{
		Seq: 300, Time: time.UnixMilli(1_795_784_400_123).UTC(), Kind: audit.AliasAdded,
		Values: map[string]string{"alias": "info@office.example", "actor": "uid 0"},
		Prev:   audit.HashOf([]byte("before")),
	}
	got := hex.EncodeToString(r.Encode())
	if !strings.HasPrefix(got, "01"+r.Prev.String()+"ac02") {
		t.Errorf("begins with %s, want version, hash and number", got)
	}
	const rest = "f6f3bad1c368" + "0b616c6961732e6164646564" + "02" +
		"056163746f72" + "057569642030" + "05616c696173" + "13696e666f406f66666963652e6578616d706c65"
	if !strings.HasSuffix(got, rest) {
		t.Errorf("%s does not end with %s", got, rest)
	}
	back, err := audit.DecodeRecord(r.Encode())
	if err != nil || back.Seq != r.Seq || !back.Time.Equal(r.Time) || back.Kind != r.Kind ||
		!maps.Equal(back.Values, r.Values) || back.Prev != r.Prev {
		t.Errorf("read back %+v, %v", back, err)
	}
}

func TestThereIsOneEncodingOfARecord(t *testing.T) {
	r := audit.Record{Seq: 1, Time: time.UnixMilli(0).UTC(), Kind: "k", Values: map[string]string{"a": "1", "b": "2"}}
	good := r.Encode()
	head := good[:33]
	for name, octets := range map[string][]byte{
		"empty":                       nil,
		"a newer version":             append([]byte{2}, good[1:]...),
		"cut":                         good[:len(good)-1],
		"more behind":                 append(bytes.Clone(good), 0),
		"a long number":               append(bytes.Clone(head), "\x81\x00\x00\x01k\x00"...),
		"names that are not in order": append(bytes.Clone(head), "\x01\x00\x01k\x02\x01b\x012\x01a\x011"...),
		"a name twice":                append(bytes.Clone(head), "\x01\x00\x01k\x02\x01a\x011\x01a\x011"...),
		"more values than octets":     append(bytes.Clone(head), "\x01\x00\x01k\xff\xff\xff\xff\x0f"...),
		"a string beyond the end":     append(bytes.Clone(head), "\x01\x00\x7fk"...),
	} {
		if got, err := audit.DecodeRecord(octets); err == nil {
			t.Errorf("%s: read as %+v", name, got)
		}
	}
}

func TestWhatIsRecordedIsFitForATerminal(t *testing.T) {
	l := newLog(t, t.TempDir())
	defer closeLog(t, l)
	long := strings.Repeat("é", 4000)
	record(t, l, audit.Event{Kind: audit.AdminPassword, Actor: "a\x00b\x1b[2J\xff", Before: long, More: map[string]string{"Bad Name": "x", "good": "y"}})
	got := list(t, l, audit.Filter{Kinds: []string{"admin"}})[0].Values
	if got["actor"] != "a\uFFFDb\uFFFD[2J\uFFFD" {
		t.Errorf("actor %q", got["actor"])
	}
	if b := got["before"]; len(b) > 1024 || len(b) < 1000 || !utf8.ValidString(b) || !strings.HasSuffix(b, "é…") {
		t.Errorf("%d octets of before, ending with %q", len(b), b[len(b)-8:])
	}
	if _, ok := got["Bad Name"]; ok || got["good"] != "y" {
		t.Errorf("values %v", got)
	}
}

func FuzzRecord(f *testing.F) {
	r := audit.Record{Seq: 7, Time: time.UnixMilli(1_795_784_400_123), Kind: audit.SignInOK, Values: map[string]string{"account": "anna@office.example"}}
	f.Add(r.Encode())
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, octets []byte) {
		r, err := audit.DecodeRecord(octets)
		if err != nil {
			return
		}
		if got := r.Encode(); !bytes.Equal(got, octets) {
			t.Errorf("%x is read, and written as %x", octets, got)
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	l := newLog(f, f.TempDir())
	record(f, l, audit.Event{Kind: audit.AdminPassword})
	c, err := l.Checkpoint(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	closeLog(f, l)
	f.Add(c.String())
	f.Add("pillarbox-audit-1 time= acts= access= key= sig=")
	f.Fuzz(func(t *testing.T, line string) {
		c, err := audit.ParseCheckpoint(line)
		if err != nil {
			return
		}
		if c.String() != strings.TrimSpace(line) || len(c.Sig) != ed25519.SignatureSize {
			t.Errorf("%q is read as %q", line, c)
		}
	})
}

// TestACheckpointCannotBeChanged changes each octet of one.
func TestACheckpointCannotBeChanged(t *testing.T) {
	line := fill(t, t.TempDir(), 1).String()
	if _, err := audit.ParseCheckpoint(" " + line + "\n"); err != nil {
		t.Fatal(err)
	}
	for i := range line {
		for _, c := range []byte("0aA =") {
			b := []byte(line)
			if b[i] == c || strings.TrimSpace(line[:i]+string(c)+line[i+1:]) == line {
				continue
			}
			b[i] = c
			if _, err := audit.ParseCheckpoint(string(b)); err == nil {
				t.Fatalf("octet %d can be %q", i, c)
			}
		}
	}
}
