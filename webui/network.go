package webui

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// networkFound is the network that the machine has.
type networkFound struct {
	PID     int    `json:"pid"`  // of the service that keeps it; 0 where none does
	Name    string `json:"name"` // by multicast DNS
	Network struct {
		Interfaces []struct {
			Name      string `json:"name"`
			Kind      string `json:"kind"`
			MAC       string `json:"mac"`
			Up        bool   `json:"up"`
			Carrier   bool   `json:"carrier"`
			Managed   bool   `json:"managed"`
			Addresses []struct {
				Prefix     string `json:"prefix"`
				Origin     string `json:"origin"`
				Clashes    bool   `json:"clashes"`
				Deprecated bool   `json:"deprecated"`
			} `json:"addresses"`
			Lease *struct {
				Server  string    `json:"server"`
				Expires time.Time `json:"expires"`
			} `json:"lease"`
		} `json:"interfaces"`
		DNS      []string `json:"dns"`
		Search   []string `json:"search"`
		NTP      []string `json:"ntp"`
		Problems []string `json:"problems"`
	} `json:"network"`
}

// networkForm is what the page can change of the network.
type networkForm struct {
	Links            []*linkForm
	DNS, Search, NTP string
	Why              string
}

// networkPage is the network as it is, and as it is to be.
type networkPage struct {
	Found    networkFound
	Hostname string
	Form     networkForm
	Special  string // why it cannot be changed here
	Try      *tryout
}

// Devices are the interfaces that the machine has by itself.
func (p *networkPage) Devices() []string {
	var all []string
	for _, i := range p.Found.Network.Interfaces {
		if i.Name != loopback && i.Kind != aBridge && i.Kind != aVLAN {
			all = append(all, i.Name)
		}
	}

	return all
}

// Parents are the interfaces that can have a VLAN: devices and bridges.
func (p *networkPage) Parents() []string {
	all := p.Devices()
	for _, l := range p.Form.Links {
		if l.Kind == aBridge && !l.Remove && l.Which != "" {
			all = append(all, l.Which)
		}
	}

	return all
}

// Hardware are the hardware addresses that were found.
func (p *networkPage) Hardware() []string {
	var all []string
	for _, i := range p.Found.Network.Interfaces {
		if i.MAC != "" && i.Name != loopback && i.Kind != aBridge && i.Kind != aVLAN {
			all = append(all, i.MAC)
		}
	}

	return all
}

// More tells whether there are several interfaces in the form.
func (p *networkPage) More() bool { return len(p.Form.Links) > 1 }

const loopback = "lo"

func (s *Server) networkRoutes() []Route {
	return []Route{
		{Pattern: "GET /network", Role: Auditor, Nav: "Network", Section: "Network", Handle: (*visit).network},
		{Pattern: "POST /network", Role: Administrator, Handle: (*visit).changeNetwork},
	}
}

// desired is how the settings want the network.
type desired struct {
	Interfaces []desiredLink `json:"interfaces"`
	DNS        []string      `json:"dns"`
	Search     []string      `json:"search"`
	NTP        []string      `json:"ntp"`
}

func (v *visit) foundNetwork() (found networkFound, err error) {
	return found, v.call(http.MethodGet, "/v1/network", nil, &found)
}

func (v *visit) networkData() (d networkPage, doc map[string]any, want desired, err error) {
	if d.Found, err = v.foundNetwork(); err != nil {
		return d, nil, want, err
	}
	var status struct {
		Hostname string `json:"hostname"`
	}
	if err = v.call(http.MethodGet, "/v1/status", nil, &status); err != nil {
		return d, nil, want, err
	}
	d.Hostname = status.Hostname
	if doc, err = v.document(); err != nil {
		return d, nil, want, err
	}
	text, err := json.Marshal(doc["network"])
	if err == nil {
		err = json.Unmarshal(text, &want)
	}
	if err != nil {
		return d, nil, want, err
	}
	if d.Found.PID == 0 {
		d.Special = "This machine's own system keeps its network; the box does so only on its firmware."
	}
	d.Form = networkForm{
		Links: linkForms(want.Interfaces),
		DNS:   strings.Join(want.DNS, " "), Search: strings.Join(want.Search, " "), NTP: strings.Join(want.NTP, " "),
	}

	return d, doc, want, nil
}

const networkTitle = "Network"

func (v *visit) network() error {
	d, _, _, err := v.networkData()
	if err != nil {
		return err
	}

	return v.show("network", networkTitle, &d)
}

func (v *visit) changeNetwork() error {
	d, doc, want, err := v.networkData()
	if err != nil {
		return err
	}
	bad := problems{}
	if d.Special != "" {
		bad.add("", d.Special)
		return v.again("network", networkTitle, &d, bad)
	}
	d.Form = networkForm{Links: v.typedLinks(), DNS: v.value("dns"), Search: v.value("search"), NTP: v.value("ntp"), Why: v.value("why")}
	if kind, ok := strings.CutPrefix(v.value("do"), "add-"); ok && d.Form.add(kind) {
		return v.show("network", networkTitle, &d)
	}
	fields := d.Form.into(part(doc, "network"), want.Interfaces, bad)
	if len(bad) == 0 {
		if d.Try, err = v.try(doc, d.Form.Why, "/network", bad, fields); err != nil || v.done {
			return err
		}
	}
	if len(bad) > 0 {
		return v.again("network", networkTitle, &d, bad)
	}

	return v.show("network", networkTitle, &d)
}

// into puts what was typed into the settings of the network, and returns the
// fields by the paths of what they set.
func (f *networkForm) into(network map[string]any, before []desiredLink, bad problems) map[string]string {
	fields := map[string]string{"network.dns": "dns", "network.search": "search", "network.ntp": "ntp"}
	links := []desiredLink{}
	for _, form := range f.inOrder() {
		path := "network.interfaces[" + strconv.Itoa(len(links)) + "]"
		for place, field := range form.fields() {
			fields[path+place] = field
		}
		links = append(links, form.link(before, bad))
	}
	if len(links) == 0 {
		bad.add("", "Without any interface nobody could reach the box any more. Keep one.")
	}
	f.crossed(bad)
	network["interfaces"] = links
	network["dns"], network["search"], network["ntp"] = addresses(f.DNS, "dns", bad), words(f.Search), words(f.NTP)

	return fields
}

// withLength reads addresses with the length of their network.
func withLength(text, field string, bad problems) []string {
	all := words(text)
	for _, word := range all {
		if _, err := netip.ParsePrefix(word); err != nil {
			bad.add(field, "“"+word+"” is no address with the length of its network, such as 192.168.7.2/24.")
		}
	}

	return all
}
