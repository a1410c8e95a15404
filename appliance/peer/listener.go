package peer

import (
	"log/slog"
	"net"
	"os"
)

// Only returns ln without the connections of others than root and the user of
// this process. What comes by other ways than a unix socket, from this very
// process, passes.
func Only(ln net.Listener, log *slog.Logger) net.Listener {
	return &listener{Listener: ln, log: log}
}

type listener struct {
	net.Listener

	log *slog.Logger
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		uc, ok := conn.(*net.UnixConn)
		if !ok {
			return conn, nil
		}
		uid, err := User(uc)
		if err == nil && (uid == 0 || uid == os.Geteuid()) {
			return conn, nil
		}
		l.log.Warn("connection refused", "socket", l.Addr().String(), "uid", uid, "err", err)
		_ = conn.Close()
	}
}
