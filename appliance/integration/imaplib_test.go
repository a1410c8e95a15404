package integration_test

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"pillarbox/appliance/integration/rig"
)

// TestPythonReadsEveryRealMessage appends every real message by imaplib, as it
// lies on the disk, and reads it back; the script checks each ENVELOPE and
// BODYSTRUCTURE against the grammar, as strict as JavaMail.
func TestPythonReadsEveryRealMessage(t *testing.T) {
	box := openOffice(t)
	_, portText, err := net.SplitHostPort(box.Legacy(t, "tcp4"))
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		t.Fatal(err)
	}
	mails := rig.RealMail(t)
	var files []string
	for _, m := range mails {
		if !hasNUL(m.Raw) {
			files = append(files, m.File)
		}
	}
	stdin, err := json.Marshal(map[string]any{
		"host": "127.0.0.1", "port": port, "ca": box.CAFile(),
		"user": ada, "password": adaPassword, "messages": files,
	})
	if err != nil {
		t.Fatal(err)
	}
	out := (&rig.Command{
		Path:  rig.Tool(t, "/usr/bin/python3", "python3"),
		Args:  []string{"testdata/session.py"},
		Stdin: stdin,
	}).MustRun(t)
	if want := fmt.Sprintf("all well: %d messages", len(files)); strings.TrimSpace(out.All()) != want {
		t.Errorf("python says %q, want %q", out.All(), want)
	}
}
