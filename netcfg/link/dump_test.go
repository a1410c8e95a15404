package link

import (
	"errors"
	"fmt"
	"testing"

	"github.com/vishvananda/netlink"
)

// TestAListThatChangesWhileItIsReadIsReadAgain has a list change so many times:
// the kernel does it too rarely to wait for.
func TestAListThatChangesWhileItIsReadIsReadAgain(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		changes int
		err     error
		reads   int
		want    error
	}{
		"never":            {0, nil, 1, nil},
		"twice":            {2, nil, 3, nil},
		"without end":      {1000, nil, dumpTries, netlink.ErrDumpInterrupted},
		"another mistake":  {0, broken, 1, broken},
		"one after change": {1, broken, 2, broken},
	} {
		t.Run(name, func(t *testing.T) {
			reads := 0
			got, err := dump(func() ([]int, error) {
				if reads++; reads <= c.changes {
					return []int{0}, fmt.Errorf("list: %w", netlink.ErrDumpInterrupted)
				}
				return []int{1, 2}, c.err
			})
			if !errors.Is(err, c.want) || reads != c.reads {
				t.Errorf("%v after %d reads, want %v after %d", err, reads, c.want, c.reads)
			}
			if err == nil && len(got) != 2 {
				t.Errorf("half a list: %v", got)
			}
		})
	}
}
