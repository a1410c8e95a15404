package importer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"pillarbox/storage"
)

// Errors of Jobs that callers tell apart.
var (
	ErrNoJob      = errors.New("there is no such import")
	ErrJobState   = errors.New("the import is not in a state for that")
	ErrNoReport   = errors.New("there is no report yet")
	ErrTooMany    = errors.New("there are too many imports; remove old ones")
	ErrNotRunning = errors.New("imports run in a running server")
)

// maxJobs bounds the jobs that are kept.
const maxJobs = 1000

// Happening is what Jobs wants recorded.
type Happening struct {
	What    Happened
	Job     string
	Account string // address; "" for the job as a whole
	Text    string
	By      string // "" for the box itself
}

// Happened names it.
type Happened string

// What happens.
const (
	JobStarted Happened = "started"
	JobChanged Happened = "changed" // Text says how
	JobEnded   Happened = "ended"   // Account says whose part, Text how
)

// JobsConfig says what Jobs works with. Nothing but Exists, Files, MayRead, Unpack, Room, Way and
// Record may be nil or zero.
type JobsConfig struct {
	Dir    string // is made when it is needed
	Engine *Engine
	Logger *slog.Logger
	// Account finds the account of an address, and its canonical address.
	Account func(ctx context.Context, address string) (*storage.Account, string, error)
	// Exists tells of an account whether there is one: quarantined messages of
	// others are removed by OpenJobs; nil means that nobody looks.
	Exists func(id storage.AccountID) bool
	// Files opens mail in files; nil means that there is none to be had.
	Files func(path, owner string) (Source, error)
	// MayRead refuses a path that is none of mail that moves in; nil refuses none.
	MayRead func(path string) error
	// Unpack lays out an uploaded file in a folder; name is how its owner calls it.
	// nil means that nothing can be uploaded.
	Unpack func(ctx context.Context, archive, name, dir string) (Unpacked, error)
	// Room fails where the disk has no room for so many octets more; nil means that
	// there always is.
	Room func(octets int64) error
	Way  Way
	// Record keeps a record of what happens; nil keeps none.
	Record func(ctx context.Context, h Happening)
}

// Jobs keeps the jobs and runs them. Its methods may be called from several
// goroutines.
type Jobs struct {
	conf  JobsConfig
	log   *slog.Logger
	shelf shelf

	mu   sync.Mutex
	jobs map[string]*running
	ctx  context.Context // of Run; nil while it does not run
	wg   sync.WaitGroup

	coming int // uploads
}

// running is a job in memory.
type running struct {
	Job

	secrets  secrets
	tokens   *tokens            // nil where the source wants none, and while nobody works on it
	stop     context.CancelFunc // nil while nobody works on it
	ended    chan struct{}      // closed when nobody does any more
	cutOver  chan struct{}      // closed when the last run is asked for
	progress []*Progress
}

// OpenJobs reads the jobs that there are.
func OpenJobs(c *JobsConfig) (*Jobs, error) {
	j := &Jobs{conf: *c, log: c.Logger, shelf: shelf{c.Dir}, jobs: map[string]*running{}}
	list, bad, err := j.shelf.jobs()
	if err != nil {
		return nil, err
	}
	if err := j.shelf.sweep(list); err != nil {
		return nil, fmt.Errorf("remove what is left of imports: %w", err)
	}
	for _, err := range bad {
		j.log.Error("an import is passed over", "err", err)
	}
	if c.Exists != nil {
		if err := c.Engine.Sweep(c.Exists); err != nil {
			j.log.Error("quarantined messages of accounts that were removed are still there", "err", err)
		}
	}
	for _, job := range list {
		r := newRunning(*job)
		if job.needsSecrets() {
			if err := readFile(j.shelf.secret(job.ID), &r.secrets); err != nil {
				j.log.Error("the passwords of an import cannot be read", "job", job.ID, "err", err)
			}
		}
		j.jobs[job.ID] = r
	}
	return j, nil
}

