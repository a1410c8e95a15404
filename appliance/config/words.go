package config

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"pillarbox/netcfg/policy"
	"pillarbox/netcfg/state"
)

// namer finds words for the places of two documents.
type namer struct{ before, after *Document }

// label says what a place is about, "" where there are no better words than its
// path.
func (n *namer) label(path string) string {
	if rest, ok := strings.CutPrefix(path, "firewall.services."); ok {
		return service(rest)
	}
	if rest, ok := strings.CutPrefix(path, "network.interfaces["); ok {
		return n.link(rest)
	}
	path, _, _ = strings.Cut(path, "[")
	longest, found := "", ""
	for p, words := range map[string]string{
		"office.name":              "the office's name",
		"office.domain":            "the office's mail domain",
		"office.time_zone":         "the office's time zone",
		"office":                   "what is known of the office",
		"firewall.lan":             "networks that belong to the office",
		"firewall.admin_interface": "the interface from which the administrator's pages can always be reached",
		"firewall.log":             "logging of refused packets",
		"network.dns":              "name servers",
		"network.search":           "search domains",
		"network.ntp":              "time servers",
		"ports.no_imaps":           "port 993 for IMAP",
		"ports.imaps_legacy":       "port 990 for IMAP",
		"ports.metrics":            "port 9464 for Prometheus",
		"certificate.source":       "where the certificate comes from",
		"certificate.upload":       "the certificate that was uploaded",
		"certificate.policy":       "how strict TLS is",
		"sign_in":                  "how people sign in",
		"sign_in.rules":            "by what people may sign in, and from where",
		"sign_in.provider":         "the OpenID provider whose tokens are taken",
		"audit.acts.days":          "days for which what administrators did is recorded",
		"audit.acts.megabytes":     "megabytes for which what administrators did is recorded",
		"audit.access.days":        "days for which sign-ins, handshakes and bans are recorded",
		"audit.access.megabytes":   "megabytes for which sign-ins, handshakes and bans are recorded",
		"audit.checkpoints_to":     "who gets a checkpoint of the audit record by mail each day",
		"inventory.days":           "days for which is kept who used which port",
		"client_setup":             "what mail programs are told about connecting",
		"client_setup.server":      "the server's name for mail programs",
		"client_setup.outgoing":    "the server for sending that mail programs are told of",
		"changes.confirm_within":   "seconds to confirm a change",
		"changes.window":           "when changes are applied",
	} {
		if (path == p || strings.HasPrefix(path, p+".")) && len(p) > len(longest) {
			longest, found = p, words
		}
	}

	return found
}

func service(path string) string {
	name, field, _ := strings.Cut(path, ".")
	field, _, _ = strings.Cut(field, "[")
	what := name
	if port := policy.Ports()[policy.Service(name)]; port != 0 {
		what = fmt.Sprintf("%s (port %d)", name, port)
	}
	switch field {
	case "from":
		return "who may reach " + what
	case "networks":
		return "networks that may reach " + what
	case "override":
		return "why others than the office may reach " + what
	case "rate":
		return "new connections a minute to " + what + " from one address"
	case "burst":
		return "new connections at once to " + what + " from one address"
	case "connections":
		return "open connections to " + what + " from one address"
	}

	return what
}

// link names an interface by what the settings call it, if both call it so.
func (n *namer) link(path string) string {
	index, field, _ := strings.Cut(path, "]")
	i, err := strconv.Atoi(index)
	if err != nil {
		return ""
	}
	field, _, _ = strings.Cut(strings.TrimPrefix(field, "."), "[")
	names := map[string]bool{}
	name := ""
	for _, all := range [][]state.Interface{n.before.Network.Interfaces, n.after.Network.Interfaces} {
		if i < len(all) {
			if name = all[i].Label(); !all[i].FirstWired {
				name = "the interface " + name
			}
			names[name] = true
		}
	}
	if len(names) != 1 {
		name = fmt.Sprintf("interface %d", i+1)
	}
	family, what, _ := strings.Cut(field, ".")
	family = map[string]string{"ipv4": "IPv4", "ipv6": "IPv6", "mtu": "MTU", "vlan": "VLAN"}[family]
	switch {
	case family == "":
		family = field
	case what != "":
		family += " " + what
	}

	return strings.TrimSuffix(name+", "+family, ", ")
}

// value puts a value into words.
func value(path, text string) string {
	switch {
	case text == "" || text[0] == '{' || text[0] == '[':
		return text
	case path == "ports.no_imaps":
		return map[string]string{"true": "closed", "false": "open"}[text]
	case strings.HasPrefix(path, "ports."):
		return map[string]string{"true": "open", "false": "closed"}[text]
	case text == "true":
		return "on"
	case text == "false":
		return "off"
	case text == `"lan"`:
		return "the office's network"
	case text == `"networks"`:
		return "the office's network and the networks that are listed"
	}
	var s string
	if json.Unmarshal([]byte(text), &s) == nil {
		return s
	}

	return text
}
