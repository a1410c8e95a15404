package firewall

import (
	"net"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// register is the kernel's register that all expressions use: each condition is
// decided before the next one is looked at.
const register = 1

// TCP's flags (RFC 9293, section 3.1).
const (
	tcpFlags     = 13 // their place in the header
	tcpOpening   = 0x02
	tcpRelevant  = 0x17 // FIN, SYN, RST, ACK
	sourceOffset = 12   // of the address in an IPv4 header
	ttlOffset    = 8

	sourceOffset6   = 8 // of the address in an IPv6 header
	hopLimitOffset6 = 7
)

// expressions returns a rule in the kernel's terms. Its counter begins where an
// earlier one has stopped.
func (r *rule) expressions(sets map[string]kernelSet, begin Counter) []expr.Any {
	var all []expr.Any
	add := func(e ...expr.Any) { all = append(all, e...) }
	if r.iface != "" {
		name := make([]byte, unix.IFNAMSIZ)
		copy(name, r.iface)
		add(&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: register}, equals(name))
	}
	switch r.family {
	case ipv4:
		add(&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register}, equals([]byte{unix.NFPROTO_IPV4}))
	case ipv6:
		add(&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register}, equals([]byte{unix.NFPROTO_IPV6}))
	}
	if r.protocol != 0 {
		add(&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register}, equals([]byte{byte(r.protocol)}))
	}
	if r.from != 0 {
		add(transport(0, 2), equals(binaryutil.BigEndian.PutUint16(r.from)))
	}
	if r.port != 0 {
		add(transport(2, 2), equals(binaryutil.BigEndian.PutUint16(r.port)))
	}
	if r.kind != 0 {
		add(transport(0, 1), equals([]byte{r.kind}))
	}
	if r.hopLimit != 0 {
		offset := uint32(ttlOffset)
		if r.family == ipv6 {
			offset = hopLimitOffset6
		}
		add(network(offset, 1), equals([]byte{r.hopLimit}))
	}
	if r.linkOnly {
		// fe80::/10
		add(network(sourceOffset6, 2), masked([]byte{0xff, 0xc0}), equals([]byte{0xfe, 0x80}))
	}
	if r.opening {
		add(transport(tcpFlags, 1), masked([]byte{tcpRelevant}), equals([]byte{tcpOpening}))
	}
	if len(r.states) > 0 {
		add(&expr.Ct{Key: expr.CtKeySTATE, Register: register}, masked(binaryutil.NativeEndian.PutUint32(stateBits(r.states))),
			&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: make([]byte, 4)})
	}
	if s, ok := sets[r.source]; ok {
		add(loadSource(r.family, s.bits)...)
		add(&expr.Lookup{SourceRegister: register, SetName: s.Name, SetID: s.ID})
	}
	if s, ok := sets[r.over.set]; ok {
		add(loadSource(r.family, s.bits)...)
		add(r.over.expression(s.Set))
	}
	if r.limit != (limit{}) {
		add(&expr.Limit{
			Type: expr.LimitTypePkts, Rate: uint64(r.limit.perSecond), Unit: expr.LimitTimeSecond, Burst: r.limit.burst,
		})
	}
	if r.log != "" {
		add(&expr.Log{Key: 1 << unix.NFTA_LOG_PREFIX, Data: []byte(r.log)})
	}
	add(&expr.Counter{Packets: begin.Packets, Bytes: begin.Bytes})
	if v := r.end(); v != nil {
		add(v)
	}

	return all
}

func (r *rule) end() expr.Any {
	switch r.verdict {
	case accept:
		return &expr.Verdict{Kind: expr.VerdictAccept}
	case drop:
		return &expr.Verdict{Kind: expr.VerdictDrop}
	case back:
		return &expr.Verdict{Kind: expr.VerdictReturn}
	case jump:
		return &expr.Verdict{Kind: expr.VerdictJump, Chain: r.target}
	case goTo:
		return &expr.Verdict{Kind: expr.VerdictGoto, Chain: r.target}
	case next:
	}

	return nil
}

