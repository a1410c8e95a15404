package firewall

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/google/nftables"
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

// put puts sources into a set, or gives those that are there a new end, and
// makes sure that they are there.
func (k *kernel) put(ctx context.Context, s *set, elements []element) error {
	if err := k.change(ctx, s, elements, true); err != nil {
		return fmt.Errorf("add to the set %s: %w", s.name, err)
	}

	return nil
}

// take takes sources out of a set, and makes sure that they are gone.
func (k *kernel) take(ctx context.Context, s *set, elements []element) error {
	if err := k.change(ctx, s, elements, false); err != nil {
		return fmt.Errorf("take from the set %s: %w", s.name, err)
	}

	return nil
}

func (k *kernel) change(ctx context.Context, s *set, elements []element, add bool) error {
	if len(elements) == 0 {
		return nil
	}
	var failed error
	for range sourceTries {
		there, err := k.present(ctx, s, elements)
		if err != nil {
			return err
		}
		failed = k.write(ctx, s.name, elements, there, add)
		if errors.Is(failed, unix.ENFILE) {
			return errors.New("it is full")
		}
		if there, err = k.present(ctx, s, elements); err != nil {
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

// write deletes sources that are there and then, if that is asked for, adds
// all: kernels before 6.12 do not give an element a new end, and deleting one
// that is not there fails the batch.
func (k *kernel) write(ctx context.Context, name string, elements []element, there map[netip.Prefix]bool, add bool) error {
	for len(elements) > 0 {
		some := elements[:min(perBatch, len(elements))]
		elements = elements[len(some):]
		var old []element
		for _, e := range some {
			if there[e.source] {
				old = append(old, e)
			}
		}
		if err := k.with(ctx, func(c *nftables.Conn) error {
			s := k.sourceSet(name)
			if err := deleteElements(c, s, old); err != nil {
				return err
			}
			if add {
				if err := addElements(c, s, some); err != nil {
					return err
				}
			}
			return c.Flush()
		}); err != nil {
			return err
		}
	}

	return nil
}

// present returns which of some sources are in a set.
func (k *kernel) present(ctx context.Context, s *set, elements []element) (map[netip.Prefix]bool, error) {
	there := make(map[netip.Prefix]bool, len(elements))
	if len(elements) == 1 {
		ok, err := k.lookup(ctx, s.name, elements[0].source)
		if ok {
			there[elements[0].source] = true
		}
		return there, err
	}
	all, err := k.sources(ctx, s)
	if err != nil {
		return nil, err
	}
	have := make(map[netip.Prefix]bool, len(all))
	for _, e := range all {
		have[e.source] = true
	}
	for _, e := range elements {
		if have[e.source] {
			there[e.source] = true
		}
	}

	return there, nil
}
