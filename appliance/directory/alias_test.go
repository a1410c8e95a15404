package directory_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/directory"
)

func alias(t *testing.T, o *office, address string, targets ...string) {
	t.Helper()
	if err := o.AddAlias(t.Context(), address, targets...); err != nil {
		t.Fatal(err)
	}
}

func TestResolve(t *testing.T) {
	o := newOffice(t)
	o.hire(t, "anna@office.example")
	o.hire(t, "ben@office.example")
	o.hire(t, "carl@branch.example")
	o.hire(t, "team+x@office.example")
	alias(t, o, "sales@office.example", "ben@office.example", "anna@office.example")
	alias(t, o, "all@office.example", "sales@office.example", "anna@office.example", "carl@branch.example")
	alias(t, o, "postmaster@branch.example", "ben@office.example")
	alias(t, o, "info@alias.example", "carl@branch.example")
	tests := []struct {
		name    string
		address string
		want    []string
	}{
		{"account", "anna@office.example", []string{"anna@office.example"}},
		{"account in capitals", "ANNA@OFFICE.EXAMPLE", []string{"anna@office.example"}},
		{"subaddress", "anna+lists+go@office.example", []string{"anna@office.example"}},
		{"subaddress that is an account", "team+x@office.example", []string{"team+x@office.example"}},
		{"alias", "sales@office.example", []string{"ben@office.example", "anna@office.example"}},
		{"subaddress of an alias", "sales+spring@office.example", []string{"ben@office.example", "anna@office.example"}},
		{"alias of an alias, each once", "all@office.example", []string{"anna@office.example", "carl@branch.example", "ben@office.example"}},
		{"postmaster nobody named", "Postmaster@office.example", []string{"anna@office.example"}},
		{"postmaster somebody named", "postmaster@branch.example", []string{"ben@office.example"}},
		{"postmaster without a domain", "POSTMASTER", []string{"anna@office.example"}},
		{"postmaster of a domain not ours", "postmaster@other.example", nil},
		{"unknown", "nobody@office.example", nil},
		{"other domain", "anna@other.example", nil},
		{"only a tag", "+x@office.example", nil},
		{"no domain", "anna", nil},
		{"nothing", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := o.Resolve(t.Context(), tt.address)
			if tt.want == nil != errors.Is(err, directory.ErrUnknownRecipient) {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(tt.want, addresses(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAddAliasRefuses(t *testing.T) {
	o := newOffice(t)
	o.hire(t, "anna@office.example")
	alias(t, o, "a@office.example", "anna@office.example")
	alias(t, o, "b@office.example", "a@office.example")
	tests := []struct {
		name    string
		address string
		targets []string
		want    error
	}{
		{"the address of an account", "anna@office.example", []string{"a@office.example"}, directory.ErrAddressTaken},
		{"itself", "c@office.example", []string{"C@office.example"}, directory.ErrAliasLoop},
		{"a loop over two", "a@office.example", []string{"b@office.example"}, directory.ErrAliasLoop},
		{"no target", "c@office.example", nil, directory.ErrAliasTarget},
		{"a target that is not here", "c@office.example", []string{"anna@other.example"}, directory.ErrAliasTarget},
		{"no address", "c", []string{"anna@office.example"}, directory.ErrAddress},
		{"a target that is no address", "c@office.example", []string{"anna"}, directory.ErrAddress},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := o.AddAlias(t.Context(), tt.address, tt.targets...); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestLoopOnDiskEnds(t *testing.T) {
	o := newOffice(t)
	o.hire(t, "anna@office.example")
	o.put(t, "directory/aliases", "a@office.example", `{"targets":["b@office.example"]}`)
	o.put(t, "directory/aliases", "b@office.example", `{"targets":["a@office.example","anna@office.example","gone@office.example"]}`)
	o.reopen(t)
	got, err := o.Resolve(t.Context(), "a@office.example")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"anna@office.example"}, addresses(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := o.Remove(t.Context(), "anna@office.example"); err != nil {
		t.Fatal(err)
	}
	if err := o.RemoveAlias(t.Context(), "a@office.example"); err != nil {
		t.Fatal(err)
	}
}

func TestAliasesGrowAndShrink(t *testing.T) {
	o := newOffice(t)
	for _, a := range []string{"anna@office.example", "ben@office.example", "carl@office.example"} {
		o.hire(t, a)
	}
	steps := []struct {
		name string
		do   func() error
		want map[string]string
	}{
		{"make", func() error { return o.AddAlias(t.Context(), "Sales@office.example", "anna@office.example") },
			map[string]string{"sales": "anna"}},
		{"grow, what is there again", func() error {
			return o.AddAlias(t.Context(), "sales@office.example", "ben@office.example", "ANNA@office.example")
		}, map[string]string{"sales": "anna ben"}},
		{"lead on", func() error {
			return o.AddAlias(t.Context(), "all@office.example", "sales@office.example", "carl@office.example")
		},
			map[string]string{"sales": "anna ben", "all": "sales carl"}},
		{"shrink", func() error { return o.RemoveAlias(t.Context(), "sales@office.example", "anna@office.example") },
			map[string]string{"sales": "ben", "all": "sales carl"}},
		{"lose the last target", func() error { return o.RemoveAlias(t.Context(), "sales@office.example", "ben@office.example") },
			map[string]string{"all": "carl"}},
		{"remove", func() error { return o.RemoveAlias(t.Context(), "all@office.example") }, map[string]string{}},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		o.reopen(t)
		all, err := o.Aliases(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, a := range all {
			local := func(s string) string { return strings.TrimSuffix(s, "@office.example") }
			var targets []string
			for _, target := range a.Targets {
				targets = append(targets, local(target))
			}
			got[local(a.Address)] = strings.Join(targets, " ")
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
	if err := o.RemoveAlias(t.Context(), "all@office.example"); !errors.Is(err, directory.ErrNoAlias) {
		t.Errorf("remove again: %v", err)
	}
}
