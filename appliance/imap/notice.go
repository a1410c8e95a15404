package imap

import (
	"context"
	"net"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// Notices say what clients are told of the way by which they come, such as a port
// that is to be closed. The methods are called from several goroutines and must
// return soon.
type Notices interface {
	// Turned returns why nobody is served on a connection any more, which is its
	// greeting; "" means that it is served.
	Turned(c net.Conn) string
	// Notice is asked about who has shown who they are, once for each session.
	Notice(ctx context.Context, a *Arrival) Notice
}

// Arrival is somebody who signs in, or has signed in.
type Arrival struct {
	Identity

	Conn      net.Conn
	Mechanism string // as in SignIn
}

// Notice is what somebody is told. Texts are ASCII, without a line's end, and not
// longer than 500 octets: whatever else is in one is left out.
type Notice struct {
	Alerts []string // which programs are to show (RFC 9051, section 7.1)
	Refuse bool     // they are not let in by this way, for the first of these reasons
}

// maxNotice bounds what is shown to a person, in octets.
const maxNotice = 500

// turnedError refuses somebody whose password was right.
type turnedError struct{ alert string }

func (*turnedError) Error() string { return "the way by which they come is closed for them" }

// turned returns with what a connection is to be closed at once, nil if it is not.
func (s *session) turned() error {
	if s.srv.notices == nil {
		return nil
	}
	text := s.srv.notices.Turned(s.link.conn)
	if text == "" {
		return nil
	}

	return &ending{imap.ResponseCodeAlert, printable(text)}
}

// notice asks what somebody is to be told; a *turnedError refuses them.
func (s *session) notice(ctx context.Context, a *Arrival) (alerts []string, err error) {
	if s.srv.notices == nil {
		return nil, nil
	}
	n := s.srv.notices.Notice(ctx, a)
	for _, text := range n.Alerts {
		alerts = append(alerts, printable(text))
	}
	if n.Refuse {
		return nil, &turnedError{strings.Join(alerts[:min(1, len(alerts))], "")}
	}

	return alerts, nil
}

// printable leaves out of a text what cannot stand in a response.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, text)

	return text[:min(len(text), maxNotice)]
}

// DisconnectIf ends the sessions of those for whom match returns true, which must
// not call the Server. The reason may begin with a response code.
func (s *Server) DisconnectIf(match func(*Arrival) bool, reason string) (ended int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, all := range s.members {
		for sess := range all {
			if match(&sess.arrival) {
				sess.link.stop(printable(reason))
				ended++
			}
		}
	}

	return ended
}
