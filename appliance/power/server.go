package power

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"pillarbox/appliance/peer"
)

const (
	maxLine  = 256             // octets of a line, either way
	lineTime = 5 * time.Second // to say it
)

// Config says who carries orders out. Nothing may be nil or empty.
type Config struct {
	Path   string // of the socket; what an earlier process left there is removed
	Logger *slog.Logger
	// Carry carries an order out; it returns when that is under way, or an error
	// in words when it is not.
	Carry func(ctx context.Context, o Order) error
}

// Server takes orders.
type Server struct {
	conf  Config
	ln    net.Listener
	given Order // the one that is under way; "" while none is
}

// Listen opens the socket. Run must follow.
func Listen(ctx context.Context, c *Config) (*Server, error) {
	if err := os.Remove(c.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open the socket for orders: %w", err)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", c.Path)
	if err != nil {
		return nil, fmt.Errorf("open the socket for orders: %w", err)
	}
	if err := os.Chmod(c.Path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("open the socket for orders: %w", err), ln.Close())
	}

	return &Server{conf: *c, ln: peer.Only(ln, c.Logger)}, nil
}

// Run takes orders, one after the other, until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = s.ln.Close() })()
	for {
		conn, err := s.ln.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("take orders: %w", err)
		}
		if err := s.answer(ctx, conn); err != nil {
			s.conf.Logger.Warn("no order taken", "err", err)
		}
	}
}

func (s *Server) answer(ctx context.Context, conn net.Conn) (err error) {
	defer func() { err = errors.Join(err, conn.Close()) }()
	line, err := readLine(conn)
	if err != nil {
		return err
	}
	said := "under way"
	if err := s.take(ctx, line); err != nil {
		s.conf.Logger.Warn("order refused", "err", err)
		words := strings.ReplaceAll(err.Error(), "\n", "; ")
		said = "refused: " + words[:min(len(words), maxLine-len("refused: \n"))]
	}
	if err := conn.SetDeadline(time.Now().Add(lineTime)); err != nil {
		return err
	}
	_, err = io.WriteString(conn, said+"\n")

	return err
}

func (s *Server) take(ctx context.Context, line string) error {
	o, err := ParseOrder(line)
	if err != nil {
		return err
	}
	if s.given != "" {
		return fmt.Errorf("the order %q is under way", s.given)
	}
	s.conf.Logger.Info("order taken", "order", o)
	if err := s.conf.Carry(ctx, o); err != nil {
		return err
	}
	s.given = o

	return nil
}

// readLine reads a line without its end.
func readLine(conn net.Conn) (string, error) {
	if err := conn.SetDeadline(time.Now().Add(lineTime)); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(io.LimitReader(conn, maxLine)).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("read a line: %w", err)
	}

	return strings.TrimSuffix(line, "\n"), nil
}
