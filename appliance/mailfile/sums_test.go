package mailfile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/mailfile"
)

func FuzzSums(f *testing.F) {
	f.Add(mailfile.SumList(7, map[imap.UID][32]byte{1: {1}, 4_000_000_000: {2}}), uint32(7))
	f.Add([]byte("1 V7\n1 00\n0 x\n\n"), uint32(7))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte, validity uint32) {
		if err := os.WriteFile(filepath.Join(dir, mailfile.Sums), text, 0o600); err != nil {
			t.Fatal(err)
		}
		sums := mailfile.ReadSums(dir, validity)
		if sums == nil {
			return
		}
		if err := os.WriteFile(filepath.Join(dir, mailfile.Sums), mailfile.SumList(validity, sums), 0o600); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sums, mailfile.ReadSums(dir, validity)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if mailfile.ReadSums(dir, validity+1) != nil {
			t.Error("the sums are those of another mailbox, too")
		}
	})
}
