package netcfg

import (
	"slices"

	"pillarbox/netcfg/dhcp"
	"pillarbox/netcfg/state"
)

// restoreMTU gives links back the MTU that they had before DHCP said another
// one, once it says none any more: the cable leads to another network now.
func (m *Manager) restoreMTU(t *state.Target, o *state.Observed, leases map[string]*dhcp.Lease) {
	for i := range t.Links {
		want := &t.Links[i]
		have := o.Find(want.Name)
		if have == nil {
			continue
		}
		before, known := m.mtus[have.Index]
		lease := leases[want.Name]
		switch {
		case want.MTU == 0 && known && !want.Undecided:
			want.MTU = before
			if have.MTU == before {
				delete(m.mtus, have.Index)
			}
		case lease != nil && lease.MTU != 0 && lease.MTU == want.MTU && !known:
			m.mtus[have.Index] = have.MTU
		}
	}
	for index := range m.mtus {
		if !slices.ContainsFunc(o.Links, func(l state.Link) bool { return l.Index == index }) {
			delete(m.mtus, index)
		}
	}
}
