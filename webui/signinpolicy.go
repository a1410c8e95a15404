package webui

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// mechanism is a way to sign in.
type mechanism struct{ Name, Title string }

func mechanisms() []mechanism {
	return []mechanism{
		{"PLAIN", "a password that is sent"},
		{"LOGIN", "a password that is sent, the old way"},
		{"SCRAM-SHA-256", "a password that is not sent"},
		{"SCRAM-SHA-256-PLUS", "the same, bound to the connection"},
		{"OAUTHBEARER", "a token of the office's provider"},
		{"XOAUTH2", "the same, the old way"},
		{"EXTERNAL", "a device's certificate"},
	}
}

// signInRule is what is offered on some connections.
type signInRule struct {
	Port        string   `json:"port,omitempty"`
	Networks    []string `json:"networks,omitempty"`
	Mechanisms  []string `json:"mechanisms,omitzero"` // nil means all, none that nobody gets in
	Certificate string   `json:"certificate,omitempty"`

	Typed string `json:"-"` // the networks, as they were typed
	New   bool   `json:"-"`
	// Number is its place, from 1.
	Number int `json:"-"`
}

// Allows tells whether a way is offered.
func (r signInRule) Allows(name string) bool {
	return r.Mechanisms == nil || slices.Contains(r.Mechanisms, name)
}

// Words tells a rule to who only reads.
func (r signInRule) Words() string {
	where := "On each port"
	if r.Port != "" {
		where = "On port " + portNumbers[r.Port]
	}
	if r.Typed != "" {
		where += ", from " + r.Typed
	}
	switch {
	case r.Mechanisms == nil:
		where += ": everything"
	case len(r.Mechanisms) == 0:
		where += ": nobody gets in"
	default:
		where += ": " + strings.Join(r.Mechanisms, ", ")
	}
	if r.Certificate != "" {
		where += "; a device's certificate is " + map[string]string{"offered": "asked for", "required": "needed"}[r.Certificate]
	}

	return where + "."
}

// signInProvider is the office's OpenID provider.
type signInProvider struct {
	Issuer   string   `json:"issuer"`
	Audience []string `json:"audience"`
	Scope    string   `json:"scope,omitempty"`
	Claim    string   `json:"claim,omitempty"`
	CA       string   `json:"ca,omitempty"`
}

// policyPage is by what people may sign in.
type policyPage struct {
	Rules      []signInRule // with an administrator the last is a new one
	Mechanisms []mechanism
	Provider   signInProvider
	Audience   string
	Add        bool // the new rule is wanted
	Why        string
	Try        *tryout
}

func (s *Server) policyRoutes() []Route {
	return []Route{
		{Pattern: "GET /signing-in", Role: Auditor, Nav: "Signing in", Section: "Security", Handle: (*visit).policy},
		{Pattern: "POST /signing-in", Role: Administrator, Handle: (*visit).changePolicy},
	}
}

// policyData returns what holds.
func (v *visit) policyData() (d policyPage, doc map[string]any, err error) {
	d.Mechanisms = mechanisms()
	if doc, err = v.document(); err != nil {
		return d, nil, err
	}
	var now struct {
		Rules    []signInRule    `json:"rules"`
		Provider *signInProvider `json:"provider"`
	}
	text, err := json.Marshal(doc["sign_in"])
	if err == nil {
		err = json.Unmarshal(text, &now)
	}
	if err != nil {
		return d, nil, err
	}
	d.Rules = now.Rules
	for i := range d.Rules {
		d.Rules[i].Number = i + 1
		d.Rules[i].Typed = strings.Join(d.Rules[i].Networks, " ")
	}
	if now.Provider != nil {
		d.Provider, d.Audience = *now.Provider, strings.Join(now.Provider.Audience, " ")
	}
	if v.may(Administrator) {
		d.Rules = append(d.Rules, signInRule{New: true})
	}

	return d, doc, nil
}

func (v *visit) policy() error {
	d, _, err := v.policyData()
	if err != nil {
		return err
	}

	return v.show("signinpolicy", "Signing in", &d)
}

func (v *visit) changePolicy() error {
	d, doc, err := v.policyData()
	if err != nil {
		return err
	}
	bad := problems{}
	d.Add, d.Why = v.value("add") == "yes", v.value("why")
	rules := []signInRule{}
	for i := range d.Rules {
		r := &d.Rules[i]
		at := "-" + strconv.Itoa(i)
		r.Port, r.Typed, r.Certificate = v.value("port"+at), v.value("networks"+at), v.value("certificate"+at)
		r.Mechanisms = append([]string{}, v.r.PostForm["mechanism"+at]...)
		if len(r.Mechanisms) == len(d.Mechanisms) {
			r.Mechanisms = nil // all that there are, also later
		}
		if r.New && !d.Add || v.value("remove"+at) == "yes" {
			continue
		}
		r.Networks = networks(r.Typed, "networks"+at, bad)
		rules = append(rules, *r)
		if r.New && v.value("first") == "yes" {
			rules = slices.Insert(rules[:len(rules)-1], 0, *r)
		}
	}
	p := signInProvider{Issuer: v.value("issuer"), Audience: words(v.value("audience")), Scope: v.value("scope"), Claim: v.value("claim"), CA: v.value("ca")}
	d.Provider, d.Audience = p, v.value("audience")
	signIn := map[string]any{"rules": rules}
	switch {
	case p.Issuer != "":
		signIn["provider"] = p
		if len(p.Audience) == 0 {
			bad.add("audience", "Say for whom the provider gives its tokens: its client ID for this box.")
		}
	case d.Audience+p.Scope+p.Claim+p.CA != "":
		bad.add("issuer", "Say where the provider is, or take the rest away.")
	}
	doc["sign_in"] = signIn
	if len(bad) == 0 {
		if d.Try, err = v.try(doc, d.Why, "/signing-in", bad, nil); err != nil || v.done {
			return err
		}
	}
	if len(bad) > 0 {
		return v.again("signinpolicy", "Signing in", &d, bad)
	}

	return v.show("signinpolicy", "Signing in", &d)
}
