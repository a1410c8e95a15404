package imap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
	"pillarbox/appliance/imap/wire"
	"pillarbox/storage"
)

// session is one client's connection, used by one goroutine.
type session struct {
	srv  *Server
	log  *slog.Logger
	link *link
	dec  *wire.Decoder
	out  *wire.Writer

	acct     *storage.Account // nil before log-in
	ident    Identity
	clientID string // what ID told, for the log
	enabled  enabled
	sel      *selected // nil when no mailbox is selected

	// fragile is set while the view of the selected mailbox or the input is
	// between two states: a panic then ends the session and not only the command.
	fragile bool

	tries int // log-ins that failed
	bads  int // commands in a row answered with BAD
}

// enabled is what the client has turned on, by ENABLE or by using it.
type enabled struct {
	utf8      bool // RFC 6855: mailbox names and messages in UTF-8
	rev2      bool // IMAP4rev2: UTF-8 names, ESEARCH for SEARCH, no RECENT
	condstore bool // RFC 7162: MODSEQ in FETCH responses and more
}

// utf8Names tells whether mailbox names travel as UTF-8, not modified UTF-7.
func (s *session) utf8Names() bool { return s.enabled.utf8 || s.enabled.rev2 }

// newSession prepares a session for a connection.
func newSession(srv *Server, c net.Conn) *session {
	panic("in progress")
}

// dispatch carries one command out. A nil error means "OK <NAME> completed".
func (s *session) dispatch(ctx context.Context, c *command.Command) error {
	switch a := c.Args.(type) {
	case *command.Select:
		return s.selectMailbox(ctx, a)
	case *command.Close:
		return s.closeMailbox(ctx)
	case *command.Unselect:
		return s.unselect(ctx)
	case *command.Fetch:
		return s.fetch(ctx, a)
	case *command.Store:
		return s.store(ctx, a)
	case *command.Search:
		return s.search(ctx, a)
	case *command.Copy:
		return s.copy(ctx, a)
	case *command.Expunge:
		return s.expunge(ctx, a)
	}
	return bad("Unknown command")
}

// Between C1 and C2 (this comment goes when both are done):
//   - (s *session) sync(ctx context.Context, expunge bool) error is called by
//     the loop after every command (also after NO) while s.sel != nil, before
//     the tagged line, and by idle with expunge=true. It may end with
//     &ending{code, text} when the mailbox is gone and the session must close,
//     or drop s.sel.
//   - s.drop() (C2): lets the selected mailbox go (stop the watch), s.sel = nil;
//     called when the session ends and before SELECT.
//   - s.sel.changes() <-chan struct{} (C2): the watch channel, for idle.
//   - s.sel.id (storage.MailboxID): the selected mailbox.
//   - set s.fragile = true while the view is being changed, false after.
//   - s.flush() writes s.out to the client; never call it in a storage
//     transaction. The loop flushes by itself before it waits for input; call
//     s.flushIfFull() between messages of a long FETCH.
var (
	_ = errors.New
	_ = fmt.Sprint
	_ io.Reader
	_ = os.ErrDeadlineExceeded
	_ = debug.Stack
	_ = imap.ResponseCodeServerBug
	_ time.Time
)