func newRunning(job Job) *running {
	r := &running{Job: job, cutOver: make(chan struct{}), progress: make([]*Progress, len(job.People))}
	for i := range r.progress {
		r.progress[i] = NewProgress()
	}
	if job.CutOver {
		close(r.cutOver)
	}
	return r
}

// Run runs the jobs until ctx ends; they go on at the next Run.
func (j *Jobs) Run(ctx context.Context) error {
	j.mu.Lock()
	j.ctx = ctx
	for _, r := range j.jobs {
		if r.State != Running {
			continue
		}
		if r.From.IMAP != nil && r.secrets == nil {
			r.State = Locked
			j.log.Warn("an import needs its password to go on", "job", r.ID, "todo", "pillarbox import resume "+r.ID)
			j.keep(r)
			continue
		}
		j.start(r)
	}
	j.mu.Unlock()
	<-ctx.Done()
	j.wg.Wait()
	j.mu.Lock()
	j.ctx = nil
	j.mu.Unlock()
	return nil
}

// start works on a job. The caller holds mu.
func (j *Jobs) start(r *running) {
	ctx, stop := context.WithCancel(j.ctx)
	ended := make(chan struct{})
	r.stop, r.ended = stop, ended
	r.tokens = newTokens(r.From.IMAP, &j.conf.Way, j.refreshed(r))
	j.wg.Go(func() {
		defer close(ended)
		defer stop()
		j.work(ctx, r)
	})
}

// refreshed returns what keeps a person's new refresh token in place of the old.
func (j *Jobs) refreshed(r *running) func(user, refresh string) {
	return func(user, refresh string) {
		j.mu.Lock()
		defer j.mu.Unlock()
		if r.secrets == nil {
			return // the job has ended
		}
		r.secrets = withSecrets(r.secrets, []Login{{User: user, Secret: Secret(refresh)}}, "")
		if !r.KeepSecrets {
			return
		}
		if err := writeFile(j.shelf.secret(r.ID), r.secrets); err != nil {
			j.log.Error("a new refresh token is not kept; after a restart the import may ask for one", "job", r.ID, "err", err)
		}
	}
}

