package webui

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// wallRule is who may reach a service, and how often from one address.
type wallRule struct {
	Service, Title, From, Networks, Override string
	Bounds                                   []wallBound
}

// wallBound is how often one address may come.
type wallBound struct {
	Name  string // in the settings
	Title string
	Usual int
	Value string // "" for the usual
}

// wallBounds are all of a service. What is usual is that of package policy.
func wallBounds() []wallBound {
	return []wallBound{
		{Name: "rate", Title: "New connections a minute", Usual: 300},
		{Name: "burst", Title: "New ones at once", Usual: 100},
		{Name: "connections", Title: "Open at the same time", Usual: 300},
	}
}

// wallServices are the services of the box as people call them, in their order.
func wallServices() []wallRule {
	return []wallRule{
		{Service: "imaps", Title: "Reading mail, port 993"},
		{Service: "imaps-legacy", Title: "Reading mail, the old port 990"},
		{Service: "submissions", Title: "Sending mail, port 465"},
		{Service: "submission", Title: "Sending mail, port 587"},
		{Service: "smtp", Title: "Mail from other servers, port 25"},
		{Service: "lmtp", Title: "Mail from a server of the office, port 24"},
		{Service: "https", Title: "These pages, port 443"},
		{Service: "http", Title: "The way to these pages, port 80"},
		{Service: "metrics", Title: "Metrics, port 9464"},
	}
}

// wallPage is the firewall.
type wallPage struct {
	None  string // why there is none
	Words string
	State struct {
		Stands   string        `json:"stands"`
		Counters []wallCounter `json:"counters"`
		Missing  []string      `json:"missing"`
		Notes    []string      `json:"notes"`
		Problem  string        `json:"problem"`
	} `json:"state"`
	Problem string
	Rules   []wallRule
	Bounds  []wallBound // by their names alone
	Bounded bool        // a service has other bounds than the usual
	LAN     string
	Admin   string
	Admins  []string // the interfaces that can be chosen
	Log     bool
	Why     string
	Try     *tryout

	// Would this address get in?
	Source, Port string
	Verdict      *wallVerdict
}

// wallCounter is what a rule decided about.
type wallCounter struct {
	Name    string `json:"name"`
	Why     string `json:"why"`
	Packets uint64 `json:"packets"`
	Bytes   int64  `json:"bytes"`
}

// Busy are the rules that decided about something, for most never do.
func (p *wallPage) Busy() (all []wallCounter) {
	for _, c := range p.State.Counters {
		if c.Packets > 0 {
			all = append(all, c)
		}
	}

	return all
}

// Idle are the names of the others.
func (p *wallPage) Idle() (all []string) {
	for _, c := range p.State.Counters {
		if c.Packets == 0 {
			all = append(all, c.Name)
		}
	}

	return all
}

type wallVerdict struct {
	Accepted bool     `json:"accepted"`
	Rule     string   `json:"rule"`
	Why      string   `json:"why"`
	Path     []string `json:"path"`
}

func (s *Server) firewallRoutes() []Route {
	return []Route{
		{Pattern: "GET /firewall", Role: Auditor, Nav: "Firewall", Section: "Network", Handle: (*visit).firewall},
		{Pattern: "POST /firewall", Role: Administrator, Handle: (*visit).changeFirewall},
	}
}

func (v *visit) wallData() (d wallPage, doc map[string]any, err error) {
	err = v.call(http.MethodGet, "/v1/firewall", nil, &d)
	var api *APIError
	if errors.As(err, &api) && api.Code == "no-server" {
		d.None, err = sentence(api.Message), nil
	}
	if err != nil {
		return d, nil, err
	}
	if doc, err = v.document(); err != nil {
		return d, nil, err
	}
	wall := part(doc, "firewall")
	services := part(wall, "services")
	for _, r := range wallServices() {
		rule, _ := services[r.Service].(map[string]any)
		r.From, _ = rule["from"].(string)
		r.From = orElse(r.From, "nobody")
		r.Networks = strings.Join(texts(rule["networks"]), " ")
		r.Override, _ = rule["override"].(string)
		r.Bounds = wallBounds()
		for i := range r.Bounds {
			if n, _ := rule[r.Bounds[i].Name].(float64); n != 0 {
				r.Bounds[i].Value, d.Bounded = strconv.Itoa(int(n)), true
			}
		}
		d.Rules = append(d.Rules, r)
	}
	d.Bounds = wallBounds()
	d.LAN = strings.Join(texts(wall["lan"]), " ")
	d.Admin, _ = wall["admin_interface"].(string)
	d.Log, _ = wall["log"].(bool)
	if d.None == "" {
		d.Admins, err = v.adminLinks(doc, d.Admin)
	}

	return d, doc, err
}

