package appliance

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	"pillarbox/appliance/config"
	"pillarbox/appliance/metrics"
	"pillarbox/storage"
)

// metricsPort opens and closes the port on which Prometheus asks, as a part of
// the configuration.
type metricsPort struct {
	conf   *Config
	tokens metricsTokens

	mu     sync.Mutex
	server *metrics.Server // nil before the box runs
	wanted bool
	ctx    context.Context // of who runs the box; nil before and after
	open   []*listener
	stop   func()
	wg     sync.WaitGroup
}

// Name implements config.Applier.
func (*metricsPort) Name() string { return "metrics" }

// Follows implements config.Follower.
func (*metricsPort) Follows() {}

// Check implements config.Applier.
func (p *metricsPort) Check(_ context.Context, from, to *config.Document) (r config.Report, err error) {
	if from.Ports.Metrics == to.Ports.Metrics {
		return r, nil
	}
	if !to.Ports.Metrics {
		r.Steps = append(r.Steps, "close port 9464")
		return r, nil
	}
	if _, ok := p.tokens.hash(); !ok {
		return r, errors.New("ports.metrics: nobody could see the metrics without a token: make one first (pillarbox metrics token)")
	}
	r.Steps = append(r.Steps, "open port 9464 for Prometheus, by HTTPS")

	return r, nil
}

// Try implements config.Applier.
func (p *metricsPort) Try(ctx context.Context, t *config.Trial) ([]string, error) {
	return nil, p.set(ctx, t.To.Ports.Metrics)
}

// Hold implements config.Applier.
func (p *metricsPort) Hold(ctx context.Context, d *config.Document) error {
	return p.set(ctx, d.Ports.Metrics)
}

// run keeps the port as it is wanted until ctx ends, whose error it returns.
func (p *metricsPort) run(ctx context.Context) error {
	p.mu.Lock()
	p.ctx = ctx
	err := p.become(ctx)
	p.mu.Unlock()
	if err != nil {
		p.conf.Logger.ErrorContext(ctx, "the port for metrics stays closed", "err", err)
	}
	<-ctx.Done()
	p.mu.Lock()
	p.wanted = false
	err = p.become(ctx)
	p.ctx = nil
	p.mu.Unlock()
	p.wg.Wait()

	return errors.Join(ctx.Err(), err)
}

func (p *metricsPort) set(ctx context.Context, open bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = open

	return p.become(ctx)
}

// become opens or closes the port. p.mu is held.
func (p *metricsPort) become(ctx context.Context) error {
	switch {
	case p.ctx == nil || (p.stop != nil) == p.wanted || slices.Contains(p.conf.Metrics, Off):
		return nil
	case !p.wanted:
		p.stop()
		var errs []error
		for _, l := range p.open { // before somebody is told that it is closed, or opens it anew
			if err := l.Close(); !errors.Is(err, net.ErrClosed) { // as who serves it may have done by now
				errs = append(errs, err)
			}
		}
		p.open, p.stop = nil, nil
		return errors.Join(errs...)
	}
	opened, err := listenAt(context.WithoutCancel(ctx), p.conf, nameMetrics, p.conf.Metrics, portMetrics, fallbackMetrics)
	if err != nil {
		return errors.Join(err, closeListeners(opened))
	}
	serving, stop := context.WithCancel(p.ctx)
	p.open, p.stop = opened, stop
	for _, l := range opened {
		p.conf.Logger.InfoContext(ctx, "listening", "listener", l.name, "addr", l.address())
		p.wg.Go(func() {
			if err := p.server.Serve(serving, l.Listener); err != nil {
				p.conf.Logger.Error("nobody can see the metrics any more", "err", err)
			}
		})
	}

	return nil
}

// listeners returns those that are open.
func (p *metricsPort) listeners() []*listener {
	p.mu.Lock()
	defer p.mu.Unlock()

	return slices.Clone(p.open)
}

// metricsTokens keeps the hash of the token that opens the metrics.
type metricsTokens struct{ system *storage.System }

const (
	metricsSection = "metrics"
	metricsToken   = "token"
)

// hash returns the token's hash, false if there is none.
func (t metricsTokens) hash() (h metrics.TokenHash, ok bool) {
	err := t.system.View(func(tx *storage.SystemTx) error {
		n, err := hex.Decode(h[:], tx.Get(metricsSection, metricsToken))
		ok = err == nil && n == len(h)
		return nil
	})

	return h, ok && err == nil
}

// Set implements control.MetricsTokens; "" takes the token away.
func (t metricsTokens) Set(ctx context.Context, token string) error {
	err := t.system.Update(ctx, func(tx *storage.SystemTx) error {
		if token == "" {
			return tx.Delete(metricsSection, metricsToken)
		}
		h := metrics.HashToken(token)
		return tx.Put(metricsSection, metricsToken, []byte(hex.EncodeToString(h[:])))
	})
	if err != nil {
		return fmt.Errorf("keep the token of the metrics: %w", err)
	}

	return nil
}
