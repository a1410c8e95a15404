package appliance

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pillarbox/webui"
)

// pageAct says by which requests of the API a program does what a form of the
// pages does, or why no program can.
type pageAct struct {
	by  []string
	why string
}

func by(requests ...string) pageAct { return pageAct{by: requests} }

// pageActs has every form of the pages.
func pageActs() map[string]pageAct {
	const (
		signs = "it signs a person in or out in a browser; a program has a token"
		own   = "only who it is can set it up: it is proved by what they hold. An administrator takes it away by DELETE /v1/accounts/{address}/factor"
	)
	settings := by("POST /v1/settings/plan", "POST /v1/settings/proposals")

	return map[string]pageAct{
		"POST /signin":                {why: signs},
		"POST /signin/code":           {why: signs},
		"POST /signout":               {why: signs},
		"POST /prove":                 {why: signs},
		"POST /passkey/signin/begin":  {why: signs},
		"POST /passkey/signin/finish": {why: signs},
		"POST /claim":                 {why: "there is no token before the box has an administrator; the command is admin passwd"},
		"POST /factor":                {why: own},
		"POST /factor/recovery":       {why: own},
		"POST /factor/remove":         {why: own},
		"POST /passkey/new/begin":     {why: own},
		"POST /passkey/new/finish":    {why: own},
		"POST /passkey/remove":        {why: own},

		"POST /me/password":    by("PUT /v1/accounts/{address}/password", "PUT /v1/admin/password"),
		"POST /me/mail":        by("POST /v1/accounts/{address}/archive"),
		"POST /moving-out/new": by("POST /v1/exports"),
		"POST /moving-out/{id}/act": by("POST /v1/exports/{id}/pause", "POST /v1/exports/{id}/resume", "POST /v1/exports/{id}/cancel",
			"DELETE /v1/exports/{id}"),
		"POST /moving-out/file":        by("POST /v1/accounts/{address}/archive"),
		"POST /me/devices":             by("POST /v1/accounts/{address}/devices"),
		"POST /me/devices/certificate": by("POST /v1/accounts/{address}/devices/certificate"),
		"POST /me/devices/revoke":      by("DELETE /v1/accounts/{address}/devices"),
		"POST /me/sessions/end":        by("DELETE /v1/accounts/{address}/sessions", "DELETE /v1/admin/sessions"),

		"POST /people/new":                           by("POST /v1/accounts"),
		"POST /people/many/noted":                    {why: "it forgets passwords that the page shows once; a program makes them itself"},
		"POST /people/many":                          by("POST /v1/accounts"),
		"POST /people/{address}/name":                by("PUT /v1/accounts/{address}/name"),
		"POST /people/{address}/quota":               by("PUT /v1/accounts/{address}/quota"),
		"POST /people/{address}/suspend":             by("PUT /v1/accounts/{address}/suspended"),
		"POST /people/{address}/password":            by("PUT /v1/accounts/{address}/password"),
		"POST /people/{address}/role":                by("PUT /v1/accounts/{address}/role"),
		"POST /people/{address}/factor":              by("DELETE /v1/accounts/{address}/factor"),
		"POST /people/{address}/sessions/end":        by("DELETE /v1/accounts/{address}/sessions"),
		"POST /people/{address}/remove":              by("DELETE /v1/accounts/{address}"),
		"POST /people/{address}/devices":             by("POST /v1/accounts/{address}/devices"),
		"POST /people/{address}/devices/certificate": by("POST /v1/accounts/{address}/devices/certificate"),
		"POST /people/{address}/devices/revoke":      by("DELETE /v1/accounts/{address}/devices"),
		"POST /people/{address}/aliases":             by("POST /v1/aliases"),
		"POST /people/{address}/aliases/remove":      by("DELETE /v1/aliases/{address}"),
		"POST /groups/new":                           by("PUT /v1/aliases/{address}"),
		"POST /groups/{group}":                       by("PUT /v1/aliases/{address}"),
		"POST /groups/{group}/add":                   by("POST /v1/aliases"),
		"POST /groups/{group}/drop":                  by("DELETE /v1/aliases/{address}"),
		"POST /groups/{group}/remove":                by("DELETE /v1/aliases/{address}"),
		"POST /tokens/new":                           by("POST /v1/tokens"),
		"POST /tokens/revoke":                        by("DELETE /v1/tokens/{id}"),

		"POST /audit/export":       by("POST /v1/audit/export"),
		"POST /audit/verify":       by("POST /v1/audit/verify"),
		"POST /bans/add":           by("POST /v1/bans"),
		"POST /bans/lift":          by("DELETE /v1/bans"),
		"POST /bans/allow":         by("POST /v1/allowed"),
		"POST /bans/disallow":      by("DELETE /v1/allowed"),
		"POST /support":            by("POST /v1/support"),
		"POST /doctor":             by("POST /v1/doctor"),
		"POST /moving":             by("POST /v1/imports/try", "POST /v1/imports"),
		"POST /moving/files":       by("POST /v1/imports"),
		"POST /moving/upload":      by("POST /v1/imports/archive"),
		"POST /moving/{id}/verify": by("POST /v1/imports/{id}/verify"),
		"POST /moving/{id}/bad":    by("POST /v1/imports/{id}/bad"),
		"POST /moving/{id}/act": by("POST /v1/imports/{id}/pause", "POST /v1/imports/{id}/resume", "POST /v1/imports/{id}/cancel",
			"POST /v1/imports/{id}/cut-over", "DELETE /v1/imports/{id}"),

		"POST /certificates/acme":         by("PUT /v1/certificate"),
		"POST /certificates/private":      by("PUT /v1/certificate"),
		"POST /certificates/upload":       by("POST /v1/certificate/upload"),
		"POST /certificates/renew":        by("POST /v1/certificate/renew"),
		"POST /certificates/policy":       settings,
		"POST /firewall":                  settings,
		"POST /network":                   settings,
		"POST /signing-in":                settings,
		"POST /office/{group}":            by("PATCH /v1/settings"),
		"POST /settings/{number}/restore": by("POST /v1/settings/proposals"),
		"POST /change/keep":               by("POST /v1/settings/confirm"),
		"POST /change/take-back":          by("POST /v1/settings/revert"),
		"POST /first/{step}":              by("POST /v1/accounts", "PATCH /v1/settings"),

		"POST /power/{order}":    by("POST /v1/power/{order}"),
		"POST /plans":            by("POST /v1/plans"),
		"POST /plans/owner":      by("PUT /v1/port-990"),
		"POST /plans/report":     by("POST /v1/plans-report"),
		"POST /plans/{id}/pause": by("POST /v1/plans/{kind}/pause", "POST /v1/plans/{kind}/rollback"),
		"POST /plans/{id}/decide": by("POST /v1/plans/{kind}/start", "POST /v1/plans/{kind}/next", "POST /v1/plans/{kind}/resume",
			"POST /v1/plans/{kind}/accept", "POST /v1/plans/{kind}/brownout", "POST /v1/plans/{kind}/drop"),
	}
}

