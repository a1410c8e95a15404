package link

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
)

// Watch calls changed when links, addresses or routes change, until the context
// ends or the kernel's messages are lost; in the latter case what was missed
// must be observed. It calls changed once as soon as nothing is missed any more.
func Watch(ctx context.Context, changed func()) error {
	done := make(chan struct{})
	lost := make(chan error, 3)
	failed := func(err error) {
		select {
		case lost <- err:
		default:
		}
	}
	var (
		links     = make(chan netlink.LinkUpdate)
		addresses = make(chan netlink.AddrUpdate)
		routes    = make(chan netlink.RouteUpdate)
	)
	opened := 0
	defer func() {
		close(done)
		// The library writes until it has seen that the socket is closed.
		if opened > 0 {
			go drain(links)
		}
		if opened > 1 {
			go drain(addresses)
		}
		if opened > 2 {
			go drain(routes)
		}
	}()
	for _, open := range []func() error{
		func() error {
			return netlink.LinkSubscribeWithOptions(links, done, netlink.LinkSubscribeOptions{ErrorCallback: failed})
		},
		func() error {
			return netlink.AddrSubscribeWithOptions(addresses, done, netlink.AddrSubscribeOptions{ErrorCallback: failed})
		},
		func() error {
			return netlink.RouteSubscribeWithOptions(routes, done, netlink.RouteSubscribeOptions{ErrorCallback: failed})
		},
	} {
		if err := open(); err != nil {
			return fmt.Errorf("watch the network: %w", err)
		}
		opened++
	}
	changed()
	for open := true; open; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-lost:
			return fmt.Errorf("watch the network: %w", err)
		case _, open = <-links:
		case _, open = <-addresses:
		case _, open = <-routes:
		}
		changed()
	}

	return errors.New("watch the network: the kernel closed the subscription")
}

func drain[T any](c <-chan T) {
	for range c {
	}
}
