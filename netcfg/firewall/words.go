package firewall

import (
	"fmt"
	"net/netip"
	"strings"

	"pillarbox/netcfg/policy"
)

// Words returns the ruleset as a person reads it: a line for each service, who
// may reach it and how often, and what else is let in. With a state, which may
// be nil, it says what has been counted.
func (r *Ruleset) Words(s *State) string {
	w := words{state: s, counted: map[string]uint64{}}
	var banned []string
	if s != nil {
		for _, c := range s.Counters {
			w.counted[c.Name] = c.Packets
			if strings.HasPrefix(c.Name, "banned/") {
				banned = append(banned, c.Name)
			}
		}
	}
	w.line("stands: the %s, revision %s", r.stands, r.revision)
	w.line("")
	w.line("always: loopback, established connections, ICMP, DHCP")
	if len(r.admins) > 0 {
		w.line("always: the administrator's pages (80, 443), from the networks of %s", strings.Join(r.admins, ", "))
		w.counts("let in", "admin/http", "admin/https")
	}
	for _, i := range r.interfaces {
		w.line("LAN: %s, %s", i.Name, listed(i.Networks, "no network yet"))
	}
	if len(r.lan) > 0 {
		w.line("LAN: %s, by the policy", listed(r.lan, ""))
	}
	w.line("")
	for i := range r.services {
		w.service(&r.services[i])
	}
	if len(r.services) > 0 {
		w.line("")
	}
	w.line("all else is dropped, and nothing is forwarded")
	w.counts("dropped", "default", "invalid", "forward", "icmp/echo-over", "icmpv6/echo-over")
	w.sources("banned", "bans")
	w.counts("dropped", banned...)
	w.sources("exempt from bans and bounds", "exempt")
	notes := r.notes
	if s != nil {
		notes = s.Notes
		if s.Problem != "" {
			w.line("problem: %s", s.Problem)
		}
	}
	for _, n := range notes {
		w.line("note: %s", n)
	}

	return w.String()
}

type words struct {
	strings.Builder
	state   *State
	counted map[string]uint64
}

func (w *words) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

func (w *words) service(l *serviceLine) {
	who := ""
	switch l.rule.From {
	case policy.Nobody:
		who = "nobody"
	case policy.LAN:
		who = "the LAN"
	case policy.Networks:
		who = "the LAN, " + listed(l.rule.Networks, "")
	case policy.Anyone:
		who = "anyone"
	}
	text := fmt.Sprintf("%s (%d): %s", l.service, l.port, who)
	if l.rule.From != policy.Nobody {
		if l.rates {
			text += fmt.Sprintf("; of one source %d new connections a minute, %d at once", l.rule.Rate, l.rule.Burst)
		}
		if l.counts {
			text += fmt.Sprintf("; of one source %d open", l.rule.Connections)
		}
	}
	w.line("%s", text)
	name := string(l.service)
	w.counts("let in", name+"/accepted", name+"/exempt/ipv4", name+"/exempt/ipv6")
	w.counts("refused", name+"/refused")
	w.counts("above the rate", name+"/over-rate/ipv4", name+"/over-rate/ipv6")
	w.counts("above the number of connections", name+"/over-open/ipv4", name+"/over-open/ipv6")
}

// counts says what some rules have counted together, if anything.
func (w *words) counts(what string, names ...string) {
	n := uint64(0)
	for _, name := range names {
		n += w.counted[name]
	}
	if n > 0 {
		w.line("    %s: %d packets", what, n)
	}
}

// sources says how many are in the sets whose names begin alike.
func (w *words) sources(what, names string) {
	if w.state == nil {
		return
	}
	n := 0
	for _, s := range w.state.Sets {
		if strings.HasPrefix(s.Name, names) {
			n += s.Elements
		}
	}
	if n > 0 {
		w.line("%s: %d sources", what, n)
	}
}

func listed(networks []netip.Prefix, none string) string {
	if len(networks) == 0 {
		return none
	}
	texts := make([]string, len(networks))
	for i, n := range networks {
		texts[i] = n.String()
	}

	return strings.Join(texts, ", ")
}
