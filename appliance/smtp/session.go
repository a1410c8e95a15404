package smtp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"pillarbox/appliance/delivery"
)

// readBuffer is how much of a message is read at a time, in octets.
const readBuffer = 32 << 10

// Errors that end a session.
var (
	errQuit       = errors.New("the client said QUIT")
	errLineLength = errors.New("the command line is too long")
	errTooMany    = errors.New("too many errors")
)

// session is one connection.
type session struct {
	srv    *Server
	conn   net.Conn
	br     *bufio.Reader
	bw     *bufio.Writer
	log    *slog.Logger
	remote string
	errors int

	helo string
	utf8 bool
	from *string // nil outside a transaction
	rcpt []string

	mu       sync.Mutex
	stopping bool
	inData   bool

	dataUntil time.Time // when the message that is arriving must be here
}

func (s *Server) serveConn(ctx context.Context, conn net.Conn) {
	remote := remoteName(conn)
	c := &session{
		srv:    s,
		conn:   conn,
		bw:     bufio.NewWriter(&timedWriter{conn: conn, timeout: s.limits.Idle}),
		log:    s.log.With("remote", remote),
		remote: remote,
	}
	c.br = bufio.NewReaderSize(c, max(readBuffer, s.limits.Line))
	defer func() {
		if p := recover(); p != nil {
			c.log.ErrorContext(ctx, "session ended by a fault", "panic", p, "stack", string(debug.Stack()))
		}
		_ = conn.Close()
	}()
	stop := context.AfterFunc(ctx, c.stop)
	defer stop()

	// What was promised is kept although the server stops: the session, not
	// the context, decides when to end.
	err := c.run(context.WithoutCancel(ctx))
	switch {
	case errors.Is(err, errQuit), errors.Is(err, io.EOF):
	case c.isStopping():
		c.reply(421, "4.3.2", s.hostname+" is stopping; try again later")
	case errors.Is(err, errLineLength):
		c.reply(500, "5.5.6", "the line is too long")
	case errors.Is(err, errEndless):
		c.reply(552, "5.3.4", "the message is too large")
	case errors.Is(err, errTooMany):
		c.reply(421, "4.7.0", "too many errors")
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.reply(421, "4.4.2", "nothing came for too long")
	}
	if err := c.bw.Flush(); err != nil {
		c.log.DebugContext(ctx, "last answer not sent", "err", err)
	}
	c.log.DebugContext(ctx, "session ended", "err", err)
}

func (c *session) run(ctx context.Context) error {
	c.reply(220, "", c.srv.hostname+" LMTP Pillarbox")
	for {
		line, err := c.readLine()
		if err != nil {
			return err
		}
		if err := c.command(ctx, line); err != nil {
			return err
		}
		if c.errors > c.srv.limits.Errors {
			return errTooMany
		}
	}
}

// command carries out one command. An error ends the session.
func (c *session) command(ctx context.Context, line string) error {
	verb, arg, _ := strings.Cut(line, " ")
	arg = strings.TrimSpace(arg)
	switch strings.ToUpper(verb) {
	case "LHLO":
		c.lhlo(arg)
	case "MAIL":
		c.mail(arg)
	case "RCPT":
		c.recipient(ctx, arg)
	case "DATA":
		return c.data(ctx, arg)
	case "RSET":
		c.reset()
		c.reply(250, "2.0.0", "forgotten")
	case "NOOP":
		c.reply(250, "2.0.0", "done")
	case "VRFY":
		c.reply(252, "2.5.2", "say RCPT and see")
	case "QUIT":
		c.reply(221, "2.0.0", "goodbye")
		return errQuit
	case "HELO", "EHLO":
		c.wrong(500, "5.5.1", "this is LMTP; say LHLO")
	default:
		c.wrong(500, "5.5.2", "unknown command")
	}

	return nil
}

func (c *session) lhlo(arg string) {
	name, _, _ := strings.Cut(arg, " ")
	if name == "" {
		c.wrong(501, "5.5.4", "LHLO wants a name")
		return
	}
	c.reset()
	c.helo = name
	for _, line := range []string{
		c.srv.hostname, "PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES",
	} {
		fmt.Fprintf(c.bw, "250-%s\r\n", line)
	}
	fmt.Fprintf(c.bw, "250 SIZE %d\r\n", c.srv.maxMessage)
}

