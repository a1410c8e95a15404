package exporter

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"pillarbox/appliance/importer"
	"pillarbox/appliance/mailfile"
	"pillarbox/storage"
)

// Errors of Moves that callers tell apart.
var (
	ErrNoMove     = errors.New("there is no such export")
	ErrState      = errors.New("the export is not in a state for that")
	ErrNoReport   = errors.New("there is no report yet")
	ErrTooMany    = errors.New("too many exports are under way; wait for one, or cancel one")
	ErrNotRunning = errors.New("exports in the background run in a running server")
)

// maxMoves bounds the moves that are kept; the oldest that have ended make room.
const maxMoves = 200

// Happening is what Moves wants recorded.
type Happening struct {
	What    Happened
	Move    string
	Account string // address; "" for the move as a whole
	Text    string
	By      string // "" for the box itself
}

// Happened names it.
type Happened string

// What happens.
const (
	MoveStarted Happened = "started"
	MoveChanged Happened = "changed" // Text says how
	MailLeaves  Happened = "leaves"  // the mail of Account, to Text; told before it does
	MoveEnded   Happened = "ended"   // Account says whose part, Text how
)

// MovesConfig says what Moves works with.
type MovesConfig struct {
	Dir    string       // is made when it is needed; must not be empty
	Logger *slog.Logger // must not be nil
	// Account finds the account of an address, and its canonical address; must
	// not be nil.
	Account func(ctx context.Context, address string) (*storage.Account, string, error)
	// Way says how servers are reached; nil means the usual way.
	Way func(ctx context.Context) *importer.Way
	// Own is a folder below which no mail is written: the box's own data. ""
	// means that there is none.
	Own string
	// Record keeps a record of what happens. Where it cannot keep that mail
	// leaves, the mail does not. Nil keeps none.
	Record func(ctx context.Context, h Happening) error
}

// Moves keeps the exports that run in the background, and runs them. Its methods
// may be called from several goroutines.
type Moves struct {
	conf  MovesConfig
	log   *slog.Logger
	shelf shelf

	mu    sync.Mutex
	moves map[string]*running
	ctx   context.Context // of Run; nil while it does not run
	wg    sync.WaitGroup
}

// running is a move in memory.
type running struct {
	Move

	secrets secrets
	stop    context.CancelFunc // nil while nobody works on it
	ended   chan struct{}      // closed when nobody does any more
	meters  []*meter
}

// OpenMoves reads the moves that there are.
func OpenMoves(c *MovesConfig) (*Moves, error) {
	m := &Moves{conf: *c, log: c.Logger, shelf: shelf{c.Dir}, moves: map[string]*running{}}
	all, bad, err := m.shelf.moves()
	if err != nil {
		return nil, err
	}
	for _, err := range bad {
		m.log.Error("an export is passed over", "err", err)
	}
	for _, mv := range all {
		r := newRunning(mv)
		if mv.KeepSecrets && !mv.over() {
			if err := read(m.shelf.secret(mv.ID), &r.secrets); err != nil {
				m.log.Error("the passwords of an export cannot be read", "export", mv.ID, "err", err)
			}
		}
		m.moves[mv.ID] = r
	}

	return m, nil
}

func newRunning(m *Move) *running {
	r := &running{Move: *m, meters: make([]*meter, len(m.People))}
	for i := range r.meters {
		r.meters[i] = &meter{}
	}

	return r
}

// Run runs the moves until ctx ends; they go on at the next Run.
func (m *Moves) Run(ctx context.Context) error {
	m.mu.Lock()
	m.ctx = ctx
	for _, r := range m.moves {
		if r.State != importer.Running {
			continue
		}
		if r.To.Kind == KindIMAP && len(r.secrets) == 0 {
			r.State = importer.Locked
			m.log.Warn("an export needs its password to go on", "export", r.ID, "todo", "pillarbox export resume "+r.ID)
			m.keep(r)
			continue
		}
		m.start(r)
	}
	m.mu.Unlock()
	<-ctx.Done()
	m.wg.Wait()
	m.mu.Lock()
	m.ctx = nil
	m.mu.Unlock()

	return nil
}

// start works on a move. The caller holds mu.
func (m *Moves) start(r *running) {
	ctx, stop := context.WithCancel(m.ctx)
	ended := make(chan struct{})
	r.stop, r.ended = stop, ended
	m.wg.Go(func() {
		defer close(ended)
		defer stop()
		m.work(ctx, r)
	})
}