// Add begins a job. It first tries to sign in as the first person, so that
// what is wrong with the server, its certificate or the password shows at once.
func (j *Jobs) Add(ctx context.Context, n *NewJob, by string) (Job, error) {
	if err := n.Validate(); err != nil {
		return Job{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	j.mu.Lock()
	stopped := j.ctx == nil
	j.mu.Unlock()
	if stopped {
		return Job{}, ErrNotRunning
	}

	return j.begin(ctx, n, by, newID(), "")
}

// begin tries the source and starts a job.
func (j *Jobs) begin(ctx context.Context, n *NewJob, by, id, warning string) (Job, error) {
	job := Job{
		ID: id, Created: time.Now().UTC(), By: by, Warning: warning,
		From: n.From.withoutUser(), Options: n.Options, Follow: n.Follow, PollSeconds: n.PollSeconds, KeepSecrets: n.KeepSecrets,
		Together: n.Together, State: Running,
	}
	keys := secrets{"": string(n.Secret)}
	for _, p := range n.People {
		account, address, err := j.conf.Account(ctx, p.Account)
		if err != nil {
			return Job{}, fmt.Errorf("%s: %w", p.Account, err)
		}
		job.People = append(job.People, Person{User: p.User, Account: address, AccountID: account.ID(), Stage: StagePending})
		if p.Secret != "" {
			keys[p.User] = string(p.Secret)
		}
	}
	if n.From.IMAP != nil {
		job.Warning = n.From.IMAP.Warning()
	}
	src, err := j.open(&job, 0, keys, newTokens(job.From.IMAP, &j.conf.Way, func(user, refresh string) { keys[user] = refresh }))
	if err == nil {
		_, err = src.Mailboxes(ctx)
		src.Close()
	}
	if err != nil {
		return Job{}, err
	}
	r := newRunning(job)
	r.secrets = keys
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.ctx == nil:
		return Job{}, ErrNotRunning
	case len(j.jobs) >= maxJobs:
		return Job{}, ErrTooMany
	}
	if n.KeepSecrets {
		if err := writeFile(j.shelf.secret(job.ID), keys); err != nil {
			return Job{}, fmt.Errorf("keep the passwords: %w", err)
		}
	}
	if err := writeFile(j.shelf.job(job.ID), &r.Job); err != nil {
		return Job{}, errors.Join(fmt.Errorf("keep the import: %w", err), removeFile(j.shelf.secret(job.ID)))
	}
	j.jobs[job.ID] = r
	j.record(ctx, Happening{What: JobStarted, Job: job.ID, By: by, Text: describeJob(&job)})
	j.start(r)
	return j.copy(r), nil
}

// describeJob says for the record what a job does.
func describeJob(job *Job) string {
	from := job.From.Path
	switch s := job.From.IMAP; {
	case s != nil:
		from = "IMAP " + s.address()
	case job.From.Upload != "":
		from = "the uploaded file " + job.From.Upload
	}
	what := fmt.Sprintf("%d people from %s", len(job.People), from)
	if len(job.People) == 1 {
		what = fmt.Sprintf("%s from %s to %s", job.People[0].User, from, job.People[0].Account)
	}
	if job.KeepSecrets {
		what += ", with the passwords kept until it ends"
	}
	return what
}

// open opens the source of a person.
func (j *Jobs) open(job *Job, person int, keys secrets, t *tokens) (Source, error) {
	p := &job.People[person]
	if job.From.IMAP == nil {
		if j.conf.Files == nil {
			return nil, fmt.Errorf("%w: mail in files cannot be read here", ErrRefused)
		}
		owner := job.From.Owner
		if len(job.People) > 1 {
			owner = p.User
		}
		path := job.From.Path
		var err error
		switch {
		case job.From.Upload != "":
			path, err = j.shelf.uploaded(job.ID)
		case j.conf.MayRead != nil:
			err = j.conf.MayRead(path)
		}
		if err != nil {
			return nil, err
		}
		return j.conf.Files(path, owner)
	}
	s := *job.From.IMAP
	s.User = p.User
	s.Secret = Secret(keys[p.User])
	if s.Secret == "" || s.Admin != "" {
		s.Secret = Secret(keys[""])
	}
	way := j.conf.Way
	if t != nil {
		way.Token = t.of(p.User, s.Secret, Secret(keys[""]))
	}
	return NewIMAP(&IMAPConfig{Server: s, Way: way, Logger: j.log})
}

// Try does the same as Add for the first person and then tells what would
// move, without a job; nothing is kept.
func (j *Jobs) Try(ctx context.Context, n *NewJob, person int) (*Report, error) {
	if err := n.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if person < 0 || person >= len(n.People) {
		return nil, ErrNoJob
	}
	p := n.People[person]
	account, address, err := j.conf.Account(ctx, p.Account)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Account, err)
	}
	job := Job{From: n.From, People: make([]Person, len(n.People))}
	job.People[person].User = p.User
	t := newTokens(job.From.IMAP, &j.conf.Way, func(string, string) {})
	src, err := j.open(&job, person, secrets{"": string(n.Secret), p.User: string(p.Secret)}, t)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	return j.conf.Engine.Estimate(ctx, &Task{Source: src, Account: account, Address: address, Options: n.Options})
}

// List returns the jobs, the oldest first.
func (j *Jobs) List() []Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make([]Job, 0, len(j.jobs))
	for _, r := range j.jobs {
		out = append(out, j.copy(r))
	}
	slices.SortFunc(out, func(a, b Job) int { return a.Created.Compare(b.Created) })
	return out
}

// Get returns a job.
func (j *Jobs) Get(id string) (Job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := j.jobs[id]
	if r == nil {
		return Job{}, ErrNoJob
	}
	return j.copy(r), nil
}

// progressEvery is how often Await looks at progress.
const progressEvery = 500 * time.Millisecond

// Await returns a job when its version is above after, or after most.
func (j *Jobs) Await(ctx context.Context, id string, after int64, most time.Duration) (Job, error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for {
		job, err := j.Get(id)
		if err != nil || job.Version > after || ctx.Err() != nil {
			return job, err
		}
		select {
		case <-time.After(progressEvery):
		case <-ctx.Done():
		}
	}
}

