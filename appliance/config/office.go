package config

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Office is whose box it is. All of it may be empty on a fresh box.
type Office struct {
	Name   string `json:"name,omitempty"`   // as people write it
	Domain string `json:"domain,omitempty"` // what stands behind the @ of most addresses
	// TimeZone is that in which times are shown, and in which the hours of a Window
	// are, such as Europe/Berlin; "" means the machine's.
	TimeZone string `json:"time_zone,omitempty"`
}

// The bounds of an office's facts, in octets.
const (
	maxOffice = 100
	maxDomain = 200
)

func (o *Office) validate() error {
	var errs []error
	if len(o.Name) > maxOffice || o.Name != strings.TrimSpace(o.Name) || strings.ContainsFunc(o.Name, unicode.IsControl) {
		errs = append(errs, fmt.Errorf("name: one line of at most %d octets is wanted", maxOffice))
	}
	if o.Domain != "" && (len(o.Domain) > maxDomain || !isServer(o.Domain) || !strings.Contains(o.Domain, ".")) {
		errs = append(errs, fmt.Errorf("domain: %q is not a domain such as office.example", o.Domain))
	}
	if _, err := o.place(); err != nil {
		errs = append(errs, fmt.Errorf("time_zone: %q is not a time zone such as Europe/Berlin", o.TimeZone))
	}

	return errors.Join(errs...)
}

// Place returns the time zone; a Document that is valid has one.
func (o *Office) Place() *time.Location {
	place, err := o.place()
	if err != nil {
		return time.Local
	}

	return place
}

// now is the time, as it is there.
func (o *Office) now() time.Time { return time.Now().In(o.Place()) }

func (o *Office) place() (*time.Location, error) {
	switch o.TimeZone {
	case "":
		return time.Local, nil
	case "Local": // would be another on another machine
		return nil, errors.New("the zone has no name")
	}

	return time.LoadLocation(o.TimeZone)
}
