package audit_test

import (
	"testing"

	"pillarbox/appliance/audit"
)

func FuzzPlace(f *testing.F) {
	for _, text := range []string{"", "acts:120", "acts:120,access:4500", "access:0", "acts:1,acts:2", "other:1", "acts:-1", ","} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := audit.ParsePlace(text)
		if err != nil {
			return
		}
		if again, err := audit.ParsePlace(p.String()); err != nil || again != p || text != "" && p == (audit.Place{}) {
			t.Errorf("%q is %+v, and then %+v: %v", text, p, again, err)
		}
	})
}