// copy returns a job with its progress. The caller holds mu.
func (j *Jobs) copy(r *running) Job {
	job := r.Job
	job.People = slices.Clone(r.People)
	for i, p := range r.progress {
		s := p.Snapshot()
		job.Version += s.Version
		if r.stop != nil && (job.People[i].Stage == StageMoving || job.People[i].Stage == StageFollowing) {
			job.People[i].Progress = &s
		}
	}
	return job
}

// Pause stops a job until it is resumed. What was taken stays.
func (j *Jobs) Pause(ctx context.Context, id, by string) (Job, error) {
	return j.halt(ctx, id, by, Paused, "paused", func(s State) bool { return s == Running })
}

// Cancel ends a job for good. What was taken stays.
func (j *Jobs) Cancel(ctx context.Context, id, by string) (Job, error) {
	return j.halt(ctx, id, by, Cancelled, "cancelled", func(s State) bool { return s != Ended && s != Cancelled })
}

func (j *Jobs) halt(ctx context.Context, id, by string, to State, what string, fits func(State) bool) (Job, error) {
	j.mu.Lock()
	r := j.jobs[id]
	if r == nil || !fits(r.State) {
		j.mu.Unlock()
		if r == nil {
			return Job{}, ErrNoJob
		}
		return Job{}, fmt.Errorf("%w: it is %s", ErrJobState, r.State)
	}
	r.State = to
	ended := r.ended
	if r.stop != nil {
		r.stop()
	}
	j.mu.Unlock()
	if ended != nil {
		<-ended
	}
	defer j.dropUpload(r)
	j.mu.Lock()
	defer j.mu.Unlock()
	if to == Cancelled {
		j.forget(r)
	}
	j.keep(r)
	j.record(ctx, Happening{What: JobChanged, Job: id, By: by, Text: what})
	return j.copy(r), nil
}

// forget drops the secrets of a job that needs them no more. The caller holds mu.
func (j *Jobs) forget(r *running) {
	r.secrets = nil
	if err := removeFile(j.shelf.secret(r.ID)); err != nil {
		j.log.Error("the passwords of an import that ended are still there", "job", r.ID, "err", err)
	}
}

// Resume goes on with a job that is paused, or that needs passwords: those that
// are given replace the ones there are. What failed is tried again.
func (j *Jobs) Resume(ctx context.Context, id string, given []Login, common Secret, by string) (Job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := j.jobs[id]
	switch {
	case r == nil:
		return Job{}, ErrNoJob
	case j.ctx == nil:
		return Job{}, ErrNotRunning
	case r.State == Cancelled, r.State == Running && r.stop != nil:
		return Job{}, fmt.Errorf("%w: it is %s", ErrJobState, r.State)
	case r.stop != nil: // two of its kind would come into each other's way
		return Job{}, fmt.Errorf("%w: it is still being paused; try again in a moment", ErrJobState)
	}
	keys := withSecrets(r.secrets, given, common)
	if r.From.IMAP != nil && len(slices.DeleteFunc(slices.Collect(maps.Values(keys)), func(s string) bool { return s == "" })) == 0 {
		return Job{}, fmt.Errorf("%w: the server has restarted since and had not kept the password; give it again (--password-stdin or --password-file)", ErrJobState)
	}
	if r.KeepSecrets {
		if err := writeFile(j.shelf.secret(id), keys); err != nil {
			return Job{}, fmt.Errorf("keep the passwords: %w", err)
		}
	}
	r.secrets, r.State = keys, Running
	for i := range r.People {
		if p := &r.People[i]; p.Stage != StageDone {
			p.Stage, p.Error = StagePending, ""
		}
	}
	j.keep(r)
	j.record(ctx, Happening{What: JobChanged, Job: id, By: by, Text: "resumed"})
	j.start(r)
	return j.copy(r), nil
}

