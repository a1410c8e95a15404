package importer_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pillarbox/appliance/importer"
	"pillarbox/appliance/importer/files"
	"pillarbox/storage"
)

// jobsOf opens the jobs in dir, and runs them until stop is called.
func jobsOf(t *testing.T, h *here, dir string, before func()) (jobs *importer.Jobs, stop func()) {
	t.Helper()
	jobs, err := importer.OpenJobs(&importer.JobsConfig{
		Dir: dir, Engine: h.engine, Logger: testLog(t),
		Files: func(path, owner string) (importer.Source, error) { return files.Open(path, owner) },
		Account: func(context.Context, string) (*storage.Account, string, error) {
			if before != nil {
				before()
			}
			return h.account, "ada@office.example", nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- jobs.Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		ended <- nil
	}
	t.Cleanup(stop)
	return jobs, stop
}

// add begins a job as soon as jobs run.
func add(t *testing.T, jobs *importer.Jobs, n *importer.NewJob) importer.Job {
	t.Helper()
	for {
		job, err := jobs.Add(t.Context(), n, "somebody")
		if errors.Is(err, importer.ErrNotRunning) {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return job
	}
}

// until waits for a job to be as it is wanted.
func until(t *testing.T, jobs *importer.Jobs, id string, as func(j *importer.Job) bool) importer.Job {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		job, err := jobs.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		if as(&job) {
			return job
		}
		if time.Now().After(end) {
			t.Fatalf("it does not come so far: %+v", job)
		}
	}
}

func jobFor(s *standIn, follow bool) *importer.NewJob {
	server := &importer.Server{Host: "127.0.0.1", Port: s.port(), CA: string(s.ca), Connections: 1}
	return &importer.NewJob{
		From: importer.From{IMAP: server}, Follow: follow, KeepSecrets: true,
		People: []importer.Login{{User: "ada", Account: "ada@office.example", Secret: standPassword}},
	}
}

// TestNoPasswordStaysBehind has a crash leave files in which there may be
// passwords.
func TestNoPasswordStaysBehind(t *testing.T) {
	s := (&standIn{caps: plainCaps, boxes: []*standBox{plainBox(3)}}).start(t)
	h := newHere(t)
	dir := filepath.Join(t.TempDir(), "imports")
	jobs, stop := jobsOf(t, h, dir, nil)
	job := add(t, jobs, jobFor(s, true))
	until(t, jobs, job.ID, func(j *importer.Job) bool { return j.People[0].Stage == importer.StageFollowing })
	stop()
	for _, name := range []string{".new-123", "20260101-abcd.secret"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(`{"ada":"secret"}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	jobs, stop = jobsOf(t, h, dir, nil)
	list := func() (names []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	if got, want := list(), []string{job.ID + ".json", job.ID + ".reports", job.ID + ".secret"}; !slices.Equal(got, want) {
		t.Errorf("there are %q, want %q", got, want)
	}
	// It goes on by itself, and leaves no password at its end.
	until(t, jobs, job.ID, func(j *importer.Job) bool { return j.People[0].Stage == importer.StageFollowing })
	if _, err := jobs.CutOver(t.Context(), job.ID, "somebody"); err != nil {
		t.Fatal(err)
	}
	done := until(t, jobs, job.ID, func(j *importer.Job) bool { return j.State == importer.Ended })
	if p := done.People[0]; p.OK == nil || !*p.OK || p.Total.Taken != 3 {
		t.Errorf("%+v", p)
	}
	if got, want := list(), []string{job.ID + ".json", job.ID + ".reports"}; !slices.Equal(got, want) {
		t.Errorf("at the end there are %q, want %q", got, want)
	}
}

// TestAJobIsNotResumedWhileItStops would have two of it at work.
func TestAJobIsNotResumedWhileItStops(t *testing.T) {
	s := (&standIn{caps: plainCaps, boxes: []*standBox{plainBox(3)}}).start(t)
	h := newHere(t)
	var asked atomic.Int32
	slow, working := make(chan struct{}), make(chan struct{})
	jobs, _ := jobsOf(t, h, filepath.Join(t.TempDir(), "imports"), func() {
		if asked.Add(1) == 2 { // the first is of Add
			close(working)
			<-slow
		}
	})
	job := add(t, jobs, jobFor(s, false))
	<-working
	paused := make(chan error)
	go func() {
		_, err := jobs.Pause(t.Context(), job.ID, "somebody")
		paused <- err
	}()
	until(t, jobs, job.ID, func(j *importer.Job) bool { return j.State == importer.Paused })
	if _, err := jobs.Resume(t.Context(), job.ID, nil, "", "somebody"); !errors.Is(err, importer.ErrJobState) {
		t.Errorf("resumed while it stops: %v", err)
	}
	close(slow)
	if err := <-paused; err != nil {
		t.Fatal(err)
	}
	if _, err := jobs.Resume(t.Context(), job.ID, nil, "", "somebody"); err != nil {
		t.Fatal(err)
	}
	until(t, jobs, job.ID, func(j *importer.Job) bool { return j.State == importer.Ended })
	if got := len(h.contents("INBOX")); got != 3 {
		t.Errorf("there are %d messages", got)
	}
}

// TestOneOfSeveralPeoplesFiles reads the mail of one of two people out of the
// same folder, as the server.
func TestOneOfSeveralPeoplesFiles(t *testing.T) {
	h := newHere(t)
	jobs, _ := jobsOf(t, h, filepath.Join(t.TempDir(), "imports"), nil)
	spool := t.TempDir() // of Cyrus
	for who, text := range map[string]string{"ada": "Subject: hers\r\n\r\n", "ben": "Subject: his\r\n\r\n"} {
		dir := filepath.Join(spool, who[:1], "user", who)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string]string{"1.": text, "cyrus.header": "", "cyrus.index": ""} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	n := &importer.NewJob{From: importer.From{Path: spool, Owner: "ben"}, People: []importer.Login{{User: "ada@office.example", Account: "ada@office.example"}}}
	job := add(t, jobs, n)
	until(t, jobs, job.ID, func(j *importer.Job) bool { return j.State == importer.Ended })
	if got := h.contents("INBOX"); len(got) != 1 || !strings.Contains(got[0], "his") {
		t.Errorf("there are %q", got)
	}
	n.People = append(n.People, importer.Login{User: "cy", Account: "cy@office.example"})
	if _, err := jobs.Add(t.Context(), n, "somebody"); !errors.Is(err, importer.ErrRefused) {
		t.Errorf("an owner of several people's: %v", err)
	}
}

// TestAMoveDoesNotGoOnWithSomebodyElse has the address given to another person
// while the move rests.
func TestAMoveDoesNotGoOnWithSomebodyElse(t *testing.T) {
	s := (&standIn{caps: plainCaps, boxes: []*standBox{plainBox(3)}}).start(t)
	h := newHere(t)
	jobs, _ := jobsOf(t, h, filepath.Join(t.TempDir(), "imports"), nil)
	job := add(t, jobs, jobFor(s, true))
	until(t, jobs, job.ID, func(j *importer.Job) bool { return j.People[0].Stage == importer.StageFollowing })
	if _, err := jobs.Pause(t.Context(), job.ID, "somebody"); err != nil {
		t.Fatal(err)
	}
	if err := h.CreateAccount(t.Context(), "later", []storage.NewMailbox{{Name: "INBOX"}}); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.account, err = h.Account(t.Context(), "later"); err != nil {
		t.Fatal(err)
	}
	if _, err := jobs.Resume(t.Context(), job.ID, nil, "", "somebody"); err != nil {
		t.Fatal(err)
	}
	job = until(t, jobs, job.ID, func(j *importer.Job) bool { return j.State == importer.Ended })
	if p := job.People[0]; p.Stage != importer.StageFailed || !strings.Contains(p.Error, "another account") {
		t.Errorf("%+v", p)
	}
	if got := h.contents("INBOX"); len(got) != 0 {
		t.Errorf("the other account has %q", got)
	}
}
