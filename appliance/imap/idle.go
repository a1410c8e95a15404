package imap

import (
	"context"
	"strings"
	"time"
)

// maxDone bounds the line that ends IDLE, in octets; a command that comes in
// its place is read again as one.
const maxDone = 8 << 10

// idle is IDLE (RFC 2177; RFC 9051, section 6.3.13). It has no time limit: the
// signs of life end it when the client no longer takes them. Between them the
// session holds no output buffer.
func (s *session) idle(ctx context.Context) error {
	s.out.Buf = append(s.out.Buf, "+ idling\r\n"...)
	if err := s.out.Flush(); err != nil {
		return err
	}
	if err := s.watch(ctx); err != nil {
		return err
	}
	line, err := s.rawLine(maxDone)
	if err != nil {
		return err
	}
	if !strings.EqualFold(string(line), "DONE") {
		s.dec.UnreadLine()
		return bad("Expected DONE; what came instead is taken for a command")
	}
	return nil
}

// watch tells the client what happens until it sends something.
func (s *session) watch(ctx context.Context) error {
	s.link.flush, s.link.wait = nil, 0
	var waited error
	arrived := make(chan struct{})
	go func() {
		defer close(arrived)
		waited = s.dec.Wait()
	}()
	defer func() {
		select {
		case <-arrived:
		default: // report failed, and so the session ends
			s.link.stop("")
			<-arrived
		}
		s.link.flush, s.link.wait = s.out.Flush, s.srv.limits.Stall
		s.out.Acquire()
	}()
	if err := s.report(ctx, arrived); err != nil {
		return err
	}
	return waited
}

// report writes changes and signs of life until something arrives.
func (s *session) report(ctx context.Context, arrived <-chan struct{}) error {
	var changes <-chan struct{}
	if s.sel != nil {
		changes = s.sel.changes()
	}
	alive := time.NewTicker(s.srv.limits.KeepAlive)
	defer alive.Stop()
	for {
		s.out.Release()
		select {
		case <-arrived:
			return nil
		case <-alive.C:
			s.out.Acquire()
			s.untagged("OK Still here")
		case <-changes:
			s.out.Acquire()
			if err := s.sync(ctx, true); err != nil {
				return err
			}
		}
		if err := s.out.Flush(); err != nil {
			return err
		}
	}
}
