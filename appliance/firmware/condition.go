package firmware

import (
	"fmt"
	"strings"

	"pillarbox/appliance/health"
)

// What can be wrong with a device, as far as its start knows.
var (
	kindStart = &health.Kind{
		Name: "device-start", Title: "The box could not start in full", Severity: health.Medium,
	}
	kindProvisioning = &health.Kind{
		Name: "provisioning", Title: "The file pillarbox.toml has mistakes", Severity: health.Medium,
	}
	kindDamaged = &health.Kind{
		Name: "data-partition", Title: "The data partition is not in order; mail is not served", Severity: health.High,
	}
	kindMended = &health.Kind{
		Name: "data-partition-mended", Title: "The data partition was damaged and has been mended", Severity: health.Medium,
	}
	kindClock = &health.Kind{
		Name: "clock-not-set", Title: "No time server has set the clock", Severity: health.Medium,
	}
)

// Conditions returns what is wrong with the device, the worst first.
func (s *System) Conditions() []health.Condition { return s.tracker.Conditions() }

// set says that a condition holds.
func (s *System) set(k *health.Kind, format string, args ...any) {
	s.tracker.Set(k, fmt.Sprintf(format, args...))
	s.publish()
}

// clear says that a condition no longer holds.
func (s *System) clear(k *health.Kind) {
	s.tracker.Clear(k)
	s.publish()
}

// note keeps what could not be done, and logs it.
func (s *System) note(what string, err error) {
	s.log.Error(what, "err", err)
	s.mu.Lock()
	s.notes = append(s.notes, fmt.Sprintf("could not %s: %v", what, err))
	text := strings.Join(s.notes, "; ")
	s.mu.Unlock()
	s.set(kindStart, "%s", text)
}

// publish tells the mail server.
func (s *System) publish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.published {
		return
	}
	if err := health.Publish(s.path(ConditionsFile), s.tracker.Conditions()); err != nil {
		s.log.Error("tell the mail server what is wrong", "err", err)
	}
}

// Publishes tells whether a condition is one of the device's.
func Publishes(name string) bool {
	for _, k := range []*health.Kind{kindStart, kindProvisioning, kindDamaged, kindMended, kindClock} {
		if k.Name == name {
			return true
		}
	}

	return false
}
