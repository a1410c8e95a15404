package directory_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/directory"
)

// group is how the groups of these tests begin.
func group() directory.Alias {
	return directory.Alias{
		Address: "sales@office.example", Targets: []string{"anna@office.example", "ben@office.example"},
		Description: "Offers and orders", Writers: directory.OfficeOnly,
	}
}

func setGroup(t *testing.T, o *office, a directory.Alias) *directory.Alias {
	t.Helper()
	before, err := o.SetAlias(t.Context(), a, false)
	if err != nil {
		t.Fatal(err)
	}
	return before
}

func groups(t *testing.T, o *office) []directory.Alias {
	t.Helper()
	all, err := o.Aliases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestGroupKeepsWhatItIsFor(t *testing.T) {
	o := newOffice(t)
	o.hire(t, "anna@office.example")
	o.hire(t, "ben@office.example")
	if before := setGroup(t, o, group()); before != nil {
		t.Errorf("before it was made: %v", before)
	}
	// What changes its members alone leaves the rest.
	if err := o.RemoveAlias(t.Context(), group().Address, "ben@office.example"); err != nil {
		t.Fatal(err)
	}
	alias(t, o, group().Address, "ben@office.example")
	if err := o.Remove(t.Context(), "anna@office.example"); err != nil {
		t.Fatal(err)
	}
	o.reopen(t)
	want := group()
	want.Targets = []string{"ben@office.example"}
	if diff := cmp.Diff([]directory.Alias{want}, groups(t, o)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	other := directory.Alias{Address: "SALES@office.example", Targets: []string{"ben@office.example"}}
	if diff := cmp.Diff(&want, setGroup(t, o, other)); diff != "" {
		t.Errorf("before (-want +got):\n%s", diff)
	}
	other.Address = group().Address
	if diff := cmp.Diff([]directory.Alias{other}, groups(t, o)); diff != "" {
		t.Errorf("replaced (-want +got):\n%s", diff)
	}
}

func TestSetAliasRefuses(t *testing.T) {
	o := newOffice(t)
	o.hire(t, "anna@office.example")
	o.hire(t, "ben@office.example")
	setGroup(t, o, group())
	alias(t, o, "all@office.example", "sales@office.example")
	tests := []struct {
		name   string
		change func(*directory.Alias)
		fresh  bool
		want   error
		says   string
	}{
		{"one that is there, as new", func(*directory.Alias) {}, true, directory.ErrAddressTaken, "group"},
		{"an account's address", func(a *directory.Alias) { a.Address = "anna@office.example" }, false, directory.ErrAddressTaken, "account"},
		{"no members", func(a *directory.Alias) { a.Targets = nil }, false, directory.ErrAliasTarget, ""},
		{"a group that leads back", func(a *directory.Alias) { a.Targets = []string{"all@office.example"} }, false, directory.ErrAliasLoop, ""},
		{"somebody outside", func(a *directory.Alias) { a.Targets = []string{"x@elsewhere.example"} }, false, directory.ErrAliasTarget, "does not send mail"},
		{"somebody who is not here", func(a *directory.Alias) { a.Targets = []string{"x@office.example"} }, false, directory.ErrAliasTarget, "x@office"},
		{"writers that nobody knows", func(a *directory.Alias) { a.Writers = "friends" }, false, directory.ErrAlias, "friends"},
		{"a description of two lines", func(a *directory.Alias) { a.Description = "a\nb" }, false, directory.ErrAlias, ""},
		{"a long description", func(a *directory.Alias) { a.Description = strings.Repeat("x", 301) }, false, directory.ErrAlias, "300"},
		{"a description that is no text", func(a *directory.Alias) { a.Description = "\xff" }, false, directory.ErrAlias, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stored := o.section(t, "directory/aliases")
			a := group()
			tt.change(&a)
			if _, err := o.SetAlias(t.Context(), a, tt.fresh); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %v with %q", err, tt.want, tt.says)
			}
			if diff := cmp.Diff(stored, o.section(t, "directory/aliases")); diff != "" {
				t.Errorf("it changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestAdmits(t *testing.T) {
	o := newOffice(t)
	o.hire(t, "anna@office.example")
	o.hire(t, "ben@office.example")
	setGroup(t, o, group())
	alias(t, o, "open@office.example", "sales@office.example")
	o.put(t, "directory/aliases", "later@office.example", `{"targets":["anna@office.example"],"writers":"of a newer version"}`)
	o.reopen(t)
	tests := []struct {
		name, sender, recipient string
		admitted                bool
	}{
		{"a person writes to the group", "anna@office.example", "sales@office.example", true},
		{"in capitals, with a tag", "ANNA+x@office.example", "Sales+y@office.example", true},
		{"in the name of a group", "open@office.example", "sales@office.example", true},
		{"a stranger", "eve@elsewhere.example", "sales@office.example", false},
		{"a name of the office that nobody has", "eve@office.example", "sales@office.example", false},
		{"a bounce", "", "sales@office.example", false},
		{"what is no address", "anna", "sales@office.example", false},
		{"a stranger, by a tag", "eve@elsewhere.example", "sales+x@office.example", false},
		{"a stranger to an open group that leads to it", "eve@elsewhere.example", "open@office.example", true},
		{"a stranger to a person", "eve@elsewhere.example", "anna@office.example", true},
		{"a stranger to nobody", "eve@elsewhere.example", "nobody@office.example", true},
		{"a stranger, where the rule is not known", "eve@elsewhere.example", "later@office.example", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := o.Admits(t.Context(), tt.sender, tt.recipient)
			if tt.admitted && err != nil || !tt.admitted && !errors.Is(err, directory.ErrNotAdmitted) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A change of a group that is given up at any step, as by a power cut, leaves it
// as it was or as it was to be.
func TestGroupGivenUpAtAnyStepIsWhole(t *testing.T) {
	o := newOffice(t)
	o.hire(t, "anna@office.example")
	o.hire(t, "ben@office.example")
	setGroup(t, o, group())
	before := o.section(t, "directory/aliases")
	other := group()
	other.Targets, other.Description, other.Writers = []string{"ben@office.example"}, "", directory.Anybody
	for step := range int64(100) {
		ctx := &fading{Context: t.Context()}
		ctx.left.Store(step)
		_, err := o.SetAlias(ctx, other, false)
		o.reopen(t)
		got := groups(t, o)
		if err == nil {
			if diff := cmp.Diff([]directory.Alias{other}, got); diff != "" {
				t.Errorf("done (-want +got):\n%s", diff)
			}
			return
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, o.section(t, "directory/aliases")); diff != "" {
			t.Fatalf("step %d (-before +after):\n%s", step, diff)
		}
	}
	t.Error("it never succeeded")
}

func TestMendKeepsWhatGroupsAreFor(t *testing.T) {
	o := newOffice(t)
	o.hire(t, "anna@office.example")
	o.put(t, "directory/aliases", "sales@office.example",
		`{"targets":["gone@office.example","anna@office.example"],"description":"Offers","writers":"office"}`)
	o.mend(t)
	want := []directory.Alias{{
		Address: "sales@office.example", Targets: []string{"anna@office.example"}, Description: "Offers", Writers: directory.OfficeOnly,
	}}
	if diff := cmp.Diff(want, groups(t, o)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
