package importer

import (
	"reflect"
	"testing"
)

func FuzzDecodeState(f *testing.F) {
	f.Add([]byte(`{"mailbox":3,"validity":7,"mark":"7 8 9 10","done":true}`))
	f.Add([]byte(`{"mailbox":-1}`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		n, err := decodeBoxNote(b)
		if (n == nil) == (err == nil) {
			panic("neither a state nor an error")
		}
	})
}

func FuzzFlags(f *testing.F) {
	f.Add(`\Seen $Forwarded`, `\Seen work`)
	f.Fuzz(func(t *testing.T, before, now string) {
		a, b := sortedFlags(splitFlags(before)), sortedFlags(splitFlags(now))
		if again := splitFlags(joinFlags(a)); len(a) > 0 && len(before) < maxRecordFlags && !reflect.DeepEqual(a, again) {
			t.Fatalf("%q came back as %q", a, again)
		}
		set, removed := changes(a, b)
		if back, gone := changes(b, a); !reflect.DeepEqual(set, gone) || !reflect.DeepEqual(removed, back) {
			t.Fatalf("from %q to %q: %q %q, and back %q %q", a, b, set, removed, back, gone)
		}
	})
}
