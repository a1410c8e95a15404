package webui

import (
	"slices"
	"strconv"
	"strings"
)

// maxMany bounds how many people one list adds: hashing a password takes some
// 50 ms.
const maxMany = 250

// manyPage is a list of people that is typed or pasted, and what is wrong with it
// line by line.
type manyPage struct {
	Text, Quota, Domain string
	Wrong               []wrongLine
}

// wrongLine is a person of the list who cannot be added.
type wrongLine struct {
	Line     int
	Who, Why string
}

// nobodyYet stands beside a list with what is wrong in it.
const nobodyYet = "Nobody was added yet. Put right what the list below names, and send it again."

// inOrder joins what is wrong, by lines.
func inOrder(a, b []wrongLine) []wrongLine {
	return slices.SortedStableFunc(slices.Values(slices.Concat(a, b)), func(a, b wrongLine) int { return a.Line - b.Line })
}

func (v *visit) newPeople() error {
	return v.show("peoplenew", "Add many people", manyPage{Domain: v.s.office.now().Domain})
}

// addPeople adds nobody unless all can be added, as far as that shows before.
func (v *visit) addPeople() error {
	d := manyPage{Text: v.r.PostFormValue("people"), Quota: v.value("quota"), Domain: v.s.office.now().Domain}
	bad := problems{}
	quota, ok := parseQuota(d.Quota)
	if !ok {
		bad.add("quota", "Type a number of gigabytes such as 5, or leave it empty for no limit.")
	}
	rows, wrong, err := parsePeople(d.Text, d.Domain)
	switch {
	case err != nil:
		bad.add("people", err.Error())
	case len(rows)+len(wrong) == 0:
		bad.add("people", "Type a line for each person: a name, a comma and an address.")
	case len(rows) > maxMany:
		bad.add("people", "These are more than "+strconv.Itoa(maxMany)+" people. Add them in several parts.")
	}
	if len(bad) > 0 {
		return v.again("peoplenew", "Add many people", d, bad)
	}
	taken, err := v.lookThrough(rows)
	if err != nil {
		return err
	}
	if d.Wrong = inOrder(wrong, taken); len(d.Wrong) > 0 {
		bad.add("people", nobodyYet)
		return v.again("peoplenew", "Add many people", d, bad)
	}
	for i := range rows {
		rows[i].Password = newPassword()
	}
	if !v.addBatch(rows, quota) {
		bad.add("people", "The list before this one is still under way. Wait for its end.")
		return v.again("peoplenew", "Add many people", d, bad)
	}
	v.seeOther("/people/many/added")

	return nil
}

// lookThrough finds what is wrong with people before any is added.
func (v *visit) lookThrough(rows []newcomer) (wrong []wrongLine, err error) {
	groups, everybody, err := v.listGroups()
	if err != nil {
		return nil, err
	}
	taken := map[string]string{}
	for _, m := range everybody {
		taken[m.Address] = "There is an account with this address already."
	}
	for _, g := range groups {
		taken[g.Address] = "A group or alias has this address."
	}
	for _, n := range rows {
		address := strings.ToLower(n.Address)
		switch {
		case taken[address] != "":
			wrong = append(wrong, wrongLine{n.Line, n.Address, taken[address]})
		case !isAddress(address):
			wrong = append(wrong, wrongLine{n.Line, n.Address, "This is no address. One is such as ada@office.example."})
		}
		taken[address] = "This address stands in the list twice."
	}

	return wrong, nil
}
