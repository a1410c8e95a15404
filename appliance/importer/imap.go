package importer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
)

// IMAPConfig says from where mail comes. Logger must not be nil.
type IMAPConfig struct {
	Server Server
	Way    Way
	Logger *slog.Logger
}

// IMAP is a person's mail on an IMAP server.
type IMAP struct {
	server Server
	way    Way
	log    *slog.Logger

	mu   sync.Mutex
	main *Session // for lists and IDLE; nil until it is needed
}

// NewIMAP returns a source. It connects when it is used.
func NewIMAP(c *IMAPConfig) (*IMAP, error) {
	if err := c.Server.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	s := &IMAP{server: c.Server, way: c.Way, log: c.Logger}
	s.way.spelling = oursSpelled
	return s, nil
}

// Origin implements Source. Ports lead to the same mail.
func (s *IMAP) Origin() string { return cut("imap "+s.server.User+" "+s.server.Host, 512) }

// Parallel implements Source.
func (s *IMAP) Parallel() int { return s.server.connections() }

// Close implements Source.
func (s *IMAP) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.main != nil {
		s.main.End()
		s.main = nil
	}
	return nil
}

// with calls f with the main session, and forgets it where f fails otherwise
// than by an answer of the server.
func (s *IMAP) with(ctx context.Context, f func(c *Session) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.main == nil {
		way := s.way
		way.spelling = bothSpelled
		var err error
		if s.main, err = s.server.Connect(ctx, &way); err != nil {
			return err
		}
	}
	stop := s.main.bind(ctx)
	err := f(s.main)
	var no *imap.Error
	if !stop() || err != nil && !errors.As(err, &no) {
		s.main.abort()
		s.main = nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return asBusy(err)
}

// Wait implements Source: it listens to INBOX by IDLE, and lets the time pass
// where the server cannot.
func (s *IMAP) Wait(ctx context.Context, most time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	err := s.with(ctx, func(c *Session) error {
		if !c.Caps().Has(imap.CapIdle) {
			<-ctx.Done()
			return nil
		}
		c.wire.allow(1 << 20)
		if _, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
			return err
		}
		select { // what SELECT told is no change
		case <-c.changed:
		default:
		}
		c.wire.expect(idleSilence)
		defer c.wire.expect(0)
		idle, err := c.Idle()
		if err != nil {
			return err
		}
		select {
		case <-c.changed:
		case <-c.Closed():
		case <-ctx.Done():
		}
		return errors.Join(idle.Close(), idle.Wait())
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// Facts implements Teller.
func (s *IMAP) Facts(ctx context.Context) (Facts, error) {
	var f Facts
	err := s.with(ctx, func(c *Session) error {
		caps := c.Caps()
		c.wire.allow(64 << 10)
		if caps.Has(imap.CapID) {
			if id, err := c.ID(nil).Wait(); err == nil {
				f.Server = plainText(id.Name + " " + id.Version)
			}
		}
		if !caps.Has(imap.CapQuota) {
			return nil
		}
		roots, err := c.GetQuotaRoot("INBOX").Wait()
		if err != nil {
			return nil // it only would have been of interest
		}
		for _, r := range roots {
			if q, ok := r.Resources[imap.QuotaResourceStorage]; ok {
				f.QuotaUsed, f.Quota = q.Usage<<10, q.Limit<<10
			}
		}
		return nil
	})
	return f, err
}
