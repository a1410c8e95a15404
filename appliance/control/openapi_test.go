package control_test

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/access"
	"pillarbox/appliance/certs"
	"pillarbox/appliance/control"
	"pillarbox/appliance/exporter"
	"pillarbox/appliance/importer"
	"pillarbox/appliance/ports"
	"pillarbox/appliance/ports/sunset"
	"pillarbox/appliance/setup"
)

// whole returns a handler with every request that there can be.
func whole() *control.Handler {
	return control.NewHandler(&control.Config{
		Bans:    &access.Bans{},
		Ports:   &ports.Inventory{},
		Plans:   func() *sunset.Planner { return nil },
		Imports: &importer.Jobs{},
		Exports: &exporter.Moves{},
		Setup:   &setup.Service{},
		Pages:   struct{ control.PageBook }{},
		Certs:   func(context.Context) (*certs.Manager, error) { return nil, nil },
		Metrics: func(io.Writer) error { return nil },
		Version: "test",
	})
}

func TestEveryRequestIsDescribed(t *testing.T) {
	patterns, descriptions := whole().Undescribed()
	for _, p := range patterns {
		t.Errorf("%s has no description: add it to operations, with the role that it wants", p)
	}
	for _, d := range descriptions {
		t.Errorf("%s is described, and there is no such request", d)
	}
}

func TestTheDescriptionHasEveryRequest(t *testing.T) {
	h := whole()
	var doc struct {
		OpenAPI string                               `json:"openapi"`
		Paths   map[string]map[string]map[string]any `json:"paths"`
	}
	text := h.OpenAPI()
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	var got []string
	for path, methods := range doc.Paths {
		for method, op := range methods {
			got = append(got, strings.ToUpper(method)+" "+path)
			if want := h.Roles()[strings.ToUpper(method)+" "+path]; op["x-role"] != want {
				t.Errorf("%s %s: x-role is %v, want %s", method, path, op["x-role"], want)
			}
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(h.Patterns(), got); diff != "" {
		t.Errorf("requests (-answered +described):\n%s", diff)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("openapi is %q", doc.OpenAPI)
	}
	// Every reference leads somewhere.
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	for ref := range references(tree) {
		if at(tree, strings.TrimPrefix(ref, "#/")) == nil {
			t.Errorf("%s leads nowhere", ref)
		}
	}
}

func TestWhoReadsChangesNothing(t *testing.T) {
	reads := []string{"POST /v1/audit/export", "POST /v1/audit/verify", "POST /v1/audit/checkpoint", "POST /v1/plans-report"}
	for pattern, role := range whole().Roles() {
		if role == "auditor" && !strings.HasPrefix(pattern, "GET ") && !slices.Contains(reads, pattern) {
			t.Errorf("%s: an auditor may do it", pattern)
		}
	}
}

func references(v any) map[string]bool {
	all := map[string]bool{}
	switch v := v.(type) {
	case map[string]any:
		for key, x := range v {
			if s, ok := x.(string); ok && key == "$ref" {
				all[s] = true
			}
			maps.Copy(all, references(x))
		}
	case []any:
		for _, x := range v {
			maps.Copy(all, references(x))
		}
	}

	return all
}

func at(v any, path string) any {
	for name := range strings.SplitSeq(path, "/") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}

	return v
}
