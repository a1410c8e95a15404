package importer

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Estimate is what a dry run says of the real one.
type Estimate struct {
	Messages int64 `json:"messages"` // that would be taken
	Bytes    int64 `json:"bytes"`    // of them, as the source says
	TooBig   int64 `json:"too_big"`  // that would be quarantined
	// Seconds is how long fetching would take at the rate of a sample, over one
	// connection; with several it is less.
	Seconds     int64 `json:"seconds"`
	BytesPerSec int64 `json:"bytes_per_second"` // of the sample; 0 if there was none
}

// estimate collects what would be taken.
type estimate struct {
	Estimate

	sample *batch // of one mailbox
}

// Bounds of the sample.
const (
	sampleMessages = 64
	sampleBytes    = 8 << 20
)

func (e *estimate) add(r *run, b *batch) {
	for i := range b.msgs {
		m := &b.msgs[i]
		if b.slots[i].bad != nil || m.Size > r.stager.MaxMessage() {
			e.TooBig++
			continue
		}
		e.Messages++
		e.Bytes += max(m.Size, 0)
		if e.sample == nil {
			e.sample = newBatch(b.place)
		}
		if s := e.sample; s.place == b.place && len(s.msgs) < sampleMessages && s.bytes+max(m.Size, 0) <= sampleBytes {
			s.add(*m)
		}
	}
	r.count(b.place.place, func(m *MailboxReport) { m.Taken += int64(len(b.msgs)) })
}

// Estimate tells what Run would do, and changes nothing.
func (e *Engine) Estimate(ctx context.Context, t *Task) (*Report, error) {
	r, err := e.begin(t)
	if err != nil {
		return nil, err
	}
	r.dry, r.report.Dry, r.hasty = &estimate{}, true, true
	if err = r.survey(ctx); err == nil {
		if err = r.plan(ctx); err == nil {
			err = r.dry.measure(ctx, r)
		}
	}
	r.end()
	r.report.Estimate = &r.dry.Estimate
	if err != nil {
		return r.report, fmt.Errorf("look at what is to be moved to %s: %w", t.Address, err)
	}
	return r.report, nil
}

// measure fetches the sample and throws it away.
func (e *estimate) measure(ctx context.Context, r *run) error {
	if e.sample == nil {
		return nil
	}
	reader, err := r.Source.Open(ctx)
	if err != nil {
		return err
	}
	defer reader.Close()
	var n int64
	begin := time.Now()
	err = reader.Read(ctx, &e.sample.place.from, e.sample.msgs, func(_ int, in io.Reader, bad error) error {
		if bad != nil {
			return nil
		}
		some, err := io.Copy(io.Discard, in)
		n += some
		return err
	})
	if err != nil {
		return err
	}
	if took := time.Since(begin).Seconds(); n > 0 && took > 0 {
		perSecond := float64(n) / took
		// Small messages cost more than their octets.
		perMessage := took / float64(len(e.sample.msgs))
		e.BytesPerSec = int64(perSecond)
		e.Seconds = int64(max(float64(e.Bytes)/perSecond, float64(e.Messages)*perMessage/4)) + 1
	}
	if limit := r.Options.BytesPerSecond; limit > 0 {
		e.Seconds = max(e.Seconds, e.Bytes/limit)
	}
	return nil
}
