// Package systemd holds the units by which the binary runs under systemd, on
// Debian for example, and the tests that put systemd's own tools to them. It
// has no code.
//
//	pillarbox.service              the server, without any privilege
//	pillarbox-imaps.socket         port 993
//	pillarbox-imaps-legacy.socket  port 990, where clients need it
//	pillarbox-lmtp.socket          LMTP for a mail server on the same machine
//	pillarbox.sysusers             its user, for systemd-sysusers
package systemd
