package webui

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// auditTopic is what can be chosen in the record, by what stands before the
// point of its kinds.
type auditTopic struct{ Name, Title string }

func auditTopics() []auditTopic {
	return []auditTopic{
		{"signin", "signing in"}, {"handshake", "connections"}, {"ban", "bans"}, {"network", "networks never banned"},
		{"account", "people"}, {"device", "devices"}, {"alias", "aliases and groups"}, {"messages", "messages"}, {"mail", "mail handed out"},
		{"import", "moving in"}, {"export", "moving out"}, {"plan", "leaving port 990"}, {"port990", "who answers for port 990"}, {"doctor", "the doctor"},
		{"admin", "the administrator"}, {"role", "roles"}, {"factor", "second factors"}, {"sessions", "sessions"}, {"token", "access tokens"},
		{"box", "claiming the box"}, {"office", "the office"}, {"config", "settings"}, {"certificate", "certificates"}, {"firewall", "the firewall"},
		{"server", "starts and stops"}, {"power", "restart and power"}, {"factory", "back to the factory"}, {"update", "updates"},
		{"storage", "storage"}, {"metrics", "monitoring"}, {"support", "support bundles"}, {"audit", "this record"},
	}
}

// kindInWords tells what a record is about; it is called as it is where there
// are no words for it yet.
func kindInWords(kind string) string {
	words := map[string]string{
		"signin.ok": "signed in", "signin.failed": "sign-in refused", "handshake.done": "connected", "handshake.failed": "connection failed",
		"ban.made": "banned by the box", "ban.added": "banned by hand", "ban.lifted": "ban lifted",
		"network.allowed": "never banned from now on", "network.disallowed": "may be banned again",
		"account.added": "person added", "account.removed": "person deleted", "account.password": "password changed", "account.name": "name changed",
		"account.quota": "limit changed", "account.suspended": "suspended or let in again",
		"device.added": "device added", "device.revoked": "device revoked",
		"alias.added": "alias added", "alias.removed": "alias removed", "alias.changed": "alias changed",
		"admin.password": "administrator's password changed", "box.claimed": "box claimed", "role.set": "role changed",
		"factor.set": "second factor set up", "factor.removed": "second factor removed", "sessions.ended": "signed out everywhere",
		"token.made": "access token made", "token.revoked": "access token revoked", "office.changed": "office changed",
		"metrics.token": "monitoring's token made", "firewall.acme": "port opened for the certificate", "messages.put": "messages put in", "mail.exported": "mail handed out",
		"export.started": "moving out began", "export.changed": "moving out changed", "export.ended": "moving out ended",
		"import.started": "moving in began", "import.changed": "moving in changed", "import.ended": "moving in ended",
		"storage.checked": "storage examined", "storage.repaired": "storage repaired",
		"config.proposed": "change proposed", "config.applied": "change tried", "config.confirmed": "change kept", "config.reverted": "change taken back",
		"config.restored": "settings restored",
		"plan.made":       "plan made", "plan.started": "plan started", "plan.moved": "plan went on", "plan.paused": "plan paused", "plan.resumed": "plan resumed",
		"plan.rolled-back": "plan went back", "plan.accepted": "cut-off accepted", "plan.brownout": "brown-out", "plan.ended": "plan ended", "plan.reported": "report made",
		"port990.override": "port 990 kept open", "port990.owner": "port 990's keeper named", "port990.review": "port 990's keeper reminded",
		"doctor.asked": "doctor asked", "support.bundled": "support bundle made",
		"certificate.made": "certificate made", "certificate.renewed": "certificate renewed", "certificate.loaded": "certificate taken into use",
		"server.started": "box started", "server.stopped": "box stopped", "power.ordered": "restart or power-off", "factory.reset": "back to the factory",
		"update.applied": "update installed", "update.reverted": "update taken back",
		"audit.exported": "record exported", "audit.verified": "record verified", "audit.key": "signing key made", "audit.retention": "old records dropped",
		"audit.torn": "record cut short", "audit.damaged": "record damaged",
	}
	if text, ok := words[kind]; ok {
		return text
	}

	return kind
}

// actorInWords tells who did something, where it is no matter from where.
func actorInWords(actor string) string {
	if rest, ok := strings.CutPrefix(actor, "command line"); ok && (rest == "" || rest[0] == ',') {
		return "the command line"
	}
	name, _, _ := strings.Cut(actor, ", web page")

	return name
}

// auditDetails are the values of a record that have no column of their own.
func (s *Server) auditDetails(e auditEntry) []string {
	names := map[string]string{"after": "now", "expires": "until", "names": "for"}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(e.Values)) {
		switch name {
		case "actor", "account", "remote":
			continue
		}
		value := inWords(e.Values[name])
		if name == "issuer" {
			value = issuer(value)
		}
		if t, err := time.Parse(time.RFC3339, value); err == nil {
			value = s.when(t)
		}
		if len(value) > 40 && !strings.Contains(value, " ") { // a fingerprint or a key; an export has the whole of it
			value = value[:23] + "…"
		}
		all = append(all, strings.ReplaceAll(orElse(names[name], name), "_", " ")+": "+value)
	}

	return all
}
