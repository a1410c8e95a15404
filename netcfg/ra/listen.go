package ra

import (
	"context"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Listen calls heard with each option that the kernel hands on, until the
// context ends or messages are lost; in the latter case routers must be asked
// again. It calls ready as soon as nothing is missed any more.
func Listen(ctx context.Context, ready func(), heard func(*Option)) error {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return fmt.Errorf("listen for routers: %w", err)
	}
	defer c.Close() // nothing was written
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := c.JoinGroup(unix.RTNLGRP_ND_USEROPT); err != nil {
		return fmt.Errorf("listen for routers: %w", err)
	}
	ready()
	for {
		messages, err := c.Receive()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("listen for routers: %w", err)
		}
		for _, m := range messages {
			if m.Header.Type != unix.RTM_NEWNDUSEROPT {
				continue
			}
			// A router's mistake is no reason to stop listening.
			if o, err := Parse(m.Data); err == nil {
				heard(&o)
			}
		}
	}
}
