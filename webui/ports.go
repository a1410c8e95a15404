package webui

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// mailPort is what is known of a port.
type mailPort struct {
	Name     string    `json:"name"`
	Number   int       `json:"number"`
	Clients  int       `json:"clients"`
	Accounts int       `json:"accounts"`
	Last     time.Time `json:"last"`
	Days     []struct {
		Date          time.Time `json:"date"`
		SignIns       int       `json:"sign_ins"`
		FailedSignIns int       `json:"failed_sign_ins"`
		FailedShakes  int       `json:"failed_shakes"`
		TurnedAway    int       `json:"turned_away"`
	} `json:"days"`
}

// Title returns what people call it.
func (p *mailPort) Title() string { return portTitle(p.Name) }

// portNumbers are the ports by what their listeners are called.
var portNumbers = map[string]string{"imaps": "993", "imaps-legacy": "990"}

func portTitle(name string) string {
	if number, ok := portNumbers[name]; ok {
		return "Port " + number
	}

	return name
}

// portClient is a device or program that signed in.
type portClient struct {
	ID         string `json:"id"`
	Account    string `json:"account"`
	Credential struct {
		Kind   string `json:"kind"`
		Device string `json:"device"`
	} `json:"credential"`
	Program   string `json:"program"`
	Addresses []struct {
		Addr  string    `json:"addr"`
		Name  string    `json:"name"`
		Local bool      `json:"local"`
		First time.Time `json:"first"`
		Last  time.Time `json:"last"`
	} `json:"addresses"`
	Uses      []portUse  `json:"uses"`
	First     time.Time  `json:"first"`
	Last      time.Time  `json:"last"`
	Sessions  int        `json:"sessions"`
	Failures  int        `json:"failures"`
	Connected int        `json:"connected"`
	Risks     []portRisk `json:"risks"`
}

// portUse is one way in which a client came.
type portUse struct {
	Port       string    `json:"port"`
	Number     int       `json:"number"`
	TLS        string    `json:"tls"`
	Cipher     string    `json:"cipher"`
	ServerName string    `json:"server_name"`
	Mechanism  string    `json:"mechanism"`
	First      time.Time `json:"first"`
	Last       time.Time `json:"last"`
	Sessions   int       `json:"sessions"`
	Failures   int       `json:"failures"`
	TurnedAway int       `json:"turned_away"`
}

type portRisk struct {
	Name string `json:"name"`
	Text string `json:"text"`
	Do   string `json:"do"`
}

// Short returns a risk in a word or two.
func (r portRisk) Short() string {
	if short, ok := map[string]string{
		"only-990": "990 alone", "outside": "from outside", "shared-password": "shared password", "unknown-device": "unknown device",
		"failing": "old password", "password-sent": "sends the password", "tls-1.2": "TLS 1.2", "not-seen": "gone?",
	}[r.Name]; ok {
		return short
	}

	return r.Name
}

// Minor tells whether a risk is only good to know.
func (r portRisk) Minor() bool { return r.Name == "tls-1.2" || r.Name == "not-seen" }

// Name returns what people call it: its device, machine, program or address.
func (c *portClient) Name() string {
	if c.Credential.Device != "" {
		return c.Credential.Device
	}
	for _, a := range c.Addresses {
		if a.Local && a.Name != "" {
			return a.Name
		}
	}
	if c.Program != "" {
		return c.Program
	}
	if len(c.Addresses) > 0 {
		return c.Addresses[0].Addr
	}

	return "unknown"
}

// By returns what it signs in with.
func (c *portClient) By() string {
	return map[string]string{
		"password": "the person's own password", "app-password": "a password of its own", "certificate": "a certificate of its own",
		"token": "the office's sign-in service",
	}[c.Credential.Kind]
}

// Numbers returns the ports that it came by.
func (c *portClient) Numbers() (all []int) {
	for _, u := range c.Uses {
		if !slices.Contains(all, u.Number) {
			all = append(all, u.Number)
		}
	}
	slices.Sort(all)

	return all
}

// portStranger is an address from which nobody signed in.
type portStranger struct {
	Network  string   `json:"network"`
	Name     string   `json:"name"`
	Local    bool     `json:"local"`
	Accounts []string `json:"accounts"`
	Uses     []struct {
		Port    string   `json:"port"`
		Silent  int      `json:"silent"`
		Failed  int      `json:"failed"`
		Reason  string   `json:"reason"`
		Refused int      `json:"refused"`
		Tried   []string `json:"tried"`
	} `json:"uses"`
	Last time.Time `json:"last"`
}

// Address returns the network, as an address where it is one.
func (s *portStranger) Address() string { return strings.TrimSuffix(s.Network, "/32") }

