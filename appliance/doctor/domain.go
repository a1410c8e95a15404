package doctor

import (
	"context"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// usualSelectors are tried where none is named: there is no list of a domain's.
func usualSelectors() []string {
	return []string{"default", "mail", "dkim", "selector1", "selector2", "s1", "s2", "google", "k1", "pillarbox"}
}

// domainStep is the examination of the domain's records.
func (x *examination) domainStep() step {
	if x.domain == "" {
		const what = "the records of the domain (MX, SPF, DKIM, DMARC, MTA-STS, SRV, autoconfig)"
		return step{name: what, run: func(context.Context) bool {
			x.skip(what, "no domain was named")
			return true
		}}
	}
	var mx []string
	of := " of " + x.domain

	return step{
		name: "MX" + of,
		run:  func(ctx context.Context) (ok bool) { mx, ok = x.mx(ctx); return ok },
		below: []step{
			{name: "SPF" + of, run: func(ctx context.Context) bool { x.spf(ctx); return true }},
			{name: "DKIM" + of, run: func(ctx context.Context) bool { x.dkim(ctx); return true }},
			{name: "DMARC" + of, run: func(ctx context.Context) bool { x.dmarc(ctx); return true }},
			{name: "MTA-STS" + of, run: func(ctx context.Context) bool { x.mtaSTS(ctx, mx); return true }},
			{name: "SRV" + of, run: func(ctx context.Context) bool { x.srv(ctx); return true }},
			{name: "autoconfig" + of, run: func(ctx context.Context) bool { x.autoconfig(ctx); return true }},
		},
	}
}

// mx finds where mail for the domain goes. A domain without any is still
// examined; false means that the DNS gives no answer.
func (x *examination) mx(ctx context.Context) (names []string, ok bool) {
	asking, cancel := context.WithTimeout(ctx, conversationTime)
	defer cancel()
	found, err := x.resolver.LookupMX(asking, x.domain)
	if err != nil && !isNotFound(err) && len(found) == 0 {
		x.find("dns-silent", "", fmt.Sprintf("the name server does not answer for %s: %v", x.domain, err), place{host: x.domain})
		return nil, false
	}
	for _, m := range found {
		name := strings.ToLower(strings.TrimSuffix(m.Host, "."))
		if name == "" { // RFC 7505
			x.find("mx-none", "", x.domain+" says that it takes no mail", place{})
			continue
		}
		names = append(names, name)
		if _, err := x.lookup(ctx, name); isNotFound(err) {
			x.find("mx-dangling", "", fmt.Sprintf("mail for %s goes to %s, and that name has no address", x.domain, name), place{host: name})
		}
	}
	if len(found) == 0 {
		if _, err := x.lookup(ctx, x.domain); err != nil {
			x.find("domain-unknown", "", fmt.Sprintf("%s has neither an MX record nor an address: no mail reaches it", x.domain), place{})
			return nil, false
		}
		x.find("mx-missing", "", x.domain+" has no MX record", place{})
	}

	return names, true
}

// txt returns the TXT records of a name that begin with a version; ok is false
// if the DNS does not tell.
func (x *examination) txt(ctx context.Context, name, version string) (records []string, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, conversationTime)
	defer cancel()
	all, err := x.resolver.LookupTXT(ctx, name)
	if err != nil && !isNotFound(err) {
		x.skip("the TXT records of "+name, "the name server gives no answer: "+err.Error())
		return nil, false
	}
	for _, r := range all {
		if begins(r, version) {
			records = append(records, r)
		}
	}

	return records, true
}

// begins tells whether a record is of a version: followed by nothing, a blank or
// a semicolon.
func begins(record, version string) bool {
	if len(record) < len(version) || !strings.EqualFold(record[:len(version)], version) {
		return false
	}
	rest := record[len(version):]

	return rest == "" || strings.ContainsRune(" \t;", rune(rest[0]))
}

// tags reads a list of tags (RFC 6376, section 3.2), which DKIM, DMARC and
// MTA-STS share.
func tags(record string) (map[string]string, error) {
	all := map[string]string{}
	for part := range strings.SplitSeq(record, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		name = strings.TrimSpace(name)
		switch _, twice := all[name]; {
		case !ok || name == "" || strings.ContainsAny(name, " \t"):
			return nil, fmt.Errorf("%s is no tag with a value", quote(part))
		case twice:
			return nil, fmt.Errorf("the tag %s is there twice", quote(name))
		}
		all[name] = strings.TrimSpace(value)
	}

	return all, nil
}

