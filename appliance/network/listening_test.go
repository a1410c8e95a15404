package network

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOnlyWhatOthersCanReachListens(t *testing.T) {
	const list = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:03E1 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2
   2: 020200C0:0051 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3
   3: 00000000:0052 090200C0:1234 01 00000000:00000000 00:00000000 00000000     0        0 4
   4: 00000000000000000000000000000000:03DE 00000000000000000000000000000000:0000 0A 0 0 0
   5: 00000000000000000000000001000000:0053 00000000000000000000000000000000:0000 0A 0 0 0
   6: 0000000000000000FFFF00000100007F:0054 00000000000000000000000000000000:0000 0A 0 0 0
   7: 0000000000000000FFFF0000020200C0:0055 00000000000000000000000000000000:0000 0A 0 0 0
   8: 00000000:XYZ 00000000:0000 0A
   9:
`
	ports := map[uint16]bool{}
	if err := addListening(ports, strings.NewReader(list)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uint16{81, 85, 990, 993}, slices.Sorted(maps.Keys(ports))); diff != "" {
		t.Errorf("the ports (-want +got):\n%s", diff)
	}
}
