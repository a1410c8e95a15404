package webui

// ParsePeople reads the lines of a list of people, and returns their addresses
// and names.
func ParsePeople(text, domain string) (all [][2]string, err error) {
	rows, err := parsePeople(text, domain)
	for _, n := range rows {
		all = append(all, [2]string{n.Address, n.Name})
	}

	return all, err
}

// MailAddresses splits what was typed.
func MailAddresses(text, domain string) []string { return mailAddresses(text, domain) }

// NewPassword makes one as people get it.
func NewPassword() string { return newPassword() }
