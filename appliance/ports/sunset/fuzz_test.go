package sunset_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/ports/sunset"
)

// FuzzSpec reads plans that anybody may have written: what is taken is complete,
// and is taken again as it is.
func FuzzSpec(f *testing.F) {
	f.Add(`{"kind":"leave-990","steps":[{"stage":"pilot","who":{"people":["a@b"],"networks":["10.0.0.0/8"]},"begins":"2027-01-01T00:00:00Z"}],"grace":"7d"}`)
	f.Add(`{"kind":"tls-1.3","steps":[],"measures":{"quiet":"36h"},"words":{"announce":"x"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var s sunset.Spec
		if json.Unmarshal([]byte(text), &s) != nil {
			return
		}
		full, err := s.Complete()
		if err != nil {
			return
		}
		again, err := full.Complete()
		if err != nil {
			t.Fatalf("%+v is taken once: %v", full, err)
		}
		if diff := cmp.Diff(full.Steps, again.Steps, cmp.Comparer(func(a, b sunset.Who) bool { return a.String() == b.String() })); diff != "" {
			t.Error(diff)
		}
	})
}

func FuzzWho(f *testing.F) {
	f.Add("ada@office.example, 192.168.7.0/24,2001:db8::1 everybody")
	f.Fuzz(func(t *testing.T, text string) {
		w, err := sunset.ParseWho(text)
		if err != nil {
			return
		}
		again, err := sunset.ParseWho(w.String())
		if err != nil || again.String() != w.String() {
			t.Errorf("%q becomes %q, then %q: %v", text, w.String(), again.String(), err)
		}
	})
}

func FuzzSpan(f *testing.F) {
	for _, text := range []string{"7d", "10m", "0s", "-1h", "4096d"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s, again sunset.Span
		if s.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := again.UnmarshalText([]byte(s.String())); err != nil || again != s {
			t.Errorf("%q becomes %s: %v", text, s, err)
		}
	})
}
