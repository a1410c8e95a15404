package imap

import (
	"context"
	"errors"
	"fmt"
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
	in   *command.Reader // takes commands from dec
	out  *wire.Writer

	acct     *storage.Account // nil before log-in
	ident    Identity
	arrival  Arrival // the same, with how they came
	clientID string  // what ID told, for the log
	enabled  enabled
	sel      *selected // nil when no mailbox is selected
	ahead    *incoming // what was read while the last command was carried out

	// fragile is set while the view of the selected mailbox is between two
	// states: a panic then ends the session and not only the command.
	fragile bool
	leaving bool // LOGOUT was answered

	parting *ending // ends the session once the command is answered

	tries int // log-ins that failed
	bads  int // commands in a row answered with BAD
}

// enabled is what the client has turned on, by ENABLE or by using it.
type enabled struct {
	utf8      bool // RFC 6855: mailbox names and messages in UTF-8
	rev2      bool // IMAP4rev2: UTF-8 names, ESEARCH for SEARCH, no RECENT
	condstore bool // RFC 7162: MODSEQ in FETCH responses and more
	qresync   bool // RFC 7162: VANISHED for EXPUNGE; condstore is on too
}

// utf8Names tells whether mailbox names travel as UTF-8, not in modified UTF-7.
func (s *session) utf8Names() bool { return s.enabled.utf8 || s.enabled.rev2 }

// newSession prepares a session for a connection.
func newSession(srv *Server, c net.Conn) *session {
	l := newLink(c, srv.limits.Stall)
	s := &session{
		srv:  srv,
		log:  srv.log.With("remote", c.RemoteAddr().String(), "port", localPort(c)),
		link: l,
		dec:  wire.NewDecoder(l, strangerLimits),
		out:  wire.NewWriter(l),
	}
	s.in = command.NewReader(s.dec)
	l.flush = s.out.Flush
	l.until = time.Now().Add(srv.limits.Login)
	s.dec.Continue = func() error {
		s.out.Buf = append(s.out.Buf, "+ Ready\r\n"...)
		l.eager = true
		return s.out.Flush()
	}
	srv.stats.sessions.Add(1)
	srv.stats.opened.Add(1)
	return s
}

func localPort(c net.Conn) int {
	if a, ok := c.LocalAddr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

// close ends the session for good.
func (s *session) close() {
	if s.sel != nil {
		s.drop()
	}
	if s.acct != nil {
		s.srv.leave(s)
	}
	s.out.Release()
	s.dec.Close()
	_ = s.link.conn.Close()
	s.srv.stats.sessions.Add(-1)
}

// run greets the client and carries out its commands until the end.
func (s *session) run(ctx context.Context) {
	defer func() {
		// Handlers are guarded one by one; this is for the loop and the parser.
		if p := recover(); p != nil {
			s.logPanic(ctx, "", p)
		}
	}()
	s.out.Acquire()
	if err := s.turned(); err != nil {
		s.finish(ctx, err)
		return
	}
	s.untagged("OK [CAPABILITY " + s.capabilities() + "] Pillarbox is ready")
	var err error
	for err == nil && !s.leaving {
		err = s.next(ctx)
	}
	s.finish(ctx, err)
}

// incoming is a command, or why there is none.
type incoming struct {
	command *command.Command
	err     error
}

// next waits for one command and carries it out. An error ends the session.
func (s *session) next(ctx context.Context) error {
	if s.link.isStopped() {
		return errStopped
	}
	in := s.ahead
	if s.ahead = nil; in == nil {
		if err := s.await(); err != nil {
			return err
		}
		in = s.read()
	}
	s.out.Acquire()
	var refused *command.Error
	if in.err != nil && !errors.As(in.err, &refused) {
		return in.err
	}
	if refused != nil {
		if refused.Save && s.sel != nil {
			s.sel.saved = nil // RFC 5182, section 2.1
		}
		return s.conclude(refused.Tag, refused.Name, replyTo(refused))
	}
	return s.serve(ctx, in.command)
}

// read reads the command that has begun to arrive.
func (s *session) read() *incoming {
	c, err := s.in.Read()
	if err == nil || errors.As(err, new(*command.Error)) {
		s.srv.stats.commands.Add(1)
	}
	return &incoming{c, err}
}

// await returns when the next command has begun to arrive. Until then the
// session holds no output buffer.
func (s *session) await() error {
	s.link.wait = s.srv.limits.Stall
	if err := s.dec.Skip(); err != nil {
		return err
	}
	if s.dec.Buffered() == 0 {
		if err := s.out.Flush(); err != nil {
			return err
		}
		s.out.Release()
	}
	s.link.wait, s.link.eager = s.srv.limits.Idle, false
	err := s.dec.Wait()
	s.link.wait = s.srv.limits.Stall
	return err
}

// serve carries a command out and answers it.
func (s *session) serve(ctx context.Context, c *command.Command) error {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx)) // a stop lets the command finish
	limit := s.srv.limits.Command
	timer := time.AfterFunc(limit, func() { cancel(errDeadline) })
	s.link.moved = func() { timer.Reset(limit) }
	if _, ok := c.Args.(*command.Idle); ok {
		timer.Stop()
		s.link.moved = func() {}
	} else if s.srv.carried != nil {
		defer func(began time.Time) { s.srv.carried(c.Name, time.Since(began)) }(time.Now())
	}
	defer func() {
		s.link.moved = func() {}
		timer.Stop()
		cancel(nil)
	}()

	err := s.perform(ctx, c)
	if err == nil {
		return s.conclude(c.Tag, c.Name, &reply{Type: imap.StatusResponseTypeOK})
	}
	if errors.Is(err, context.Canceled) && context.Cause(ctx) == errDeadline {
		err = errDeadline
	}
	if fatal(err) {
		return err
	}
	r, expected := answer(err)
	if !expected {
		s.log.ErrorContext(ctx, "command failed", "command", c.Name, "err", err)
	}
	return s.conclude(c.Tag, c.Name, r)
}