// What returns what it did, in words.
func (s *portStranger) What() (all []string) {
	for _, u := range s.Uses {
		at := " on " + portNumbers[u.Port]
		if u.Refused > 0 {
			all = append(all, plural(u.Refused, "refused sign-in")+at)
		}
		if u.Failed > 0 {
			all = append(all, plural(u.Failed, "failed handshake")+at)
		}
		if u.Silent > 0 {
			all = append(all, plural(u.Silent, "connection")+" without a word"+at)
		}
	}

	return all
}

// portsPage is who uses which port.
type portsPage struct {
	Ports     []mailPort
	Clients   []portClient
	Strangers []portStranger
	Port      string // the only one that is shown; "" for all
	Account   string
	All       int // clients, before the choice
}

// forecast is what a change would have broken.
type forecast struct {
	From      time.Time      `json:"from"`
	To        time.Time      `json:"to"`
	Summary   string         `json:"summary"`
	Affected  []affected     `json:"affected"`
	Moved     []affected     `json:"moved"`
	People    int            `json:"people"`
	CutOff    int            `json:"cut_off"`
	OtherWise int            `json:"otherwise"`
	AllPeople int            `json:"all_people"`
	Strangers []portStranger `json:"strangers"`
	Unknown   []string       `json:"unknown"`
}

type affected struct {
	Client    portClient `json:"client"`
	Ways      []string   `json:"ways"`
	Sessions  int        `json:"sessions"`
	Days      int        `json:"days"`
	Last      time.Time  `json:"last"`
	Elsewhere string     `json:"elsewhere"`
	OtherLast time.Time  `json:"other_last"`
	Others    []string   `json:"others"`
	Do        string     `json:"do"`
}

// Else returns what is known of the way that stays open.
func (a *affected) Else() string {
	return map[string]string{
		"nowhere": "cut off", "person": "another device stays", "both": "uses both ways", "moved": "has moved",
	}[a.Elsewhere]
}

// simulation is a change of which one may ask what it would break.
type simulation struct{ Value, Title, change, port string }

func simulations() []simulation {
	return []simulation{
		{"close-990", "Close port 990", "close", "imaps-legacy"},
		{"close-993", "Close port 993", "close", "imaps"},
		{"tls13", "Speak TLS 1.3 alone", "tls13", ""},
		{"no-plain", "Take no passwords that are sent as they are", "no-plain", ""},
	}
}

// simulatePage is what a change would break.
type simulatePage struct {
	Choices []simulation
	Chosen  simulation
	*forecast
}

func (s *Server) portsRoutes() []Route {
	return []Route{
		{Pattern: "GET /ports", Role: Auditor, Nav: "Ports", Section: "Mail", Handle: (*visit).ports},
		{Pattern: "GET /ports/clients/{id}", Role: Auditor, Handle: (*visit).portClient},
		{Pattern: "GET /ports/simulate", Role: Auditor, Handle: (*visit).simulate},
	}
}

func (v *visit) ports() error {
	q := v.r.URL.Query()
	d := portsPage{Account: q.Get("account")}
	if _, ok := portNumbers[q.Get("port")]; ok {
		d.Port = q.Get("port")
	}
	if err := v.call(http.MethodGet, "/v1/ports", nil, &d.Ports); err != nil {
		return err
	}
	var all []portClient
	if err := v.call(http.MethodGet, "/v1/ports/clients", nil, &all); err != nil {
		return err
	}
	d.All = len(all)
	d.Clients = slices.DeleteFunc(all, func(c portClient) bool {
		on := d.Port == "" || slices.ContainsFunc(c.Uses, func(u portUse) bool { return u.Port == d.Port })
		return !on || d.Account != "" && c.Account != d.Account
	})
	if err := v.call(http.MethodGet, "/v1/ports/strangers", nil, &d.Strangers); err != nil {
		return err
	}
	d.Strangers = d.Strangers[:min(len(d.Strangers), listed)]

	return v.show("ports", "Ports", &d)
}

func (v *visit) portClient() error {
	var c portClient
	if err := v.call(http.MethodGet, "/v1/ports/clients/"+url.PathEscape(v.r.PathValue("id")), nil, &c); err != nil {
		return err
	}

	return v.show("portclient", c.Name(), &c)
}

func (v *visit) simulate() error {
	d := simulatePage{Choices: simulations()}
	d.Chosen = d.Choices[0]
	if i := slices.IndexFunc(d.Choices, func(c simulation) bool { return c.Value == v.r.URL.Query().Get("change") }); i >= 0 {
		d.Chosen = d.Choices[i]
	}
	d.forecast = &forecast{}
	q := url.Values{"change": {d.Chosen.change}, "port": {d.Chosen.port}}
	if err := v.call(http.MethodGet, "/v1/ports/simulate?"+q.Encode(), nil, d.forecast); err != nil {
		return err
	}

	return v.show("simulate", "What would break?", &d)
}

// Safe tells whether nobody would be cut off, as far as was seen.
func (f *forecast) Safe() bool { return len(f.Affected) == 0 && f.AllPeople > 0 }