func (x *examination) dkim(ctx context.Context) {
	selectors := x.Selectors
	if len(selectors) == 0 {
		selectors = usualSelectors()
	}
	found := 0
	for _, s := range selectors {
		name := s + "._domainkey." + x.domain
		ctx, cancel := context.WithTimeout(ctx, conversationTime)
		all, err := x.resolver.LookupTXT(ctx, name)
		cancel()
		see := place{host: name}
		switch {
		case isNotFound(err) && len(x.Selectors) > 0:
			x.find("dkim-missing", "", fmt.Sprintf("there is no DKIM key at %s", name), see)
		case isNotFound(err):
		case err != nil:
			x.skip("DKIM at "+name, "the name server gives no answer: "+err.Error())
		default:
			found++
			switch bits, err := dkimKey(all[0]); {
			case err != nil:
				x.find("dkim-wrong", "", fmt.Sprintf("the DKIM key at %s cannot be used: %v", name, err), see)
			case bits > 0 && bits < 1024:
				x.find("dkim-weak", "", fmt.Sprintf("the DKIM key at %s has %d bits, and is not believed any more", name, bits), see)
			}
		}
	}
	if found == 0 && len(x.Selectors) == 0 {
		x.skip("DKIM of "+x.domain, "there is none under a usual selector; name yours")
	}
}

// dkimKey returns the size of an RSA key, 0 for another (RFC 6376, section
// 3.6.1; RFC 8463).
func dkimKey(record string) (bits int, err error) {
	t, err := tags(record)
	if err != nil {
		return 0, err
	}
	if v, ok := t["v"]; ok && v != "DKIM1" {
		return 0, fmt.Errorf("its version is %s", quote(v))
	}
	p, ok := t["p"]
	switch {
	case !ok:
		return 0, errors.New("it has no key (p=)")
	case p == "":
		return 0, errors.New("the key was withdrawn (p= is empty)")
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(p), ""))
	if err != nil {
		return 0, errors.New("the key (p=) is not base64: it was cut or holds blanks")
	}
	switch t["k"] {
	case "", "rsa":
		key, err := x509.ParsePKIXPublicKey(der)
		if rsaKey, ok := key.(*rsa.PublicKey); err == nil && ok {
			return rsaKey.N.BitLen(), nil
		}
		if rsaKey, err := x509.ParsePKCS1PublicKey(der); err == nil {
			return rsaKey.N.BitLen(), nil
		}
		return 0, errors.New("the key (p=) is no RSA key: it was cut or is of another kind")
	case "ed25519":
		if len(der) != ed25519.PublicKeySize {
			return 0, errors.New("the key (p=) is no Ed25519 key")
		}
		return 0, nil
	}

	return 0, fmt.Errorf("its kind of key is %s", quote(t["k"]))
}

func (x *examination) dmarc(ctx context.Context) {
	name := "_dmarc." + x.domain
	see := place{host: name}
	records, ok := x.txt(ctx, name, "v=DMARC1")
	if ok && len(records) == 0 { // that of a domain above holds below it too (RFC 7489, section 6.6.3)
		if _, above, _ := strings.Cut(x.domain, "."); strings.Contains(above, ".") {
			records, ok = x.txt(ctx, "_dmarc."+above, "v=DMARC1")
		}
	}
	switch {
	case !ok:
		return
	case len(records) == 0:
		x.find("dmarc-missing", "", x.domain+" has no DMARC record", see)
		return
	case len(records) > 1:
		x.find("dmarc-wrong", "", fmt.Sprintf("%s has %d DMARC records, and so none counts", x.domain, len(records)), see)
		return
	}
	t, err := tags(records[0])
	if err == nil {
		err = dmarcTags(t)
	}
	switch {
	case err != nil:
		x.find("dmarc-wrong", "", fmt.Sprintf("the DMARC record of %s cannot be used: %v", x.domain, err), see)
	case t["p"] == "none":
		x.find("dmarc-none", "", fmt.Sprintf("the DMARC record of %s asks nobody to turn forged mail away (p=none)", x.domain), see)
	}
}

func dmarcTags(t map[string]string) error {
	policies := []string{"none", "quarantine", "reject"}
	if p := t["p"]; !slices.Contains(policies, p) {
		return fmt.Errorf("its policy (p=) is %s and not none, quarantine or reject", quote(p))
	}
	if sp, ok := t["sp"]; ok && !slices.Contains(policies, sp) {
		return fmt.Errorf("its policy for subdomains (sp=) is %s", quote(sp))
	}
	if pct, ok := t["pct"]; ok {
		if n, err := strconv.Atoi(pct); err != nil || n < 0 || n > 100 {
			return fmt.Errorf("its share (pct=) is %s", quote(pct))
		}
	}
	for _, to := range []string{"rua", "ruf"} {
		for uri := range strings.SplitSeq(t[to], ",") {
			if uri = strings.TrimSpace(uri); uri != "" && !strings.Contains(uri, ":") {
				return fmt.Errorf("where reports go (%s=) is %s, without mailto:", to, quote(uri))
			}
		}
	}

	return nil
}

// stsPolicy is a domain's (RFC 8461, section 3.2).
type stsPolicy struct {
	mode   string
	mx     []string
	maxAge time.Duration
}

