package firewall

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// element is a source in a set, with the time that it has left there.
type element struct {
	source netip.Prefix
	left   time.Duration
}

const (
	// perMessage bounds the elements of a message: an attribute holds 64 KiB,
	// and an element of IPv6 takes 44 octets.
	perMessage = 1000

	// perBatch bounds the elements of a batch, so that it fits into the usual
	// buffer of a socket.
	perBatch = 4000

	// sourceTries bounds how often a change is tried again because a source has
	// just left the set by itself.
	sourceTries = 3

	// maxLeft is the longest that a source stays in a set.
	maxLeft = 366 * 24 * time.Hour
)

// addElements adds sources to a set within a batch.
func addElements(c *nftables.Conn, s *nftables.Set, elements []element) error {
	return inMessages(elements, func(some []nftables.SetElement) error { return c.SetAddElements(s, some) })
}

func deleteElements(c *nftables.Conn, s *nftables.Set, elements []element) error {
	return inMessages(elements, func(some []nftables.SetElement) error { return c.SetDeleteElements(s, some) })
}

func inMessages(elements []element, add func([]nftables.SetElement) error) error {
	some := make([]nftables.SetElement, 0, min(len(elements), perMessage))
	for i, e := range elements {
		some = append(some, nftables.SetElement{
			Key: e.source.Addr().AsSlice(), Timeout: min(max(e.left, time.Millisecond), maxLeft),
		})
		if len(some) == perMessage || i == len(elements)-1 {
			if err := add(some); err != nil {
				return fmt.Errorf("write sources: %w", err)
			}
			some = some[:0]
		}
	}

	return nil
}

// sourceSet returns a set of sources in the kernel's terms.
func (k *kernel) sourceSet(name string) *nftables.Set {
	return &nftables.Set{Table: k.table, Name: name, HasTimeout: true}
}

// sources returns what is in a set.
func (k *kernel) sources(ctx context.Context, name string) ([]element, error) {
	var all []element
	err := k.with(ctx, func(c *nftables.Conn) error {
		list, err := c.GetSetElements(k.sourceSet(name))
		if err != nil {
			return err
		}
		all = make([]element, 0, len(list))
		for _, e := range list {
			if a, ok := netip.AddrFromSlice(e.Key); ok && e.Expires > 0 {
				all = append(all, element{source: Source(a), left: e.Expires})
			}
		}

		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the set %s: %w", name, err)
	}

	return all, nil
}

// put puts sources into a set, or gives those that are there a new end, and
// makes sure that they are there.
func (k *kernel) put(ctx context.Context, name string, elements []element) error {
	for some := range chunks(elements, perBatch) {
		if err := k.change(ctx, name, some, true); err != nil {
			return fmt.Errorf("add to the set %s: %w", name, err)
		}
	}

	return nil
}

// take takes sources out of a set, and makes sure that they are gone.
func (k *kernel) take(ctx context.Context, name string, elements []element) error {
	if err := k.change(ctx, name, elements, false); err != nil {
		return fmt.Errorf("take from the set %s: %w", name, err)
	}

	return nil
}

func chunks(all []element, size int) func(yield func([]element) bool) {
	return func(yield func([]element) bool) {
		for len(all) > 0 {
			n := min(size, len(all))
			if !yield(all[:n]) {
				return
			}
			all = all[n:]
		}
	}
}

// change deletes sources that are there and then, if that is asked for, adds
// all: kernels before 6.12 do not give an element a new end, and deleting one
// that is not there fails the batch.
func (k *kernel) change(ctx context.Context, name string, elements []element, add bool) error {
	var failed error
	for range sourceTries {
		there, err := k.present(ctx, name, elements)
		if err != nil {
			return err
		}
		failed = k.with(ctx, func(c *nftables.Conn) error {
			s := k.sourceSet(name)
			if err := deleteElements(c, s, there); err != nil {
				return err
			}
			if add {
				if err := addElements(c, s, elements); err != nil {
					return err
				}
			}
			return c.Flush()
		})
		if errors.Is(failed, unix.ENFILE) {
			return errors.New("it is full")
		}
		if there, err = k.present(ctx, name, elements); err != nil {
			return err
		}
		if add && len(there) == len(elements) && failed == nil || !add && len(there) == 0 {
			return nil
		}
	}
	if failed == nil {
		failed = errSilent
	}

	return failed
}

// present returns which of some sources are in a set.
func (k *kernel) present(ctx context.Context, name string, elements []element) ([]element, error) {
	var there []element
	if len(elements) == 1 {
		ok, err := k.lookup(ctx, name, elements[0].source)
		if ok {
			there = elements
		}
		return there, err
	}
	all, err := k.sources(ctx, name)
	if err != nil {
		return nil, err
	}
	have := make(map[netip.Prefix]bool, len(all))
	for _, e := range all {
		have[e.source] = true
	}
	for _, e := range elements {
		if have[e.source] {
			there = append(there, e)
		}
	}

	return there, nil
}

// lookup asks for one source alone: a set may hold many thousands. The library
// cannot.
func (k *kernel) lookup(ctx context.Context, name string, source netip.Prefix) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return false, fmt.Errorf("open a socket to the kernel's nftables: %w", err)
	}
	defer c.Close() //nolint:errcheck // nothing was written
	if err := c.SetDeadline(time.Now().Add(kernelTime)); err != nil {
		return false, err
	}
	e := netlink.NewAttributeEncoder()
	e.ByteOrder = binary.BigEndian
	e.String(unix.NFTA_SET_ELEM_LIST_TABLE, k.table.Name)
	e.String(unix.NFTA_SET_ELEM_LIST_SET, name)
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
	attributes, err := e.Encode()
	if err != nil {
		return false, err
	}
	_, err = c.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETSETELEM, Flags: netlink.Request},
		Data:   append([]byte{byte(k.table.Family), unix.NFNETLINK_V0, 0, 0}, attributes...),
	})
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look %s up in the set %s: %w", source.Addr(), name, err)
	}

	return true, nil
}

// count returns how many elements a set has.
func (k *kernel) count(ctx context.Context, name string) (int, error) {
	n := 0
	err := k.with(ctx, func(c *nftables.Conn) error {
		list, err := c.GetSetElements(k.sourceSet(name))
		n = len(list)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("count the set %s: %w", name, err)
	}

	return n, nil
}
