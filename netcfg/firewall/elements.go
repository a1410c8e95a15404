package firewall

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The library reads a set at some 20 µs an element and cannot ask for one
// element alone; sets of bans may have a hundred thousand.

// sources returns what is in a set.
func (k *kernel) sources(ctx context.Context, s *set) ([]element, error) {
	messages, err := k.ask(ctx, s.name, netip.Prefix{})
	if err != nil {
		return nil, fmt.Errorf("list the set %s: %w", s.name, err)
	}
	var all []element
	for _, m := range messages {
		if all, err = appendElements(all, m.Data, int(s.bits)); err != nil {
			return nil, fmt.Errorf("list the set %s: %w", s.name, err)
		}
	}

	return all, nil
}

// lookup tells whether a source is in a set.
func (k *kernel) lookup(ctx context.Context, name string, source netip.Prefix) (bool, error) {
	_, err := k.ask(ctx, name, source)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look %s up in the set %s: %w", source.Addr(), name, err)
	}

	return true, nil
}

// ask asks the kernel for one element of a set, or for all where source is the
// zero value.
func (k *kernel) ask(ctx context.Context, name string, source netip.Prefix) (answer []netlink.Message, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("open a socket to the kernel's nftables: %w", err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := errors.Join(c.SetReadBuffer(socketBuffer), c.SetDeadline(time.Now().Add(kernelTime))); err != nil {
		return nil, err
	}
	e := netlink.NewAttributeEncoder()
	e.ByteOrder = binary.BigEndian
	e.String(unix.NFTA_SET_ELEM_LIST_TABLE, k.table.Name)
	e.String(unix.NFTA_SET_ELEM_LIST_SET, name)
	flags := netlink.Request | netlink.Dump
	if source.IsValid() {
		flags = netlink.Request
		e.Nested(unix.NFTA_SET_ELEM_LIST_ELEMENTS, func(e *netlink.AttributeEncoder) error {
			e.Nested(unix.NFTA_LIST_ELEM, func(e *netlink.AttributeEncoder) error {
				e.Nested(unix.NFTA_SET_ELEM_KEY, func(e *netlink.AttributeEncoder) error {
					e.Bytes(unix.NFTA_DATA_VALUE, source.Addr().AsSlice())
					return nil
				})
				return nil
			})
			return nil
		})
	}
	attributes, err := e.Encode()
	if err != nil {
		return nil, err
	}

	return c.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETSETELEM, Flags: flags},
		Data:   append([]byte{byte(k.table.Family), unix.NFNETLINK_V0, 0, 0}, attributes...),
	})
}

// errMalformed says that the kernel's answer is not understood.
var errMalformed = errors.New("the kernel's answer is malformed")

// appendElements adds the elements of a message, so many bits of each, to some.
func appendElements(all []element, message []byte, bits int) ([]element, error) {
	const header = 4 // struct nfgenmsg
	if len(message) < header {
		return all, errMalformed
	}
	list, err := attribute(message[header:], unix.NFTA_SET_ELEM_LIST_ELEMENTS)
	if err != nil {
		return all, err
	}
	for len(list) > 0 {
		var one []byte
		if _, one, list, err = cut(list); err != nil {
			return all, err
		}
		e, err := parseElement(one, bits)
		if err != nil {
			return all, err
		}
		all = append(all, e)
	}

	return all, nil
}

func parseElement(b []byte, bits int) (e element, err error) {
	for len(b) > 0 {
		var kind uint16
		var value []byte
		if kind, value, b, err = cut(b); err != nil {
			return e, err
		}
		switch kind {
		case unix.NFTA_SET_ELEM_KEY:
			key, err := attribute(value, unix.NFTA_DATA_VALUE)
			if err != nil {
				return e, err
			}
			a, ok := netip.AddrFromSlice(key)
			if !ok {
				return e, errMalformed
			}
			e.source = netip.PrefixFrom(a, bits)
		case unix.NFTA_SET_ELEM_EXPIRATION:
			if len(value) != 8 {
				return e, errMalformed
			}
			e.left = time.Duration(binary.BigEndian.Uint64(value)) * time.Millisecond
		}
	}

	return e, nil
}

// attribute returns the value of the first attribute of a kind; nil where there
// is none.
func attribute(b []byte, kind uint16) ([]byte, error) {
	for len(b) > 0 {
		have, value, rest, err := cut(b)
		if err != nil || have == kind {
			return value, err
		}
		b = rest
	}

	return nil, nil
}

// cut cuts the first attribute off (netlink(7), struct nlattr).
func cut(b []byte) (kind uint16, value, rest []byte, err error) {
	const header = 4
	if len(b) < header {
		return 0, nil, nil, errMalformed
	}
	size := int(binary.NativeEndian.Uint16(b))
	if size < header || size > len(b) {
		return 0, nil, nil, errMalformed
	}
	kind = binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
	aligned := min((size+3)&^3, len(b))

	return kind, b[header:size], b[aligned:], nil
}
