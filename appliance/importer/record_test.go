package importer_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/importer"
)

func TestARecordComesBack(t *testing.T) {
	for name, want := range map[string]importer.Record{
		"taken":       {Fate: importer.Taken, Mailbox: 7, UID: 4_294_967_294, Size: 52_428_800, Hash: [32]byte{1, 31: 9}, Flags: `$Forwarded \Seen`},
		"claimed":     {Fate: importer.Claimed, Mailbox: 1, UID: 1},
		"quarantined": {Fate: importer.Quarantined, Size: -1, Reason: "the server cannot read it"},
	} {
		got, err := importer.DecodeRecord(want.Append(nil))
		if err != nil || got != want {
			t.Errorf("%s: %v %s", name, err, cmp.Diff(want, got))
		}
	}
	long := importer.Record{Fate: importer.Quarantined, Reason: strings.Repeat("x", 5000)}
	if got, err := importer.DecodeRecord(long.Append(nil)); err != nil || len(got.Reason) != 300 {
		t.Errorf("a long reason came back with %d octets, %v", len(got.Reason), err)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	r := importer.Record{Fate: importer.Taken, Mailbox: 7, UID: 3, Size: 100, Flags: `\Seen`}
	f.Add(r.Append(nil))
	f.Add([]byte{1, 3, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := importer.DecodeRecord(b)
		if err != nil {
			return
		}
		if again, err := importer.DecodeRecord(r.Append(nil)); err != nil || again != r {
			t.Fatalf("%+v came back as %+v, %v", r, again, err)
		}
	})
}
