package certs_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpenSSLVerifiesASignedProfile(t *testing.T) {
	need(t, "openssl")
	b := newBox(t)
	m := b.open(t)
	text := m.Profile()
	signed, err := m.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(root, m.Root(), 0o600); err != nil {
		t.Fatal(err)
	}
	verify := func(signed []byte) (out, said bytes.Buffer, err error) {
		cmd := exec.CommandContext(t.Context(), "openssl", "cms", "-verify", "-inform", "DER", "-CAfile", root, "-purpose", "any", "-binary")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(signed), &out, &said
		return out, said, cmd.Run()
	}
	out, said, err := verify(signed)
	if err != nil || !bytes.Equal(out.Bytes(), text) {
		t.Errorf("%v: %s\n%s", err, said.String(), out.String())
	}
	forged := bytes.Replace(signed, []byte("office"), []byte("Office"), 1)
	if bytes.Equal(forged, signed) {
		t.Fatal("nothing to forge")
	}
	if _, said, err := verify(forged); err == nil || !strings.Contains(said.String(), "erification failure") {
		t.Errorf("a forged profile: %v: %s", err, said.String())
	}
}

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