// adminLinks are the interfaces from which the pages can be reached always: those
// that the box keeps, by their names.
func (v *visit) adminLinks(doc map[string]any, now string) (all []string, err error) {
	found, err := v.foundNetwork()
	if err != nil {
		return nil, err
	}
	for _, i := range found.Network.Interfaces {
		if i.Managed {
			all = append(all, i.Name)
		}
	}
	links, _ := part(doc, "network")["interfaces"].([]any)
	for _, l := range links {
		if l, ok := l.(map[string]any); ok {
			name, _ := l["name"].(string)
			all = append(all, name)
		}
	}
	all = slices.DeleteFunc(append(all, now), func(name string) bool { return name == "" })
	slices.Sort(all)

	return slices.Compact(all), nil
}

// texts returns the texts of a list.
func texts(list any) (all []string) {
	items, _ := list.([]any)
	for _, item := range items {
		if text, ok := item.(string); ok {
			all = append(all, text)
		}
	}

	return all
}

func (v *visit) firewall() error {
	d, _, err := v.wallData()
	if err != nil {
		return err
	}
	q := v.r.URL.Query()
	d.Source, d.Port = strings.TrimSpace(q.Get("source")), orElse(strings.TrimSpace(q.Get("for")), "993")
	bad := problems{}
	if d.Source != "" && d.None == "" {
		if _, err := netip.ParseAddr(d.Source); err != nil {
			bad.add("source", "An address is wanted, such as 203.0.113.9.")
		}
		if _, err := strconv.ParseUint(d.Port, 10, 16); err != nil {
			bad.add("for", "A port is a number from 1 to 65535.")
		}
		if len(bad) == 0 {
			d.Verdict = &wallVerdict{}
			err := v.call(http.MethodGet, "/v1/firewall/explain?"+url.Values{"source": {d.Source}, "port": {d.Port}}.Encode(), nil, d.Verdict)
			if err != nil {
				d.Verdict = nil
				if err := v.explain(err, bad, map[string]string{"request": "source"}); err != nil {
					return err
				}
			}
		}
	}
	if len(bad) > 0 {
		return v.again("firewall", "Firewall", &d, bad)
	}

	return v.show("firewall", "Firewall", &d)
}

func (v *visit) changeFirewall() error {
	d, doc, err := v.wallData()
	if err != nil {
		return err
	}
	bad := problems{}
	if d.None != "" {
		bad.add("", d.None)
		return v.again("firewall", "Firewall", &d, bad)
	}
	wall := part(doc, "firewall")
	services := part(wall, "services")
	const reason = "override-imaps-legacy"
	fields := map[string]string{
		"firewall.lan": "lan", "firewall.admin_interface": "admin", "firewall.services.imaps-legacy": reason, "firewall.services.imaps-legacy.override": reason,
	}
	for i := range d.Rules {
		r := &d.Rules[i]
		r.From, r.Networks, r.Override = v.value("from-"+r.Service), v.value("networks-"+r.Service), v.value("override-"+r.Service)
		rule, path := part(services, r.Service), "firewall.services."+r.Service
		fields[path+".networks"] = "networks-" + r.Service
		for k := range r.Bounds {
			b := &r.Bounds[k]
			field := b.Name + "-" + r.Service
			b.Value, fields[path+"."+b.Name] = v.value(field), field
			d.Bounded = d.Bounded || b.Value != ""
			if delete(rule, b.Name); b.Value != "" {
				rule[b.Name] = wholeNumber(b.Value, field, bad)
			}
		}
		rule["from"] = r.From
		delete(rule, "networks")
		delete(rule, "override")
		if r.From == "networks" {
			rule["networks"] = networks(r.Networks, "networks-"+r.Service, bad)
		}
		if r.Override != "" {
			rule["override"] = r.Override
		}
	}
	d.LAN, d.Admin, d.Log, d.Why = v.value("lan"), v.value("admin"), v.value("log") == "yes", v.value("why")
	wall["lan"], wall["admin_interface"], wall["log"] = networks(d.LAN, "lan", bad), d.Admin, d.Log
	if len(bad) == 0 {
		if d.Try, err = v.try(doc, d.Why, "/firewall", bad, fields); err != nil || v.done {
			return err
		}
	}
	d.Port = "993"
	if len(bad) > 0 {
		return v.again("firewall", "Firewall", &d, bad)
	}

	return v.show("firewall", "Firewall", &d)
}