// expression is true for a source that is above its bound.
func (b *bound) expression(s *nftables.Set) expr.Any {
	e := &expr.Dynset{SrcRegKey: register, SetName: s.Name, SetID: s.ID}
	if b.count > 0 {
		e.Operation = unix.NFT_DYNSET_OP_ADD
		e.Exprs = []expr.Any{&expr.Connlimit{Count: b.count, Flags: expr.NFT_CONNLIMIT_F_INV}}
	} else {
		e.Operation = unix.NFT_DYNSET_OP_UPDATE
		e.Exprs = []expr.Any{&expr.Limit{
			Type: expr.LimitTypePkts, Rate: uint64(b.perMinute), Unit: expr.LimitTimeMinute, Burst: b.burst, Over: true,
		}}
	}

	return e
}

// loadSource loads so many bits of the source's address; 0 means all.
func loadSource(f family, bits uint8) []expr.Any {
	all := []expr.Any{network(sourceOffset6, 16)}
	if f == ipv4 {
		all = []expr.Any{network(sourceOffset, 4)}
	}
	length := int(all[0].(*expr.Payload).Len)
	if bits == 0 || int(bits) == 8*length {
		return all
	}

	return append(all, masked(net.CIDRMask(int(bits), 8*length)))
}

func stateBits(states []ConnState) uint32 {
	var bits uint32
	for _, s := range states {
		switch s {
		case New:
			bits |= expr.CtStateBitNEW
		case Established:
			bits |= expr.CtStateBitESTABLISHED
		case Related:
			bits |= expr.CtStateBitRELATED
		case Invalid:
			bits |= expr.CtStateBitINVALID
		case Untracked:
			bits |= expr.CtStateBitUNTRACKED
		}
	}

	return bits
}

func transport(offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: length}
}

func network(offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}
}

func equals(value []byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: value}
}

func masked(mask []byte) expr.Any {
	return &expr.Bitwise{
		SourceRegister: register, DestRegister: register, Len: uint32(len(mask)), Mask: mask, Xor: make([]byte, len(mask)),
	}
}

// comment is what nft shows beside a rule.
func comment(text string) []byte { return userdata.AppendString(nil, userdata.TypeComment, text) }

// commentOf returns it.
func commentOf(r *nftables.Rule) string {
	text, _ := userdata.GetString(r.UserData, userdata.TypeComment)

	return text
}

// kernelSet is a set that a batch makes.
type kernelSet struct {
	*nftables.Set
	bits uint8
}

// kernelSet returns a set in the kernel's terms, with the elements that it has
// from the beginning.
func (s *set) kernelSet(t *nftables.Table, id uint32) (kernelSet, []nftables.SetElement) {
	k := kernelSet{bits: s.bits}
	k.Set = &nftables.Set{Table: t, ID: id, Name: s.name, KeyType: nftables.TypeIPAddr, Size: s.size}
	if s.family == ipv6 {
		k.KeyType = nftables.TypeIP6Addr
	}
	switch s.kind {
	case networksSet:
		k.Interval = true
		return k, intervals(s.networks)
	case sourcesSet:
		k.HasTimeout = true
	case ratesSet:
		k.Dynamic, k.HasTimeout, k.Timeout = true, true, s.timeout
	case countsSet:
		k.Dynamic = true
	}

	return k, nil
}

// intervals returns networks as the kernel has them: the first address of each
// and the first after it. Neighbours become one.
func intervals(networks []netip.Prefix) []nftables.SetElement {
	var all []nftables.SetElement
	for _, n := range networks {
		from := n.Addr()
		after := last(n).Next() // invalid after the last address that there is
		if end := len(all) - 1; end >= 0 && all[end].IntervalEnd && string(all[end].Key) == string(from.AsSlice()) {
			all = all[:end]
		} else {
			all = append(all, nftables.SetElement{Key: from.AsSlice()})
		}
		if after.IsValid() {
			all = append(all, nftables.SetElement{Key: after.AsSlice(), IntervalEnd: true})
		}
	}

	return all
}

// last returns the last address of a network.
func last(n netip.Prefix) netip.Addr {
	b := n.Addr().AsSlice()
	for bit := n.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b)

	return a
}