// Add begins a move. What is wrong with the server, its certificate, the first
// person's password or the folder shows at once.
func (m *Moves) Add(ctx context.Context, n *NewMove, by string) (Move, error) {
	if err := n.Validate(); err != nil {
		return Move{}, refuse("%v", err)
	}
	m.mu.Lock()
	stopped := m.ctx == nil
	m.mu.Unlock()
	if stopped {
		return Move{}, ErrNotRunning
	}
	mv := Move{
		ID: time.Now().UTC().Format("20060102-") + strings.ToLower(rand.Text()[:4]), Created: time.Now().UTC(), By: by,
		To: n.To, Apart: n.Apart, KeepSecrets: n.KeepSecrets && n.To.Kind == KindIMAP, Together: n.Together, State: importer.Running,
	}
	keys := secrets{}
	if n.Secret != "" {
		keys[""] = string(n.Secret)
	}
	if n.To.Server != nil {
		server := *n.To.Server
		server.User, server.Secret = "", ""
		mv.To.Server, mv.Warning = &server, server.Warning()
	}
	for _, p := range n.People {
		account, address, err := m.conf.Account(ctx, p.Account)
		if err != nil {
			return Move{}, fmt.Errorf("%s: %w", p.Account, err)
		}
		mover := Mover{Account: address, AccountID: account.ID(), Stage: importer.StagePending}
		if n.To.Kind == KindIMAP {
			mover.User = orElse(p.User, address)
			if p.Secret != "" {
				keys[mover.User] = string(p.Secret)
			}
		}
		mv.People = append(mv.People, mover)
	}
	for i := range mv.People {
		mv.People[i].Where = mv.request(i, nil).Where()
	}
	if err := m.try(ctx, &mv, keys); err != nil {
		return Move{}, err
	}
	r := newRunning(&mv)
	r.secrets = keys
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx == nil {
		return Move{}, ErrNotRunning
	}
	if err := m.makeRoom(); err != nil {
		return Move{}, err
	}
	if err := m.record(ctx, Happening{What: MoveStarted, Move: mv.ID, By: by, Text: mv.describe()}); err != nil {
		return Move{}, err
	}
	if mv.KeepSecrets {
		if err := keep(m.shelf.secret(mv.ID), keys); err != nil {
			return Move{}, fmt.Errorf("keep the passwords: %w", err)
		}
	}
	if err := keep(m.shelf.move(mv.ID), &r.Move); err != nil {
		return Move{}, errors.Join(fmt.Errorf("keep the export: %w", err), removeIfThere(m.shelf.secret(mv.ID)))
	}
	m.moves[mv.ID] = r
	m.start(r)

	return m.copy(r), nil
}

// makeRoom forgets the oldest move that has ended where there are too many. The
// caller holds mu.
func (m *Moves) makeRoom() error {
	if len(m.moves) < maxMoves {
		return nil
	}
	var oldest *running
	for _, r := range m.moves {
		if r.over() && (oldest == nil || r.Created.Before(oldest.Created)) {
			oldest = r
		}
	}
	if oldest == nil {
		return ErrTooMany
	}
	if err := m.shelf.remove(oldest.ID); err != nil {
		return fmt.Errorf("remove an old export: %w", err)
	}
	delete(m.moves, oldest.ID)

	return nil
}

// try finds out whether the target can be used, by the first person's.
func (m *Moves) try(ctx context.Context, mv *Move, keys secrets) error {
	r := mv.request(0, keys)
	if r.Kind == KindIMAP {
		server := *r.Server
		server.Secret = importer.Secret(r.Secret)
		c, err := server.Connect(ctx, m.way(ctx))
		if err != nil {
			return err
		}
		c.End()
		return nil
	}
	if err := Reachable(r.Dir, m.conf.Own); err != nil {
		return err
	}

	return plain(makeDir(filepath.Clean(r.Dir)))
}

// Reachable refuses a folder into which a server writes no mail, as
// [mailfile.Reachable] says.
func Reachable(dir, data string) error {
	err := mailfile.Reachable(dir, data)
	var no *mailfile.ReachError
	if errors.As(err, &no) {
		return refuse("%s", no.Text)
	}

	return plain(err)
}

func (m *Moves) way(ctx context.Context) *importer.Way {
	if m.conf.Way == nil {
		return &importer.Way{}
	}

	return m.conf.Way(ctx)
}

// List returns the moves, the oldest first.
func (m *Moves) List() []Move {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]Move, 0, len(m.moves))
	for _, r := range m.moves {
		all = append(all, m.copy(r))
	}
	slices.SortFunc(all, func(a, b Move) int { return a.Created.Compare(b.Created) })

	return all
}

// Get returns a move.
func (m *Moves) Get(id string) (Move, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.moves[id]
	if r == nil {
		return Move{}, ErrNoMove
	}

	return m.copy(r), nil
}

// Await returns a move when its version is above after, or after most.
func (m *Moves) Await(ctx context.Context, id string, after int64, most time.Duration) (Move, error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for {
		mv, err := m.Get(id)
		if err != nil || mv.Version > after || ctx.Err() != nil {
			return mv, err
		}
		select {
		case <-time.After(showEvery):
		case <-ctx.Done():
		}
	}
}

// copy returns a move with its progress. The caller holds mu.
func (m *Moves) copy(r *running) Move {
	mv := r.Move
	mv.People = slices.Clone(r.People)
	for i, meter := range r.meters {
		pace, version := meter.pace()
		mv.Version += version
		if r.stop != nil && mv.People[i].Stage == importer.StageMoving {
			mv.People[i].Progress = &pace
		}
	}

	return mv
}