// TestWhatThePagesDoTheAPIDoes finds a form that programs have no request for, or
// one that wants another role of a token than of a person.
func TestWhatThePagesDoTheAPIDoes(t *testing.T) {
	c := quiet(t.TempDir())
	c.PowerSocket = filepath.Join(c.Dir, "power.sock") // as on a box that has its machine to itself
	a, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, a)
	roles, acts := a.office.handler.Roles(), pageActs()
	for _, route := range a.web.server.Routes() {
		if strings.HasPrefix(route.Pattern, "GET ") {
			continue
		}
		act, ok := acts[route.Pattern]
		delete(acts, route.Pattern)
		if !ok || len(act.by) == 0 && act.why == "" {
			t.Errorf("%s: say in pageActs by which request of the API a program does it, or why none can", route.Pattern)
			continue
		}
		highest := webui.Anyone
		for _, request := range act.by {
			role, err := webui.ParseRole(roles[request])
			if err != nil {
				t.Errorf("%s: the API has no %s", route.Pattern, request)
			}
			highest = max(highest, role)
		}
		// People may do to their own account what tokens do to anybody's.
		if len(act.by) > 0 && route.Role != webui.Person && highest != route.Role {
			t.Errorf("%s is for the role %s, and the API wants %s of a token", route.Pattern, route.Role, highest)
		}
	}
	for pattern := range acts {
		t.Errorf("%s stands in pageActs, and the pages do not have it", pattern)
	}
	if !slices.Contains(a.office.handler.Patterns(), "GET /v1/doctor/rounds") {
		t.Error("the API does not tell what the doctor found on the page")
	}
}
