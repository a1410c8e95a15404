package webui

import (
	"encoding/json"
	"net/http"
	"net/netip"
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

// networkForm is what a page can change of the network.
type networkForm struct {
	Method, Address, Gateway    string // IPv4: dhcp or static
	Method6, Address6, Gateway6 string // slaac, static or off
	DNS, NTP                    string
	Why                         string
}

// networkPage is the network as it is, and as it is to be.
type networkPage struct {
	Found    networkFound
	Hostname string
	Form     networkForm
	Special  string // why it cannot be changed here
	Try      *tryout
}

func (s *Server) networkRoutes() []Route {
	return []Route{
		{Pattern: "GET /network", Role: Auditor, Nav: "Network", Section: "Network", Handle: (*visit).network},
		{Pattern: "POST /network", Role: Administrator, Handle: (*visit).changeNetwork},
	}
}

// desired is the part of the settings that the page knows.
type desired struct {
	Interfaces []struct {
		FirstWired bool            `json:"first_wired"`
		Name       string          `json:"name"`
		IPv4       desiredAddress  `json:"ipv4"`
		IPv6       desiredAddress  `json:"ipv6"`
		Bridge     json.RawMessage `json:"bridge"`
		VLAN       json.RawMessage `json:"vlan"`
	} `json:"interfaces"`
	DNS []string `json:"dns"`
	NTP []string `json:"ntp"`
}

type desiredAddress struct {
	Method    string   `json:"method"`
	Addresses []string `json:"addresses"`
	Gateway   string   `json:"gateway"`
}

func (v *visit) networkData() (d networkPage, doc map[string]any, err error) {
	if err := v.call(http.MethodGet, "/v1/network", nil, &d.Found); err != nil {
		return d, nil, err
	}
	var status struct {
		Hostname string `json:"hostname"`
	}
	if err := v.call(http.MethodGet, "/v1/status", nil, &status); err != nil {
		return d, nil, err
	}
	d.Hostname = status.Hostname
	if doc, err = v.document(); err != nil {
		return d, nil, err
	}
	var want desired
	text, err := json.Marshal(doc["network"])
	if err == nil {
		err = json.Unmarshal(text, &want)
	}
	if err != nil {
		return d, nil, err
	}
	if d.Found.PID == 0 {
		d.Special = "This machine's own system keeps its network; the box does so only on its firmware."
		return d, doc, nil
	}
	if len(want.Interfaces) != 1 || want.Interfaces[0].Bridge != nil || want.Interfaces[0].VLAN != nil {
		d.Special = "The settings have several interfaces, a bridge or a VLAN. They are changed with the command: pillarbox settings edit."
		return d, doc, nil
	}
	one := want.Interfaces[0]
	d.Form = networkForm{
		Method: orElse(one.IPv4.Method, "off"), Address: strings.Join(one.IPv4.Addresses, " "), Gateway: one.IPv4.Gateway,
		Method6: orElse(one.IPv6.Method, "slaac"), Address6: strings.Join(one.IPv6.Addresses, " "), Gateway6: one.IPv6.Gateway,
		DNS: strings.Join(want.DNS, " "), NTP: strings.Join(want.NTP, " "),
	}

	return d, doc, nil
}

func (v *visit) network() error {
	d, _, err := v.networkData()
	if err != nil {
		return err
	}

	return v.show("network", "Network", &d)
}

func (v *visit) changeNetwork() error {
	d, doc, err := v.networkData()
	if err != nil {
		return err
	}
	bad := problems{}
	if d.Special != "" {
		bad.add("", d.Special)
		return v.again("network", "Network", &d, bad)
	}
	d.Form = networkForm{
		v.value("method"), v.value("address"), v.value("gateway"), v.value("method6"), v.value("address6"), v.value("gateway6"),
		v.value("dns"), v.value("ntp"), v.value("why"),
	}
	d.Form.into(part(doc, "network"), bad)
	if len(bad) == 0 {
		if d.Try, err = v.try(doc, d.Form.Why, "/network", bad); err != nil || v.done {
			return err
		}
	}
	if len(bad) > 0 {
		return v.again("network", "Network", &d, bad)
	}

	return v.show("network", "Network", &d)
}

// into puts what was typed into the settings of the network.
func (f *networkForm) into(network map[string]any, bad problems) {
	all, ok := network["interfaces"].([]any)
	if !ok || len(all) != 1 {
		return
	}
	one, ok := all[0].(map[string]any)
	if !ok {
		return
	}
	set := func(where, method, address, gateway, suffix string) {
		p := map[string]any{"method": method}
		if method == "static" {
			p["addresses"] = withLength(address, "address"+suffix, bad)
			if gateway != "" {
				p["gateway"] = gateway
				if addresses(gateway, "gateway"+suffix, bad); len(words(gateway)) != 1 {
					bad.add("gateway"+suffix, "One address is wanted.")
				}
			}
		}
		one[where] = p
	}
	set("ipv4", f.Method, f.Address, f.Gateway, "")
	set("ipv6", f.Method6, f.Address6, f.Gateway6, "6")
	network["dns"], network["ntp"] = addresses(f.DNS, "dns", bad), words(f.NTP)
}

// withLength reads addresses with the length of their network.
func withLength(text, field string, bad problems) []string {
	all := words(text)
	if len(all) == 0 {
		bad.add(field, "An address is wanted, with the length of its network, such as 192.168.7.2/24.")
	}
	for _, word := range all {
		if _, err := netip.ParsePrefix(word); err != nil {
			bad.add(field, "“"+word+"” is no address with the length of its network, such as 192.168.7.2/24.")
		}
	}

	return all
}