// Pause stops a move until it is resumed. What is at the target stays.
func (m *Moves) Pause(ctx context.Context, id, by string) (Move, error) {
	return m.halt(ctx, id, by, importer.Paused, "paused")
}

// Cancel ends a move for good. What is at the target stays.
func (m *Moves) Cancel(ctx context.Context, id, by string) (Move, error) {
	return m.halt(ctx, id, by, importer.Cancelled, "cancelled")
}

func (m *Moves) halt(ctx context.Context, id, by string, to importer.State, what string) (Move, error) {
	m.mu.Lock()
	r := m.moves[id]
	if r == nil {
		m.mu.Unlock()
		return Move{}, ErrNoMove
	}
	if r.over() || to == importer.Paused && r.State != importer.Running {
		state := r.State
		m.mu.Unlock()
		return Move{}, fmt.Errorf("%w: it is %s", ErrState, state)
	}
	r.State = to
	ended := r.ended
	if r.stop != nil {
		r.stop()
	}
	m.mu.Unlock()
	if ended != nil {
		<-ended
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if to == importer.Cancelled {
		m.forget(r)
	}
	m.keep(r)

	return m.copy(r), m.record(ctx, Happening{What: MoveChanged, Move: id, By: by, Text: what})
}

// forget drops the passwords of a move that needs them no more. The caller
// holds mu.
func (m *Moves) forget(r *running) {
	r.secrets = nil
	if err := removeIfThere(m.shelf.secret(r.ID)); err != nil {
		m.log.Error("the passwords of an export that ended are still there", "export", r.ID, "err", err)
	}
}

// Resume goes on with a move that is paused, that needs passwords, or of which
// something failed: passwords that are given replace those there are.
func (m *Moves) Resume(ctx context.Context, id string, given []importer.Login, common importer.Secret, by string) (Move, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.moves[id]
	switch {
	case r == nil:
		return Move{}, ErrNoMove
	case m.ctx == nil:
		return Move{}, ErrNotRunning
	case r.State == importer.Cancelled, r.State == importer.Running:
		return Move{}, fmt.Errorf("%w: it is %s", ErrState, r.State)
	case r.stop != nil:
		return Move{}, fmt.Errorf("%w: it is still being paused; try again in a moment", ErrState)
	}
	keys := secrets{}
	maps.Copy(keys, r.secrets)
	if common != "" {
		keys = secrets{"": string(common)} // and not the ones that may have been refused
	}
	for _, l := range given {
		if l.Secret != "" {
			keys[orElse(l.User, l.Account)] = string(l.Secret)
		}
	}
	if r.To.Kind == KindIMAP && len(keys) == 0 {
		return Move{}, fmt.Errorf("%w: it needs the password at the target", ErrState)
	}
	if err := m.record(ctx, Happening{What: MoveChanged, Move: id, By: by, Text: "resumed"}); err != nil {
		return Move{}, err
	}
	if r.KeepSecrets {
		if err := keep(m.shelf.secret(id), keys); err != nil {
			return Move{}, fmt.Errorf("keep the passwords: %w", err)
		}
	}
	r.secrets, r.State = keys, importer.Running
	for i := range r.People {
		if p := &r.People[i]; p.Stage != importer.StageDone {
			p.Stage, p.Error, p.Next = importer.StagePending, "", time.Time{}
		}
	}
	m.keep(r)
	m.start(r)

	return m.copy(r), nil
}

// Remove takes a move that has ended off the list, with its reports. What is at
// the target stays.
func (m *Moves) Remove(ctx context.Context, id, by string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.moves[id]
	switch {
	case r == nil:
		return ErrNoMove
	case !r.over():
		return fmt.Errorf("%w: it is %s; cancel it first", ErrState, r.State)
	}
	if err := m.shelf.remove(id); err != nil {
		return fmt.Errorf("remove export: %w", err)
	}
	delete(m.moves, id)

	return m.record(ctx, Happening{What: MoveChanged, Move: id, By: by, Text: "removed from the list"})
}

// Report returns the report of a person's last run.
func (m *Moves) Report(id string, person int) (*Report, error) {
	mv, err := m.Get(id)
	if err != nil {
		return nil, err
	}
	if person < 0 || person >= len(mv.People) {
		return nil, ErrNoReport
	}
	var r Report
	if err := read(m.shelf.report(id, person), &r); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, ErrNoReport
		}
		return nil, fmt.Errorf("read report: %w", err)
	}

	return &r, nil
}

// keep writes a move. The caller holds mu.
func (m *Moves) keep(r *running) {
	r.Version++
	r.Changed = time.Now().UTC()
	if err := keep(m.shelf.move(r.ID), &r.Move); err != nil {
		m.log.Error("the state of an export is not kept", "export", r.ID, "err", err)
	}
}

func (m *Moves) record(ctx context.Context, h Happening) error {
	if m.conf.Record == nil {
		return nil
	}

	return m.conf.Record(context.WithoutCancel(ctx), h)
}
