package sunset

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Stage is what a step does.
type Stage string

// The stages, in their order.
const (
	Dual     Stage = "dual"
	Announce Stage = "announce"
	Pilot    Stage = "pilot"
	Phase    Stage = "phase"
	Closed   Stage = "closed"
	Silent   Stage = "silent"
)

func stages() []Stage { return []Stage{Dual, Announce, Pilot, Phase, Closed, Silent} }

// refuses tells whether people are refused in it.
func (s Stage) refuses() bool { return slices.Index(stages(), s) >= slices.Index(stages(), Pilot) }

// Who is a choice of people; each part adds some.
type Who struct {
	People    []string       `json:"people,omitempty"`   // addresses; an alias means all that it leads to
	Networks  []netip.Prefix `json:"networks,omitempty"` // from where they come
	Everybody bool           `json:"everybody,omitempty"`
}

func (w *Who) empty() bool { return len(w.People) == 0 && len(w.Networks) == 0 && !w.Everybody }

// String names them.
func (w Who) String() string {
	if w.Everybody {
		return "everybody"
	}
	all := slices.Clone(w.People)
	for _, n := range w.Networks {
		all = append(all, n.String())
	}

	return strings.Join(all, ", ")
}

// ParseWho reads what String wrote.
func ParseWho(text string) (w Who, err error) {
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		switch {
		case part == "everybody":
			w.Everybody = true
		case strings.Contains(part, "@"):
			w.People = append(w.People, strings.ToLower(part))
		default:
			n, err := netip.ParsePrefix(part)
			if a, single := netip.ParseAddr(part); single == nil {
				n, err = netip.PrefixFrom(a, a.BitLen()), nil
			}
			if err != nil {
				return w, fmt.Errorf("%q is neither an address of a person nor a network nor \"everybody\"", part)
			}
			w.Networks = append(w.Networks, n.Masked())
		}
	}

	return w, nil
}

// Step is one of a plan's.
type Step struct {
	Stage  Stage     `json:"stage"`
	Begins time.Time `json:"begins,omitzero"` // not before; zero means when an administrator says so
	Who    Who       `json:"who,omitzero"`    // of pilot and phase
}

// Span is a time such as 90s, 12h or 7d.
type Span time.Duration

const day = 24 * time.Hour

// MarshalText implements encoding.TextMarshaler.
func (s Span) MarshalText() ([]byte, error) {
	if d := time.Duration(s); d%day == 0 && d != 0 {
		return fmt.Appendf(nil, "%dd", d/day), nil
	}

	return []byte(time.Duration(s).String()), nil
}

