package state

import "fmt"

// Words tells a step to who knows no kernel; "" is one that says nothing to them.
func (s Step) Words() string {
	switch s.What {
	case TheLink:
		switch {
		case s.Do == Delete:
			return fmt.Sprintf("the %s %s is removed", kindWord(s.From), s.Link)
		case s.Make.Kind == KindVLAN:
			return fmt.Sprintf("the VLAN %s is made: number %d on %s", s.Link, s.Make.VLANID, s.Make.Parent)
		}
		return fmt.Sprintf("the %s %s is made", kindWord(s.Make.Kind), s.Link)
	case TheSetting:
		switch {
		case s.Key != SettingDisableIPv6:
			return ""
		case s.To == "1":
			return fmt.Sprintf("on %s IPv6 is switched off", s.Link)
		}
		return fmt.Sprintf("on %s IPv6 is switched on", s.Link)
	case TheMTU:
		if s.From == "" {
			return fmt.Sprintf("on %s the MTU becomes %s", s.Link, s.To)
		}
		return fmt.Sprintf("on %s the MTU becomes %s; it is %s", s.Link, s.To, s.From)
	case TheMaster:
		if s.To == "" {
			return fmt.Sprintf("the interface %s is a part of %s no more", s.Link, s.From)
		}
		return fmt.Sprintf("the interface %s becomes a part of %s", s.Link, s.To)
	case TheState:
		return fmt.Sprintf("the interface %s is switched on", s.Link)
	}
	what, does := fmt.Sprintf("the address %s", s.Address), "is added"
	if s.Route != nil {
		what = fmt.Sprintf("the route %s", s.Route)
	}
	switch s.Do {
	case Remove:
		does = "is removed"
	case Extend:
		return "" // it stays
	}

	return fmt.Sprintf("on %s %s %s", s.Link, what, does)
}

func kindWord(kind string) string {
	switch kind {
	case KindVLAN:
		return "VLAN"
	case "":
		return "interface"
	}

	return kind
}
