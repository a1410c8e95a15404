// Package systemd holds the units by which the binary runs under systemd, on
// Debian for example, and the tests that put systemd's own tools to them. It
// has no code. To install: the binary as /usr/local/bin/pillarbox, the units in
// /usr/local/lib/systemd/system, pillarbox.sysusers as /etc/sysusers.d/pillarbox.conf;
// then systemd-sysusers, systemctl daemon-reload and systemctl enable --now
// pillarbox. Commands run as the user pillarbox, or as root while it serves.
//
//	pillarbox.service              the server, without any privilege
//	pillarbox-imaps.socket         port 993
//	pillarbox-imaps-legacy.socket  port 990, as long as clients need it
//	pillarbox-http.socket          port 80, which leads to the web page
//	pillarbox-https.socket         port 443, the web page
//	pillarbox-lmtp.socket          LMTP for a mail server on the same machine
//	pillarbox.sysusers             its user, for systemd-sysusers
package systemd