var errSpan = errors.New("a time such as 10m, 12h or 7d is wanted")

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Span) UnmarshalText(text []byte) error {
	if days, ok := strings.CutSuffix(string(text), "d"); ok {
		n, err := strconv.ParseUint(days, 10, 12)
		if err != nil {
			return errSpan
		}
		*s = Span(time.Duration(n) * day)
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil || d < 0 || d > 4096*day {
		return errSpan
	}
	*s = Span(d)

	return nil
}

// String says it.
func (s Span) String() string {
	text, _ := s.MarshalText()

	return string(text)
}

// Measures are by what a plan is judged. Zero fields mean the usual.
type Measures struct {
	Quiet     Span `json:"quiet,omitempty"`      // who came by the old way within it still uses it: 7d; who was not told yet, within a month
	Window    Span `json:"window,omitempty"`     // over which failures are counted: 30m
	MinTries  int  `json:"min_tries,omitempty"`  // sign-ins in a window below which no rate is judged: 20
	Rise      int  `json:"rise,omitempty"`       // in percentage points of failed sign-ins, which pauses the plan: 20
	MaxBroken int  `json:"max_broken,omitempty"` // people who were refused and did not come by the new way within a window: 5
	Patience  Span `json:"patience,omitempty"`   // from a pause by itself to going back by itself: 15m
	MinMoved  int  `json:"min_moved,omitempty"`  // percent of people to have moved before a step refuses more: 0
}

func (m Measures) filled() Measures {
	fill(&m.Quiet, Span(7*day))
	fill(&m.Window, Span(30*time.Minute))
	fill(&m.MinTries, 20)
	fill(&m.Rise, 20)
	fill(&m.MaxBroken, 5)
	fill(&m.Patience, Span(15*time.Minute))

	return m
}

func fill[T int | Span](field *T, usual T) {
	if *field == 0 {
		*field = usual
	}
}

// Spec is a plan as somebody wants it.
type Spec struct {
	Kind     Kind     `json:"kind"`
	Why      string   `json:"why,omitempty"`
	Steps    []Step   `json:"steps"`                // announce, pilot, phases and closed; some may be missing
	Grace    Span     `json:"grace,omitempty"`      // for which a closed port explains itself: 30d
	MailEach Span     `json:"mail_every,omitempty"` // at most one mail to a person within it: 7d
	NoMail   bool     `json:"no_mail,omitempty"`
	Words    Words    `json:"words,omitzero"`
	Measures Measures `json:"measures,omitzero"`
}

// Bounds of a Spec.
const (
	maxSteps    = 32
	maxPeople   = 1000
	maxNetworks = 256
	maxWhy      = 1000 // octets
)

// Complete returns the Spec with everything filled in, or all that is wrong.
func (s *Spec) Complete() (Spec, error) {
	c := *s
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !slices.Contains(Kinds(), c.Kind) {
		return c, fmt.Errorf("kind: %q is none of %v", c.Kind, Kinds())
	}
	if len(c.Why) > maxWhy {
		bad("why: longer than %d octets", maxWhy)
	}
	if len(c.Steps) > maxSteps {
		bad("steps: there are more than %d", maxSteps)
	}
	c.Steps = slices.DeleteFunc(slices.Clone(s.Steps), func(p Step) bool { return p.Stage == Dual || p.Stage == Silent })
	have := func(stage Stage) bool {
		return slices.ContainsFunc(c.Steps, func(p Step) bool { return p.Stage == stage })
	}
	if !have(Announce) {
		c.Steps = slices.Insert(c.Steps, 0, Step{Stage: Announce})
	}
	if !have(Closed) {
		c.Steps = append(c.Steps, Step{Stage: Closed})
	}
	c.Steps = slices.Insert(c.Steps, 0, Step{Stage: Dual})
	var last Step
	for i, p := range c.Steps {
		place := fmt.Sprintf("steps (%s)", p.Stage)
		switch rank := slices.Index(stages(), p.Stage); {
		case rank < 0:
			bad("%s: there is no such stage", place)
		case i > 0 && (rank < slices.Index(stages(), last.Stage) || p.Stage == last.Stage && p.Stage != Phase):
			bad("%s: it cannot come after %s", place, last.Stage)
		}
		chosen := p.Stage == Pilot || p.Stage == Phase
		switch {
		case chosen && p.Who.empty():
			bad("%s: nobody is chosen", place)
		case !chosen && !p.Who.empty():
			bad("%s: people are chosen for pilot and phase alone", place)
		case p.Stage == Pilot && p.Who.Everybody:
			bad("%s: everybody is no pilot", place)
		}
		if len(p.Who.People) > maxPeople || len(p.Who.Networks) > maxNetworks {
			bad("%s: more than %d people or %d networks", place, maxPeople, maxNetworks)
		}
		for _, n := range p.Who.Networks {
			if !n.IsValid() || n != n.Masked() || n.Addr().Is4In6() {
				bad("%s: %q is not a network such as 192.0.2.0/24", place, n)
			}
		}
		if !p.Begins.IsZero() && p.Begins.Before(last.Begins) {
			bad("%s: it begins before the step in front of it", place)
		}
		if p.Begins.IsZero() {
			p.Begins = last.Begins // for the comparison alone
		}
		last = p
	}
	if c.Kind.words().port != "" {
		c.Steps = append(c.Steps, Step{Stage: Silent})
	}
	fill(&c.Grace, Span(30*day))
	fill(&c.MailEach, Span(7*day))
	c.Measures = c.Measures.filled()
	if m := c.Measures; m.MinTries < 0 || m.Rise < 1 || m.Rise > 100 || m.MaxBroken < 0 || m.MinMoved < 0 || m.MinMoved > 100 {
		bad("measures: percentages are between 0 and 100, counts not negative")
	}
	var err error
	if c.Words, err = c.Words.filled(c.Kind); err != nil {
		errs = append(errs, err)
	}

	return c, errors.Join(errs...)
}
