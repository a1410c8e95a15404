package model_test

import (
	"fmt"
	"slices"
	"strings"
)

// sent is a STORE on its way.
type sent struct {
	op     string
	flags  []string
	silent bool
	uids   []uint32
}

// storeSeveral sends some STOREs without waiting for the answers, as programs
// do that bring a mailbox in step.
func (u *turn) storeSeveral() error {
	v := u.c.view
	if v.readOnly || u.plain {
		return u.store()
	}
	var row []sent
	for range 2 + u.IntN(6) {
		ch, err := u.choose()
		if err != nil || !ch.uid {
			continue // numbers would shift with what is told in between
		}
		s := sent{op: []string{"FLAGS", "+FLAGS", "-FLAGS"}[u.IntN(3)], flags: u.flags(), silent: u.IntN(2) == 0}
		for _, m := range ch.msgs {
			s.uids = append(s.uids, m.uid)
			v.box.store(m, s.op, s.flags)
		}
		suffix := ""
		if s.silent {
			suffix = ".SILENT"
		}
		command := fmt.Sprintf("%s %s%s (%s)", ch.command("STORE"), s.op, suffix, strings.Join(s.flags, " "))
		u.note(u.who, command+" (and at once)")
		if err := u.c.wire.Start(command); err != nil {
			return err
		}
		row = append(row, s)
	}
	if len(row) == 0 {
		return u.noop()
	}
	for _, s := range row {
		a, err := u.c.finish()
		if err != nil {
			return fmt.Errorf("session %d: %w", u.who+1, err)
		}
		if a.status != "OK" {
			return fmt.Errorf("session %d is answered %s [%s], want OK", u.who+1, a.status, a.code)
		}
		if !s.silent {
			if err := u.told(a, s.uids); err != nil {
				return err
			}
			continue
		}
		for i, uid := range v.uids {
			if v.flags[i] != nil && slices.Contains(s.uids, uid) {
				v.flags[i] = combine(v.flags[i], s.op, s.flags)
			}
		}
	}
	return u.settle(u.who, false)
}
