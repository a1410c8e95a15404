package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// maxSPFLookups is how many further questions a record may need (RFC 7208,
// section 4.6.4).
const maxSPFLookups = 10

// spfTerm is a mechanism or a modifier of a record.
type spfTerm struct {
	qualifier byte // '+' unless told
	name      string
	value     string
}

// readSPF reads a record (RFC 7208, section 12).
func readSPF(record string) ([]spfTerm, error) {
	var all []spfTerm
	for i, word := range strings.Fields(record) {
		if i == 0 {
			continue // the version
		}
		t, err := readTerm(word)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}

	return all, nil
}

func readTerm(word string) (spfTerm, error) {
	t := spfTerm{qualifier: '+'}
	end := strings.IndexAny(word, ":=/")
	if end > 0 && word[end] == '=' { // a modifier; those that are not known are skipped
		t.name, t.value = strings.ToLower(word[:end]), word[end+1:]
		if t.value == "" && (t.name == "redirect" || t.name == "exp") {
			return t, fmt.Errorf("%s names no domain", quote(word))
		}
		return t, nil
	}
	rest := word
	if strings.ContainsRune("+-~?", rune(word[0])) {
		t.qualifier, rest = word[0], word[1:]
	}
	t.name, t.value = strings.ToLower(rest), ""
	if end := strings.IndexAny(rest, ":/"); end >= 0 {
		t.name, t.value = strings.ToLower(rest[:end]), strings.TrimPrefix(rest[end:], ":")
	}
	var err error
	switch t.name {
	case "all":
		if t.value != "" {
			err = errors.New("“all” takes no value")
		}
	case "include", "exists":
		if t.value == "" {
			err = fmt.Errorf("%s names no domain", quote(word))
		}
	case "ip4", "ip6":
		err = spfNetwork(t.name, t.value)
	case "a", "mx", "ptr":
	default:
		err = fmt.Errorf("%s is none of its words", quote(word))
	}

	return t, err
}

func spfNetwork(kind, value string) error {
	a, err := netip.ParseAddr(value)
	if err != nil {
		var p netip.Prefix
		if p, err = netip.ParsePrefix(value); err != nil {
			return fmt.Errorf("%s is no address or network", quote(kind+":"+value))
		}
		a = p.Addr()
	}
	if a.Is4() != (kind == "ip4") {
		return fmt.Errorf("%s is of the other family", quote(kind+":"+value))
	}

	return nil
}

func (x *examination) spf(ctx context.Context) {
	records, ok := x.txt(ctx, x.domain, "v=spf1")
	switch {
	case !ok:
		return
	case len(records) == 0:
		x.find("spf-missing", "", x.domain+" has no SPF record", place{})
		return
	case len(records) > 1:
		x.find("spf-wrong", "", fmt.Sprintf("%s has %d SPF records, and so none counts", x.domain, len(records)), place{})
		return
	}
	terms, err := readSPF(records[0])
	if err != nil {
		x.find("spf-wrong", "", fmt.Sprintf("the SPF record of %s cannot be used: %v", x.domain, err), place{})
		return
	}
	ends := false
	for _, t := range terms {
		if t.name == "all" {
			ends = true
			if t.qualifier == '+' {
				x.find("spf-all", "", fmt.Sprintf("the SPF record of %s allows the whole world to send in its name (+all)", x.domain), place{})
			}
		}
		ends = ends || t.name == "redirect"
	}
	if !ends {
		x.find("spf-open", "", fmt.Sprintf("the SPF record of %s does not say what holds for all others: it ends without “all”", x.domain), place{})
	}
	count := 0
	if err := x.follow(ctx, x.domain, terms, &count, 0); err != nil {
		x.find("spf-wrong", "", fmt.Sprintf("the SPF record of %s cannot be used: %v", x.domain, err), place{})
	}
}

// follow counts the questions that a record needs, with those that it includes.
func (x *examination) follow(ctx context.Context, domain string, terms []spfTerm, count *int, depth int) error {
	for _, t := range terms {
		switch t.name {
		case "include", "a", "mx", "ptr", "exists", "redirect":
		default:
			continue
		}
		if *count++; *count > maxSPFLookups || depth > maxSPFLookups {
			return fmt.Errorf("it needs more than %d further questions to the DNS, and servers that receive mail stop there", maxSPFLookups)
		}
		if t.name != "include" && t.name != "redirect" || strings.Contains(t.value, "%") {
			continue
		}
		if strings.EqualFold(t.value, domain) {
			return fmt.Errorf("it includes itself at %s", domain)
		}
		records, ok := x.txt(ctx, t.value, "v=spf1")
		switch {
		case !ok:
			return nil // it is told that it was not checked
		case len(records) != 1:
			return fmt.Errorf("it includes %s, which has %d SPF records", t.value, len(records))
		}
		inner, err := readSPF(records[0])
		if err != nil {
			return fmt.Errorf("it includes %s: %w", t.value, err)
		}
		if err := x.follow(ctx, t.value, inner, count, depth+1); err != nil {
			return err
		}
	}

	return nil
}
