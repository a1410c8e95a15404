package appliance

import (
	"testing"
	"time"

	"pillarbox/appliance/certs"
)

// TestAnExpiryIsNotHiddenByAnotherKeys: who watches it would learn of it too late.
func TestAnExpiryIsNotHiddenByAnotherKeys(t *testing.T) {
	soon, late := time.Unix(1700000000, 0), time.Unix(1800000000, 0)
	for _, presented := range [][]certs.Summary{
		{{Names: []string{"mail", "imap"}, NotAfter: late}, {Names: []string{"mail"}, NotAfter: soon}},
		{{Names: []string{"mail"}, NotAfter: soon}, {Names: []string{"mail", "imap"}, NotAfter: late}},
	} {
		if all := expiries(presented); len(all) != 2 || !all["mail"].Equal(soon) || !all["imap"].Equal(late) {
			t.Errorf("%v", all)
		}
	}
}
