// Package journal writes a slog log to systemd's journal, so that a line keeps
// its fields: `journalctl -u pillarbox ACCOUNT=anna@office.example` finds what
// happened to an account, and a line's level is its priority.
//
// The message holds the attributes too, because that is what journalctl shows.
// The package knows nothing of where the log goes besides.
package journal
