package certs_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os/exec"
	"testing"
)

func TestProfileIsAPropertyList(t *testing.T) {
	need(t, "python3")
	b := newBox(t)
	m := b.open(t)
	cmd := exec.CommandContext(t.Context(), "python3", "-c", `
import json, plistlib, sys
p = plistlib.loads(sys.stdin.buffer.read())
c = p["PayloadContent"][0]
json.dump([p["PayloadType"], p["PayloadUUID"], c["PayloadType"], c["PayloadUUID"], c["PayloadDisplayName"], c["PayloadContent"].hex()], sys.stdout)`)
	cmd.Stdin = bytes.NewReader(m.Profile())
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	var got []string
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	root, _ := pem.Decode(m.Root())
	if got[0] != "Configuration" || got[2] != "com.apple.security.root" || got[1] == got[3] || len(got[1]) != 36 ||
		got[4] != ca(t, b).Subject.CommonName || got[5] != hex.EncodeToString(root.Bytes) {
		t.Errorf("%q", got)
	}
	if !bytes.Equal(m.Profile(), b.open(t).Profile()) {
		t.Error("a second profile is another one")
	}
}
