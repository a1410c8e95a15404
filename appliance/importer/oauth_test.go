package importer_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pillarbox/appliance/importer"
	"pillarbox/appliance/integration/openid"
)

// tokenJob is a job from an Exchange whose tokens a provider gives.
func tokenJob(s *standIn, p *openid.Provider, client string, g importer.Grant) *importer.NewJob {
	n := jobFor(s, true)
	n.From.IMAP.SignIn, n.From.IMAP.CA = importer.ByXOAUTH2, string(s.ca)+"\n"+p.CA
	n.From.IMAP.OAuth = &importer.OAuth{Endpoint: p.Issuer + "/oauth/token", ClientID: client, Grant: g}
	n.PollSeconds = 10
	return n
}

// TestARefreshTokenOutlivesAccessTokens has all access tokens taken back while
// a job follows, and the box restarted: the provider takes each refresh token
// once.
func TestARefreshTokenOutlivesAccessTokens(t *testing.T) {
	p := openid.Start(t)
	p.AddPerson("ada@office.example", true)
	s := exchange()
	s.holds = p.Holds
	s.start(t)
	h := newHere(t)
	dir := filepath.Join(t.TempDir(), "imports")
	jobs, stop := jobsOf(t, h, dir, nil)
	n := tokenJob(s, p, openid.Mail, importer.ByRefreshToken)
	n.Secret = openid.Secret
	n.People[0].Secret = importer.Secret(p.RefreshToken(t, openid.Mail, "ada@office.example"))
	job := add(t, jobs, n)
	follows := func(j *importer.Job) bool { return j.People[0].Stage == importer.StageFollowing }
	until(t, jobs, job.ID, follows)

	again := func(what string, do func()) {
		t.Helper()
		given := p.Given()
		p.TakeBack()
		do()
		until(t, jobs, job.ID, func(j *importer.Job) bool {
			if j.State == importer.Locked {
				t.Fatalf("after %s: %s", what, j.People[0].Error)
			}
			return p.Given() > given && (follows(j) || j.State == importer.Ended)
		})
	}
	restart := func() {
		stop()
		jobs, stop = jobsOf(t, h, dir, nil)
	}
	again("a restart", restart)
	again("another restart", restart)
	again("the end of its connections", func() {
		s.hangUp() // who listens comes again
		if _, err := jobs.CutOver(t.Context(), job.ID, "somebody"); err != nil {
			t.Error(err)
		}
	})
	if job := until(t, jobs, job.ID, func(j *importer.Job) bool { return j.State == importer.Ended }); job.People[0].OK == nil || !*job.People[0].OK {
		t.Errorf("%+v", job.People[0])
	}
	if entries, err := os.ReadDir(dir); err != nil || strings.Contains(strings.Join(names(entries), " "), ".secret") {
		t.Errorf("secrets are left in %q (%v)", names(entries), err)
	}
}

func names(entries []os.DirEntry) (all []string) {
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// TestAnApplicationsTokenOpensEverybodysMail is what an administrator of
// Exchange Online gives to programs that move mail.
func TestAnApplicationsTokenOpensEverybodysMail(t *testing.T) {
	p := openid.Start(t)
	s := exchange()
	s.holds = p.Holds
	s.start(t)
	jobs, _ := jobsOf(t, newHere(t), filepath.Join(t.TempDir(), "imports"), nil)
	n := tokenJob(s, p, openid.Service, importer.ByApplication)
	n.Follow = false
	n.Secret, n.People = openid.ServiceSecret, []importer.Login{{User: "ada", Account: "ada@office.example"}, {User: "ben", Account: "ada@office.example"}}
	job := add(t, jobs, n)
	job = until(t, jobs, job.ID, func(j *importer.Job) bool { return j.State == importer.Ended })
	for _, p := range job.People {
		if p.Stage != importer.StageDone {
			t.Errorf("%+v", p)
		}
	}
	if given := p.Given(); given != 2 { // once to try
		t.Errorf("%d tokens were given", given)
	}
}

func TestAProviderThatGivesNothing(t *testing.T) {
	p := openid.Start(t)
	s := exchange()
	s.holds = p.Holds
	s.start(t)
	jobs, _ := jobsOf(t, newHere(t), filepath.Join(t.TempDir(), "imports"), nil)
	try := func(change func(n *importer.NewJob)) error {
		n := tokenJob(s, p, openid.Service, importer.ByApplication)
		n.Secret = openid.ServiceSecret
		n.People[0].Secret = ""
		change(n)
		_, err := jobs.Try(t.Context(), n, 0)
		return err
	}
	if err := try(func(*importer.NewJob) {}); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change func(n *importer.NewJob)
		want   error
		says   string
	}{
		"a wrong secret":      {func(n *importer.NewJob) { n.Secret = "wrong-secret" }, importer.ErrSignIn, "gives no token"},
		"no token endpoint":   {func(n *importer.NewJob) { n.From.IMAP.OAuth.Endpoint = p.Issuer + "/nothing" }, importer.ErrRefused, "no token endpoint"},
		"not encrypted":       {func(n *importer.NewJob) { n.From.IMAP.OAuth.Endpoint = "http://127.0.0.1/" }, importer.ErrRefused, "https"},
		"an unknown provider": {func(n *importer.NewJob) { n.From.IMAP.CA = string(s.ca) }, nil, "certificate"},
		"no refresh token": {func(n *importer.NewJob) {
			n.From.IMAP.OAuth.Grant = importer.ByRefreshToken
		}, importer.ErrRefused, "no refresh token"},
		"a refresh token that is none": {func(n *importer.NewJob) {
			n.From.IMAP.OAuth.ClientID, n.From.IMAP.OAuth.Grant, n.Secret = openid.Mail, importer.ByRefreshToken, openid.Secret
			n.People[0].Secret = "wrong-secret"
		}, importer.ErrSignIn, "gives no token"},
	} {
		err := try(tt.change)
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) || tt.want == nil && (errors.Is(err, importer.ErrSignIn) || errors.Is(err, importer.ErrRefused)) ||
			!strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "wrong-secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.Stop()
	if err := try(func(*importer.NewJob) {}); err == nil || errors.Is(err, importer.ErrSignIn) {
		t.Errorf("a provider that is down: %v", err)
	}
}
