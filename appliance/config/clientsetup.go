package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ClientSetup is what mail programs and people are told about connecting, as far
// as the box does not know it by itself.
type ClientSetup struct {
	// Server is the name of the box for mail programs; "" means that by which the
	// box was started, or else its host name.
	Server string `json:"server,omitempty"`
	// Outgoing is the office's server for sending, as long as the box does not
	// send; nil means that nobody is told of one.
	Outgoing *Outgoing `json:"outgoing,omitempty"`
}

// Outgoing is a server that takes mail for sending.
type Outgoing struct {
	Server   string `json:"server"`
	Port     uint16 `json:"port"`               // such as 465 or 587
	Security string `json:"security,omitempty"` // tls or starttls; "" means tls
	// SignIn is by what: same for the address and the password of the mailbox, own
	// for a name and password of its own, none; "" means own.
	SignIn string `json:"sign_in,omitempty"`
}

func (c *ClientSetup) validate() error {
	var errs []error
	if c.Server != "" && !isServer(c.Server) {
		errs = append(errs, fmt.Errorf("server: %q is not a name such as mail.office.example", c.Server))
	}
	if c.Outgoing != nil {
		errs = append(errs, within("outgoing", c.Outgoing.validate()))
	}

	return errors.Join(errs...)
}

func (o *Outgoing) validate() error {
	var errs []error
	if !isServer(o.Server) {
		errs = append(errs, fmt.Errorf("server: %q is not a name such as smtp.provider.example", o.Server))
	}
	if o.Port == 0 {
		errs = append(errs, errors.New("port: there is none; it is often 465 (tls) or 587 (starttls)"))
	}
	if !slices.Contains([]string{"", "tls", "starttls"}, o.Security) {
		errs = append(errs, fmt.Errorf("security: %q is neither tls nor starttls", o.Security))
	}
	if !slices.Contains([]string{"", "same", "own", "none"}, o.SignIn) {
		errs = append(errs, fmt.Errorf("sign_in: %q is none of same, own and none", o.SignIn))
	}

	return errors.Join(errs...)
}

// isServer tells whether s is a host name in lower-case ASCII (RFC 1123, section
// 2.1).
func isServer(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}

	return true
}