// fatal tells whether an error of a command ends the session.
func fatal(err error) bool {
	var end *ending
	var astray *wire.FatalError
	var lost *lostError
	return errors.As(err, &end) || errors.As(err, &astray) || errors.As(err, &lost) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, storage.ErrClosed)
}

// perform dispatches a command and tells the client what else happened to the
// selected mailbox. A panic becomes an error.
func (s *session) perform(ctx context.Context, c *command.Command) (err error) {
	mark, written := len(s.out.Buf), s.link.written
	defer func() {
		if p := recover(); p != nil {
			err = s.recovered(ctx, c, p, mark, written)
		}
	}()
	err = s.dispatch(ctx, c)
	if s.sel == nil || s.leaving || err != nil && fatal(err) {
		return err
	}
	if syncErr := s.sync(ctx, mayExpunge(c.Args)); syncErr != nil {
		return syncErr
	}
	s.tellHeldBack()
	return err
}

// recovered turns a panic into NO [SERVERBUG] for one command, or ends the
// session where nobody can tell what state it is in.
func (s *session) recovered(ctx context.Context, c *command.Command, p any, mark int, written int64) error {
	s.logPanic(ctx, c.Name, p)
	if s.link.written != written {
		// Part of an answer is out; whatever follows might land in a literal.
		s.out.Buf = s.out.Buf[:0]
		return &ending{}
	}
	s.out.Buf = s.out.Buf[:mark]
	if s.fragile || speaksItself(c.Args) {
		return &ending{imap.ResponseCodeServerBug, "The server failed and must close the connection"}
	}
	return no(imap.ResponseCodeServerBug, "The server failed; the administrator finds the reason in the log")
}

func (s *session) logPanic(ctx context.Context, command string, p any) {
	s.srv.stats.panics.Add(1)
	s.log.ErrorContext(ctx, "command panicked",
		"command", command, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
}

// speaksItself tells whether a command reads more from the client, or answers
// others, while it is carried out.
func speaksItself(a command.Args) bool {
	switch a.(type) {
	case *command.Append, *command.Authenticate, *command.Idle, *command.Store:
		return true
	}
	return false
}

// mayExpunge tells whether expunges may be told of in the answer to a command
// (RFC 9051, section 7.5.1; RFC 7162, section 3.2.10.2).
func mayExpunge(a command.Args) bool {
	switch a := a.(type) {
	case *command.Fetch:
		return a.UID
	case *command.Store:
		return a.UID
	case *command.Search:
		return a.UID && !a.Key.Numbered()
	}
	return true
}

// conclude writes the tagged answer.
func (s *session) conclude(tag, name string, r *reply) error {
	b := s.out.Buf
	if tag == "" {
		b = append(b, '*') // it could not be read
	} else {
		b = append(b, tag...)
	}
	b = append(append(b, ' '), r.Type...)
	if r.Code != "" {
		b = append(append(append(b, " ["...), r.Code...), ']')
	}
	b = append(b, ' ')
	if r.Text != "" {
		b = append(b, r.Text...)
	} else {
		b = append(append(b, name...), " completed"...)
	}
	s.out.Buf = append(b, "\r\n"...)

	if r.Type == imap.StatusResponseTypeBad {
		s.bads++
	} else {
		s.bads = 0
	}
	switch {
	case s.parting != nil:
		return s.parting
	case s.bads >= s.srv.limits.BadCommands:
		return &ending{imap.ResponseCodeClientBug, "Too many commands that are not valid"}
	case s.tries >= s.srv.limits.LoginTries:
		return &ending{text: "Too many failed log-ins"}
	}
	return s.out.Spill()
}

// rawLine reads a line that is no command. One longer than limit ends the
// session: it might announce a literal, which nobody would skip.
func (s *session) rawLine(limit int) ([]byte, error) {
	line, err := s.dec.RawLine(limit)
	var long *wire.LimitError
	if errors.As(err, &long) {
		return nil, &ending{text: long.Text}
	}
	return line, err
}

// untagged writes one untagged response.
func (s *session) untagged(text string) {
	s.out.Buf = append(append(append(s.out.Buf, "* "...), text...), "\r\n"...)
}

// finish says good-bye, if there is anybody to hear it.
func (s *session) finish(ctx context.Context, err error) {
	var end *ending
	var astray *wire.FatalError
	bye := ""
	switch {
	case err == nil: // LOGOUT
	case errors.As(err, &end):
		if bye = end.text; end.code != "" {
			bye = "[" + string(end.code) + "] " + bye
		}
	case errors.As(err, &astray):
		bye = astray.Text
	case errors.Is(err, errStopped):
		bye = s.link.reason()
	case errors.Is(err, storage.ErrClosed):
		bye = "[UNAVAILABLE] The account is closed"
	case errors.Is(err, os.ErrDeadlineExceeded) && s.acct == nil:
		bye = "Too slow to log in"
	case errors.Is(err, os.ErrDeadlineExceeded):
		bye = "Silent for too long"
	}
	if bye != "" {
		s.out.Acquire()
		s.untagged("BYE " + bye)
	}
	flushed := s.out.Flush()
	if flushed == nil && bye != "" {
		s.link.linger()
	}
	s.log.DebugContext(ctx, "session ended", "bye", bye, "err", err)
}
