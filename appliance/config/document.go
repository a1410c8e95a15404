package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"pillarbox/netcfg/policy"
	"pillarbox/netcfg/state"
)

// Format is the version of a document's form. Parse refuses a newer one.
const Format = 1

// MaxSize bounds a document in octets.
const MaxSize = 512 << 10

// Document is the whole configuration.
type Document struct {
	Format   int           `json:"format"`
	Office   Office        `json:"office,omitzero"`
	Network  state.Desired `json:"network"`
	Firewall policy.Policy `json:"firewall"`
	Ports    Ports         `json:"ports"`

	Certificate Certificate `json:"certificate"`

	SignIn SignIn `json:"sign_in,omitzero"`

	Audit Audit `json:"audit"`

	Inventory Inventory `json:"inventory"`

	ClientSetup ClientSetup `json:"client_setup,omitzero"`

	Changes Changes `json:"changes"`
}

// Ports are which ports the box serves. Who may reach them is the firewall's
// matter.
type Ports struct {
	// NoIMAPS closes port 993, for an estate that has nothing but 990.
	NoIMAPS bool `json:"no_imaps,omitempty"`
	// IMAPSLegacy is port 990 for IMAP, beside 993.
	IMAPSLegacy bool `json:"imaps_legacy"`
	// Metrics is port 9464, on which Prometheus asks by HTTPS.
	Metrics bool `json:"metrics"`
}

// Certificate is which certificate the box presents, and how strict TLS is. What
// an order by ACME needs, with its secrets, is kept by the certificates' room.
type Certificate struct {
	Source string `json:"source,omitempty"` // private, upload or acme; "" means private
	// Upload is the fingerprint of the one that was uploaded, with source upload.
	Upload string `json:"upload,omitempty"`
	Policy string `json:"policy,omitempty"` // intermediate or modern; "" means intermediate
}

// fingerprint is a SHA-256 in hexadecimal digits.
var fingerprint = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (c *Certificate) validate() error {
	var errs []error
	switch c.Source {
	case "", "private", "acme":
		if c.Upload != "" {
			errs = append(errs, errors.New("upload: it belongs to the source upload"))
		}
	case "upload":
		if !fingerprint.MatchString(c.Upload) {
			errs = append(errs, fmt.Errorf("upload: %q is not a SHA-256 fingerprint", c.Upload))
		}
	default:
		errs = append(errs, fmt.Errorf("source: %q is none of private, upload and acme", c.Source))
	}
	switch c.Policy {
	case "", "intermediate", "modern":
	default:
		errs = append(errs, fmt.Errorf("policy: %q is neither intermediate nor modern", c.Policy))
	}

	return errors.Join(errs...)
}

// Changes is how the configuration itself is changed.
type Changes struct {
	// ConfirmWithin is how many seconds there are to confirm a change, 30 to
	// 900.
	ConfirmWithin int `json:"confirm_within"`

	// Window is when changes may be applied; nil means at any time.
	Window *Window `json:"window,omitempty"`
}

// The bounds of Changes.ConfirmWithin, and what it is at first: long enough to
// walk over to another device.
const (
	minConfirm   = 30
	maxConfirm   = 900
	usualConfirm = 90
)

// Within returns how long there is to confirm a change.
func (c *Changes) Within() time.Duration { return time.Duration(c.ConfirmWithin) * time.Second }

// Default is the configuration of a fresh box.
func Default() Document {
	return Document{
		Format: Format, Network: state.Default(), Firewall: policy.Default(),
		Ports: Ports{IMAPSLegacy: true}, Certificate: Certificate{Source: "private", Policy: "intermediate"},
		Audit:     Audit{}.filled(),
		Inventory: Inventory{}.filled(),
		Changes:   Changes{ConfirmWithin: usualConfirm},
	}
}

// fill puts what is usual where somebody, or an earlier release, said nothing.
func (d *Document) fill() { d.Audit, d.Inventory = d.Audit.filled(), d.Inventory.filled() }

// Parse reads a document. The error names all that is wrong with it.
func Parse(r io.Reader) (Document, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return Document{}, fmt.Errorf("read the configuration: %w", err)
	}
	if len(text) > MaxSize {
		return Document{}, fmt.Errorf("read the configuration: it is longer than %d octets", MaxSize)
	}
	var d Document
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return Document{}, fmt.Errorf("read the configuration: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Document{}, errors.New("read the configuration: something follows after its end")
	}
	d.fill()

	return d, d.Validate()
}

// Validate returns all that is wrong, joined, each with its place.
func (d *Document) Validate() error {
	if d.Format != Format {
		return fmt.Errorf("format: %d is not known; this program knows %d", d.Format, Format)
	}
	errs := []error{
		within("office", d.Office.validate()),
		within("network", d.Network.Validate()), within("firewall", d.Firewall.Validate()),
		within("certificate", d.Certificate.validate()), within("sign_in", d.SignIn.validate()),
		within("audit", d.Audit.validate()), within("inventory", d.Inventory.validate()), within("client_setup", d.ClientSetup.validate()),
	}
	if c := d.Changes.ConfirmWithin; c < minConfirm || c > maxConfirm {
		errs = append(errs, fmt.Errorf("changes.confirm_within: %d is not between %d and %d seconds", c, minConfirm, maxConfirm))
	}
	if d.Ports.NoIMAPS && !d.Ports.IMAPSLegacy {
		errs = append(errs, errors.New("ports: 993 and 990 cannot both be closed: nobody could read mail any more"))
	}
	if d.Changes.Window != nil {
		errs = append(errs, within("changes.window", d.Changes.Window.validate()))
	}

	return errors.Join(errs...)
}

// within puts the place in front of each of some problems.
func within(place string, err error) error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error }) // not of what is wrapped in words
	if !ok || !strings.Contains(err.Error(), "\n") {
		return fmt.Errorf("%s.%w", place, err)
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, within(place, e))
	}

	return errors.Join(all...)
}

// clone returns a copy that shares nothing.
func (d *Document) clone() (c Document, err error) {
	text, err := json.Marshal(d)
	if err == nil {
		err = json.Unmarshal(text, &c)
	}

	return c, err
}
