package webui_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"pillarbox/webui"
)

// TestEveryRouteKeepsToItsRole walks all pages with each role.
func TestEveryRouteKeepsToItsRole(t *testing.T) {
	b := newBox(t, true)
	roles := []webui.Role{webui.Anyone, webui.Person, webui.Auditor, webui.Operator, webui.Administrator}
	for _, role := range roles {
		for _, route := range b.Routes() {
			method, path, _ := strings.Cut(route.Pattern, " ")
			path = strings.NewReplacer("{address}", "anna@office.example", "{group}", "info@office.example", "{number}", "1", "{$}", "", "{id}", "x", "{step}", "1", "{order}", "restart").Replace(path)
			if strings.ContainsAny(path, "{}") {
				t.Fatalf("%s: say here what stands in its place", route.Pattern)
			}
			if route.Role == webui.Anyone || route.Stream && role >= route.Role {
				continue
			}
			// Acts of one route, such as signing out, must not spoil the next.
			w := b.as(role)
			before := len(b.api.changed())
			var form url.Values
			if method != http.MethodGet {
				form = url.Values{}
			}
			got := w.do(method, path, form)
			toSignIn := got.status == http.StatusSeeOther && strings.HasPrefix(got.header.Get("Location"), "/signin")
			switch {
			case role == webui.Anyone && !toSignIn:
				t.Errorf("%s as %s: status %d, want to be led to the sign-in", route.Pattern, role, got.status)
			case role == webui.Anyone:
			case role == webui.Person && path == "/":
				got.leads(t, "/me")
			case role < route.Role && got.status != http.StatusForbidden:
				t.Errorf("%s as %s: status %d, want 403", route.Pattern, role, got.status)
			case role >= route.Role && (got.status == http.StatusForbidden || toSignIn && got.status != http.StatusSeeOther):
				t.Errorf("%s as %s: status %d, want to be let in", route.Pattern, role, got.status)
			}
			if role < route.Role && len(b.api.changed()) != before {
				t.Errorf("%s as %s: it asked the box to change something: %v", route.Pattern, role, b.api.changed()[before:])
			}
			if method == http.MethodGet && len(b.api.changed()) != before && !route.Reads {
				t.Errorf("%s changes something: %v", route.Pattern, b.api.changed()[before:])
			}
		}
	}
}

// TestAuditorsChangeNothing holds of the table itself.
func TestAuditorsChangeNothing(t *testing.T) {
	b := newBox(t, true)
	own := []string{"/me", "/prove", "/signout", "/signin", "/claim", "/factor", "/passkey"}
	for _, route := range b.Routes() {
		method, path, _ := strings.Cut(route.Pattern, " ")
		if method == http.MethodGet || route.Role >= webui.Operator || route.Reads {
			continue
		}
		mine := false
		for _, prefix := range own {
			mine = mine || path == prefix || strings.HasPrefix(path, prefix+"/")
		}
		if !mine {
			t.Errorf("%s: a %s may do it", route.Pattern, route.Role)
		}
	}
}
