//go:build !linux

package control

import (
	"net"
	"os"
)

// peerUser trusts the socket's mode: there is no portable way to ask.
func peerUser(*net.UnixConn) (int, error) { return os.Geteuid(), nil }