func (c *session) mail(arg string) {
	switch {
	case c.helo == "":
		c.wrong(503, "5.5.1", "say LHLO first")
		return
	case c.from != nil:
		c.wrong(503, "5.5.1", "a transaction is open already")
		return
	}
	p, err := parsePath(arg, "FROM:")
	if err != nil {
		c.wrong(501, "5.5.4", err.Error())
		return
	}
	m, bad := parseMailParams(p.params)
	switch {
	case bad != nil:
		c.wrong(bad.code, bad.enhanced, bad.text)
	case m.size > c.srv.maxMessage:
		c.log.Warn("message refused", "from", p.address, "reason", delivery.TooBig, "size", m.size)
		c.reply(552, "5.3.4", fmt.Sprintf("the message is larger than %d octets", c.srv.maxMessage))
	case !m.utf8 && !isASCII(p.address):
		c.wrong(553, "5.6.7", "an address beyond ASCII needs SMTPUTF8")
	default:
		c.from, c.utf8 = &p.address, m.utf8
		c.reply(250, "2.1.0", "sender noted")
	}
}

func (c *session) recipient(ctx context.Context, arg string) {
	if c.from == nil {
		c.wrong(503, "5.5.1", "say MAIL first")
		return
	}
	p, err := parsePath(arg, "TO:")
	switch {
	case err != nil:
		c.wrong(501, "5.5.4", err.Error())
		return
	case p.address == "":
		c.wrong(501, "5.1.3", "a recipient wants an address")
		return
	case len(p.params) > 0:
		c.wrong(555, "5.5.4", "unknown parameter")
		return
	case !c.utf8 && !isASCII(p.address):
		c.wrong(553, "5.6.7", "an address beyond ASCII needs SMTPUTF8")
		return
	case len(c.rcpt) >= c.srv.limits.Recipients:
		c.reply(452, "4.5.3", "too many recipients")
		return
	}
	if err := c.srv.deliverer.Check(ctx, *c.from, p.address); err != nil {
		r := replyTo(err)
		c.log.WarnContext(ctx, "recipient refused", "from", *c.from, "recipient", p.address,
			"reason", delivery.ReasonOf(err), "err", err)
		c.reply(r.code, r.enhanced, r.text)
		return
	}
	c.rcpt = append(c.rcpt, p.address)
	c.reply(250, "2.1.5", "recipient noted")
}

func (c *session) data(ctx context.Context, arg string) error {
	switch {
	case arg != "":
		c.wrong(501, "5.5.4", "DATA takes no argument")
		return nil
	case c.from == nil || len(c.rcpt) == 0:
		// RFC 2033, section 4.2: no recipient, no data.
		c.wrong(503, "5.5.1", "no valid recipients")
		return nil
	}
	// Whoever has read the 354 may end its message, even if the server stops.
	if !c.beginData() {
		return os.ErrDeadlineExceeded
	}
	c.reply(354, "", "send the message; end it with a dot on a line of its own")
	if err := c.bw.Flush(); err != nil {
		return err
	}
	r := &dotReader{r: c.br}
	results := c.srv.deliverer.Deliver(ctx, &delivery.Envelope{
		From:       *c.from,
		Recipients: c.rcpt,
		Helo:       c.helo,
		Remote:     c.remote,
		With:       c.with(),
	}, r)
	// The client reads no answer before it has sent all.
	if err := r.drain(2 * c.srv.maxMessage); err != nil {
		return fmt.Errorf("read message: %w", err)
	}
	c.endData()
	for i := range results {
		a := replyTo(results[i].Err)
		c.reply(a.code, a.enhanced, "<"+results[i].Recipient+"> "+a.text)
	}
	c.reset()

	return nil
}

func (c *session) with() string {
	if c.utf8 {
		return "UTF8LMTP" // RFC 6531, section 4.3
	}

	return "LMTP"
}

func (c *session) reset() {
	c.from, c.rcpt, c.utf8 = nil, nil, false
}

// wrong answers a command that a correct client does not send.
func (c *session) wrong(code int, enhanced, text string) {
	c.errors++
	c.reply(code, enhanced, text)
}

// reply puts an answer into the buffer, which is sent before the next wait.
func (c *session) reply(code int, enhanced, text string) {
	if enhanced != "" {
		text = enhanced + " " + text
	}
	fmt.Fprintf(c.bw, "%d %s\r\n", code, oneLine(text)) // an error shows at the flush
}

// readLine reads a command line. Only CR LF ends it for a correct client, but
// a bare LF is borne, as by everybody's server, outside of the data.
func (c *session) readLine() (string, error) {
	line, err := c.br.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) || len(line) > c.srv.limits.Line {
		return "", errLineLength
	}
	if err != nil {
		return "", err
	}

	return strings.TrimRight(string(line), "\r\n"), nil
}

// Read sends what waits to be sent, so that pipelined commands are answered
// together, and then reads from the connection.
func (c *session) Read(p []byte) (int, error) {
	if err := c.bw.Flush(); err != nil {
		return 0, err
	}
	if err := c.arm(); err != nil {
		return 0, err
	}

	return c.conn.Read(p)
}
