package rig_test

import (
	"bytes"
	"net/mail"
	"testing"

	"pillarbox/appliance/integration/rig"
)

func TestArchiveIsTheSameOnEveryRunAndAsBigAsSaid(t *testing.T) {
	const n = 1000
	var total int
	for i := range n {
		m := (rig.Archive{}).Message(i)
		total += len(m)
		if bytes.Contains(bytes.ReplaceAll(m, []byte("\r\n"), nil), []byte("\n")) {
			t.Fatalf("message %d has a bare LF", i)
		}
		if i%100 != 0 {
			continue
		}
		if !bytes.Equal(m, (rig.Archive{}).Message(i)) {
			t.Errorf("message %d differs from itself", i)
		}
		parsed, err := mail.ReadMessage(bytes.NewReader(m))
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if _, err := parsed.Header.AddressList("From"); err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
	if mean := total / n; mean < 20_000 || mean > 28_000 {
		t.Errorf("messages have %d octets on average, want about 24,000", mean)
	}
}