func readSTS(text string) (*stsPolicy, error) {
	p := &stsPolicy{maxAge: -1}
	version := false
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		value = strings.TrimSpace(value)
		if !ok {
			if strings.TrimSpace(line) == "" {
				continue
			}
			return nil, fmt.Errorf("the line %s has no colon", quote(line))
		}
		switch strings.TrimSpace(key) {
		case "version":
			version = value == "STSv1"
		case "mode":
			p.mode = value
		case "mx":
			p.mx = append(p.mx, strings.ToLower(value))
		case "max_age":
			n, err := strconv.ParseUint(value, 10, 32)
			if err != nil || n > 31557600 {
				return nil, fmt.Errorf("max_age is %s", quote(value))
			}
			p.maxAge = time.Duration(n) * time.Second
		}
	}
	switch {
	case !version:
		return nil, errors.New("it has no version STSv1")
	case !slices.Contains([]string{"enforce", "testing", "none"}, p.mode):
		return nil, fmt.Errorf("its mode is %s", quote(p.mode))
	case p.maxAge < 0:
		return nil, errors.New("it has no max_age")
	case len(p.mx) == 0 && p.mode != "none":
		return nil, errors.New("it names no mx")
	}

	return p, nil
}

// covers tells whether a policy allows a server (RFC 8461, section 4.1).
func (p *stsPolicy) covers(name string) bool {
	return slices.ContainsFunc(p.mx, func(m string) bool {
		if below, ok := strings.CutPrefix(m, "*."); ok {
			_, rest, _ := strings.Cut(name, ".")
			return rest == below
		}
		return m == name
	})
}

func (x *examination) mtaSTS(ctx context.Context, mx []string) {
	records, ok := x.txt(ctx, "_mta-sts."+x.domain, "v=STSv1")
	see := place{}
	switch {
	case !ok:
		return
	case len(records) == 0:
		x.find("mta-sts-missing", "", x.domain+" has no MTA-STS record", see)
		return
	case len(records) > 1:
		x.find("mta-sts-wrong", "", fmt.Sprintf("%s has %d MTA-STS records, and so none counts", x.domain, len(records)), see)
		return
	}
	if t, err := tags(records[0]); err != nil || t["id"] == "" {
		x.find("mta-sts-wrong", "", fmt.Sprintf("the MTA-STS record of %s has no id: %s", x.domain, quote(records[0])), see)
		return
	}
	url := "https://mta-sts." + x.domain + "/.well-known/mta-sts.txt"
	text, err := x.get(ctx, http.MethodGet, url, "", nil)
	var p *stsPolicy
	if err == nil {
		p, err = readSTS(string(text))
	}
	if err != nil {
		x.find("mta-sts-wrong", "", fmt.Sprintf("the MTA-STS policy at %s cannot be used: %v", url, err), see)
		return
	}
	for _, name := range mx {
		if p.mode != "none" && !p.covers(name) {
			x.find("mta-sts-mx", "", fmt.Sprintf("mail for %s goes to %s, which its MTA-STS policy does not allow (mode %s)", x.domain, name, p.mode), see)
		}
	}
}

// srv looks at what mail programs find their server by (RFC 6186; RFC 8314,
// section 5.1).
func (x *examination) srv(ctx context.Context) {
	var missing []string
	// Who sends by STARTTLS alone says so by submission.
	for _, services := range [][]string{{"imaps"}, {"submissions", "submission"}} {
		found, known := false, true
		for _, service := range services {
			asking, cancel := context.WithTimeout(ctx, conversationTime)
			_, all, err := x.resolver.LookupSRV(asking, service, "tcp", x.domain)
			cancel()
			name := "_" + service + "._tcp." + x.domain
			if err != nil && !isNotFound(err) && len(all) == 0 {
				x.skip("SRV at "+name, "the name server gives no answer: "+err.Error())
				known = false
			}
			for _, r := range all {
				found = true
				x.target(ctx, name, r)
			}
		}
		if !found && known {
			missing = append(missing, "_"+services[0]+"._tcp."+x.domain)
		}
	}
	if len(missing) > 0 {
		x.find("srv-missing", "", "mail programs find no server by the SRV records "+strings.Join(missing, ", "), place{host: missing[0]})
	}
}

func (x *examination) target(ctx context.Context, name string, r *net.SRV) {
	host := strings.TrimSuffix(r.Target, ".")
	see := place{host: name}
	if host == "" {
		return // it says that there is no such service
	}
	if r.Port == 990 {
		x.find("srv-990", "", fmt.Sprintf("the SRV record %s leads to port 990", name), see)
	}
	if where := x.nowhere(ctx, host, r.Port); where != "" {
		x.find("srv-wrong", "", fmt.Sprintf("the SRV record %s leads to %s", name, where), see)
	}
}

// nowhere returns in words where a program is led if nothing is there, "" if
// something is, or it is told of elsewhere.
func (x *examination) nowhere(ctx context.Context, host string, port uint16) string {
	addrs, err := x.lookup(ctx, host)
	switch {
	case isNotFound(err):
		return host + ", and that name has no address"
	case err != nil:
		return "" // it was told of the host, or will be
	}
	for _, a := range addrs {
		conn, err := dial(ctx, netipPort(a, port))
		if err == nil {
			_ = conn.Close()
			return ""
		}
	}

	return fmt.Sprintf("port %d of %s, where nothing answers", port, host)
}