// CutOver asks a job that follows for its last run.
func (j *Jobs) CutOver(ctx context.Context, id, by string) (Job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := j.jobs[id]
	switch {
	case r == nil:
		return Job{}, ErrNoJob
	case !r.Follow || r.CutOver || r.State == Ended || r.State == Cancelled:
		return Job{}, fmt.Errorf("%w: it does not follow the source any more", ErrJobState)
	}
	r.CutOver = true
	close(r.cutOver)
	j.keep(r)
	j.record(ctx, Happening{What: JobChanged, Job: id, By: by, Text: "the last run was asked for"})
	return j.copy(r), nil
}

// Remove drops a job that has ended, with its reports. Mail that was taken stays.
func (j *Jobs) Remove(ctx context.Context, id, by string) (err error) {
	defer func() {
		if err == nil { // without mu: it may take long
			err = os.RemoveAll(j.shelf.upload(id))
		}
	}()
	j.mu.Lock()
	defer j.mu.Unlock()
	r := j.jobs[id]
	switch {
	case r == nil:
		return ErrNoJob
	case r.State != Ended && r.State != Cancelled:
		return fmt.Errorf("%w: it is %s; cancel it first", ErrJobState, r.State)
	}
	if err := j.shelf.remove(id); err != nil {
		return fmt.Errorf("remove import: %w", err)
	}
	delete(j.jobs, id)
	j.record(ctx, Happening{What: JobChanged, Job: id, By: by, Text: "removed from the list"})
	return nil
}

// Report returns the report of a person's last run.
func (j *Jobs) Report(id string, person int) (*Report, error) {
	job, err := j.Get(id)
	if err != nil {
		return nil, err
	}
	if person < 0 || person >= len(job.People) {
		return nil, ErrNoReport
	}
	var r Report
	if err := readFile(j.shelf.report(id, person), &r); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, ErrNoReport
		}
		return nil, fmt.Errorf("read report: %w", err)
	}
	return &r, nil
}

// Verify compares a person's mail with the source now. Passwords are needed
// where the job has forgotten them.
func (j *Jobs) Verify(ctx context.Context, id string, person int, given []Login, common Secret) (*Report, error) {
	j.mu.Lock()
	r := j.jobs[id]
	if r == nil || person < 0 || person >= len(r.People) {
		j.mu.Unlock()
		return nil, ErrNoJob
	}
	job, keys, t := r.Job, withSecrets(r.secrets, given, common), r.tokens
	job.People = slices.Clone(job.People)
	j.mu.Unlock()
	account, address, err := j.conf.Account(ctx, job.People[person].Account)
	if err != nil {
		return nil, err
	}
	if err := job.People[person].same(account); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if t == nil {
		t = newTokens(job.From.IMAP, &j.conf.Way, j.refreshed(r))
	}
	src, err := j.open(&job, person, keys, t)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	return j.conf.Engine.Verify(ctx, &Task{Source: src, Account: account, Address: address, Options: job.Options})
}

// withSecrets returns secrets of which those that are given are replaced.
func withSecrets(had secrets, given []Login, common Secret) secrets {
	keys := secrets{}
	maps.Copy(keys, had)
	if common != "" {
		keys[""] = string(common)
	}
	for _, l := range given {
		if l.Secret != "" {
			keys[l.User] = string(l.Secret)
		}
	}
	return keys
}

// keep writes a job. The caller holds mu.
func (j *Jobs) keep(r *running) {
	r.Version++
	r.Changed = time.Now().UTC()
	if err := writeFile(j.shelf.job(r.ID), &r.Job); err != nil {
		j.log.Error("the state of an import is not kept", "job", r.ID, "err", err)
	}
}

func (j *Jobs) record(ctx context.Context, h Happening) {
	if j.conf.Record != nil {
		j.conf.Record(context.WithoutCancel(ctx), h)
	}
}

// Forget removes what is kept of an account beside its mail: the octets of
// messages that could not be taken.
func (j *Jobs) Forget(id storage.AccountID) {
	if err := j.conf.Engine.Forget(id); err != nil {
		j.log.Error("quarantined messages of an account that was removed are still there", "account", id, "err", err)
	}
}

// QuarantineDir is where the octets of messages that cannot be taken are kept
// beside the jobs in dir.
func QuarantineDir(dir string) string { return filepath.Join(dir, "quarantine") }
