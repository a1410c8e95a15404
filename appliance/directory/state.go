package directory

import (
	"cmp"
	"slices"
	"strings"

	"pillarbox/storage"
)

// state is the whole directory at one moment. It is immutable once it is
// published.
type state struct {
	accounts map[storage.AccountID]*entry // in every state
	aliases  map[Address]*alias

	// Built by index from the accounts that are active.
	sorted    []*entry // oldest first
	byAddress map[Address]*entry
	byLocal   map[string]*entry // nil where two domains share the local part

	byCertificate map[Fingerprint]certified

	scram bool // every credential has keys for SCRAM
}

// entry is an account with what is not shown to others.
type entry struct {
	Account
	addr        Address
	state       string
	credentials []credential
}

// credential is one way to log in.
type credential struct {
	id     string
	hash   phc        // of a password
	device deviceHash // of a device
	record credentialRecord

	certificate Fingerprint // of a device that has one
}

// certified is whose a certificate is.
type certified struct {
	entry      *entry
	credential *credential
}

// isCertificate tells a certificate from what is sent and hashed.
func (c *credential) isCertificate() bool { return c.record.Kind == kindCertificate }

// isPassword tells a person's password from what was made for a device.
func (c *credential) isPassword() bool { return c.record.Kind == kindPassword }

// named returns the name of the device that the credential is of; "" if of none.
func (c *credential) named() string {
	if c.isPassword() {
		return ""
	}
	return c.record.Label
}

type alias struct {
	targets []Address
	record  aliasRecord
}

func newState() *state {
	return &state{
		accounts:  map[storage.AccountID]*entry{},
		aliases:   map[Address]*alias{},
		byAddress: map[Address]*entry{},
		byLocal:   map[string]*entry{},

		byCertificate: map[Fingerprint]certified{},
	}
}

func (s *state) index() {
	for _, e := range s.accounts {
		if e.state != stateActive {
			continue
		}
		s.sorted = append(s.sorted, e)
		s.byAddress[e.addr] = e
		if _, shared := s.byLocal[e.addr.Local]; shared {
			s.byLocal[e.addr.Local] = nil
		} else {
			s.byLocal[e.addr.Local] = e
		}
		for i := range e.credentials {
			if c := &e.credentials[i]; c.isCertificate() {
				s.byCertificate[c.certificate] = certified{e, c}
			}
		}
	}
	slices.SortFunc(s.sorted, func(a, b *entry) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Address, b.Address))
	})
}

// login finds the account that somebody means who logs in; nil if there is none.
func (s *state) login(name string) *entry {
	if strings.Contains(name, "@") {
		addr, err := ParseAddress(name)
		if err != nil {
			return nil
		}
		return s.byAddress[addr]
	}
	local, err := canonicalLocal(name)
	if err != nil {
		return nil
	}
	return s.byLocal[local]
}

// ambiguous tells whether a name that login does not find is a short one that
// several accounts share.
func (s *state) ambiguous(name string) bool {
	local, err := canonicalLocal(name)
	if err != nil {
		return false
	}
	e, shared := s.byLocal[local]
	return shared && e == nil
}

// holder finds the account that has an address in whatever state; nil if none has.
func (s *state) holder(addr Address) *entry {
	for _, e := range s.accounts {
		if e.addr == addr {
			return e
		}
	}
	return nil
}

// taken tells whether an address is an account's or an alias.
func (s *state) taken(addr Address) bool {
	return s.aliases[addr] != nil || s.holder(addr) != nil
}

// has tells whether an active account still has a credential.
func (s *state) has(id storage.AccountID, credential string) bool {
	e := s.accounts[id]
	if e == nil || e.state != stateActive {
		return false
	}
	for i := range e.credentials {
		if e.credentials[i].id == credential {
			return true
		}
	}
	return false
}

// passwordless tells whether an account has no password of a person's.
func (e *entry) passwordless() bool {
	return !slices.ContainsFunc(e.credentials, func(c credential) bool { return c.isPassword() })
}

// oldest returns the first account of a domain, or of all domains for "".
func (s *state) oldest(domain string) *entry {
	for _, e := range s.sorted {
		if domain == "" || e.addr.Domain == domain {
			return e
		}
	}
	return nil
}
