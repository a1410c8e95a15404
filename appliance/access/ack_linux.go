package access

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// ackNow has the kernel acknowledge at once what has been received, instead of
// waiting 40 ms for something to send along with it.
func ackNow(c syscall.RawConn) {
	_ = c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	})
}
