// Package power carries two orders, to start this machine anew and to switch it
// off, from whoever may give them to the process that can: on the firmware from
// the mail server to init.
//
// Init speaks with gokrazy's supervisor, whose socket can do much more, such as
// writing a new root partition. What the mail server gets is a socket of init's
// own that knows these two words:
//
//	→ restart\n | off\n
//	← under way\n | refused: WORDS\n
//
// "under way" is answered once the supervisor has the order and is stopping the
// services, the asking one among them. One order is carried out; another one
// that comes behind it is refused.
//
// # Threats
//
// Whoever can speak on the socket can keep the office from its mail, but lose
// none of it: services are stopped in order. The socket has mode 0600, and the
// kernel says of each who connects that they are root or the socket's own user.
// A line is bounded in length and time, so that who says nothing keeps nobody
// else waiting for long.
package power
