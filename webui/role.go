package webui

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Role is what somebody may do. A higher one may do all that a lower one may.
type Role int

// The roles.
const (
	Anyone        Role = iota // who is not signed in
	Person                    // of the office: their own account
	Auditor                   // reads everything, changes nothing
	Operator                  // keeps people, bans, certificates
	Administrator             // everything
)

var roleNames = []string{"anyone", "person", "auditor", "operator", "administrator"}

// String returns the role's name.
func (r Role) String() string {
	if r < 0 || int(r) >= len(roleNames) {
		return fmt.Sprintf("role %d", int(r))
	}

	return roleNames[r]
}

// ParseRole finds a role by its name.
func ParseRole(name string) (Role, error) {
	if i := slices.Index(roleNames, name); i >= 0 {
		return Role(i), nil
	}

	return Anyone, fmt.Errorf("%q is none of %v", name, roleNames)
}

// MarshalJSON implements json.Marshaler.
func (r Role) MarshalJSON() ([]byte, error) { return json.Marshal(r.String()) }

// UnmarshalJSON implements json.Unmarshaler.
func (r *Role) UnmarshalJSON(b []byte) error {
	var name string
	err := json.Unmarshal(b, &name)
	if err == nil {
		*r, err = ParseRole(name)
	}

	return err
}
