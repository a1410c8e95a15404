package control_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/control"
	"pillarbox/appliance/directory"
)

// TestEveryActIsRecorded goes through what changes something.
func TestEveryActIsRecorded(t *testing.T) {
	c := newClient(t)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.AddAccount(ctx, control.NewAccount{Address: "Ben@office.example", Password: "secret words", Quota: 1000})
	must(err)
	// An account is found by more spellings of its address than the one that is kept.
	must(c.SetPassword(ctx, "Ben@ｏffice.example", "other secret words"))
	must(c.SetAdmin(ctx, "words of an administrator"))
	must(c.AddAlias(ctx, directory.Alias{Address: "info@office.example", Targets: []string{"anna@office.example"}}))
	must(c.AddAlias(ctx, directory.Alias{Address: "Info@office.example", Targets: []string{"ben@office.example"}}))
	must(c.RemoveAlias(ctx, "info@office.example", "anna@office.example"))
	must(c.RemoveAlias(ctx, "info@ｏffice.example"))
	must(c.RemoveAccount(ctx, "ben@office.example"))
	_, err = c.Check(ctx, func(control.Finding) {})
	must(err)
	_, err = c.Repair(ctx, func(control.Finding) {})
	must(err)
	_, err = c.AuditVerify(ctx)
	must(err)
	_, err = c.AuditExport(ctx, new(bytes.Buffer), audit.CSV, audit.Filter{Account: "ben@office.example"})
	must(err)
	// What was refused is no act.
	if err := c.RemoveAccount(ctx, "nobody@office.example"); err == nil {
		t.Fatal("an account that is not there was removed")
	}

	entries, err := c.AuditRecords(ctx, audit.Filter{Book: audit.Acts})
	must(err)
	var got []string
	for _, e := range entries {
		if e.Kind != audit.AuditKey && e.Values[audit.ValueActor] != fmt.Sprintf("command line, uid %d", os.Geteuid()) {
			t.Errorf("%s was done by %q", e.Kind, e.Values[audit.ValueActor])
		}
		for name, value := range e.Values {
			if strings.Contains(value, "words") {
				t.Errorf("%s: %s is %q", e.Kind, name, value)
			}
			if !told(e.Kind, name) {
				t.Errorf("%s has %s, of which audit.Kinds tells nothing", e.Kind, name)
			}
		}
		line := string(e.Kind)
		for _, name := range []string{"account", "alias", "filter"} {
			if v := e.Values[name]; v != "" {
				line += " " + v
			}
		}
		if e.Values["alias"] != "" {
			line += ": " + e.Values["before"] + " → " + e.Values["after"]
		}
		got = append([]string{line}, got...)
	}
	want := []string{
		"account.added anna@office.example",
		"audit.key",
		"account.added ben@office.example",
		"account.password ben@office.example",
		"admin.password",
		"alias.added info@office.example:  → anna@office.example",
		"alias.added info@office.example: anna@office.example → anna@office.example, ben@office.example",
		"alias.removed info@office.example: anna@office.example, ben@office.example → ben@office.example",
		"alias.removed info@office.example: ben@office.example → ",
		"account.removed ben@office.example",
		"storage.checked",
		"storage.repaired",
		"audit.verified",
		"audit.exported account=ben%40office.example",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("recorded (-want +got):\n%s", d)
	}
}

// told tells whether people can read that a kind of record has a value.
func told(kind audit.Kind, value string) bool {
	return slices.ContainsFunc(audit.Kinds(), func(s audit.Spec) bool {
		return s.Kind == kind && slices.Contains(s.Values, value)
	})
}

// TestAnActThatCannotBeRecordedIsNotAcknowledged has something else where the
// record should be.
func TestAnActThatCannotBeRecordedIsNotAcknowledged(t *testing.T) {
	data := t.TempDir()
	h := newHandlerAt(t, data)
	c, stop := control.Local(t.Context(), h, discard())
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	in := filepath.Join(data, "audit")
	if err := os.WriteFile(in, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := c.AddAccount(t.Context(), control.NewAccount{Address: "anna@office.example", Password: "long enough"})
	var answer *control.Error
	if !errors.As(err, &answer) || answer.Code != control.CodeUnrecorded || !strings.Contains(answer.Message, "it was done") {
		t.Errorf("answered %v", err)
	}
	if err := os.Remove(in); err != nil {
		t.Fatal(err)
	}
	if err := c.SetPassword(t.Context(), "anna@office.example", "long enough too"); err != nil {
		t.Errorf("after it can be again: %v", err)
	}
}

func TestRequestsOfTheAuditRecordAreChecked(t *testing.T) {
	c := newClient(t)
	ctx := t.Context()
	for name, f := range map[string]func() error{
		"kind":   func() error { _, err := c.AuditRecords(ctx, audit.Filter{Kinds: []string{"none"}}); return err },
		"book":   func() error { _, err := c.AuditRecords(ctx, audit.Filter{Book: "none"}); return err },
		"limit":  func() error { _, err := c.AuditRecords(ctx, audit.Filter{Limit: 1 << 30}); return err },
		"format": func() error { _, err := c.AuditExport(ctx, new(bytes.Buffer), "xls", audit.Filter{}); return err },
		"kept":   func() error { _, err := c.AuditVerify(ctx, "pillarbox-audit-1"); return err },
	} {
		var answer *control.Error
		if err := f(); !errors.As(err, &answer) || answer.Code != control.CodeRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
}
