package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/delivery"
	"pillarbox/appliance/directory"
	"pillarbox/storage"
)

const maxMessage = 1 << 20

// now is a time in a zone, so that the trace shows it.
var now = time.Date(2026, 2, 3, 4, 5, 6, 0, time.FixedZone("", 3600))

// office is a pipeline over real storage, with anna, ben and the alias info
// of both.
type office struct {
	*delivery.Pipeline

	store *storage.Store
	dir   *directory.Directory
}

func newOffice(t testing.TB) *office {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := storage.Open(t.Context(), &storage.Config{Dir: t.TempDir(), Logger: log, MaxMessage: maxMessage})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	dir, err := directory.New(&directory.Config{Store: store, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"anna", "ben"} {
		if _, err := dir.Add(t.Context(), directory.NewAccount{Address: name + "@office.example", Password: "long enough"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := dir.AddAlias(t.Context(), "info@office.example", "anna@office.example", "ben@office.example"); err != nil {
		t.Fatal(err)
	}

	return &office{
		Pipeline: delivery.New(&delivery.Config{
			Directory: recipients{dir}, Store: store, Hostname: "mail.office.example", Logger: log,
			Now: func() time.Time { return now },
		}),
		store: store,
		dir:   dir,
	}
}

type recipients struct{ dir *directory.Directory }

func (r recipients) Resolve(ctx context.Context, address string) ([]delivery.Account, error) {
	found, err := r.dir.Resolve(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", delivery.ErrUnknownRecipient, err)
	}
	var all []delivery.Account
	for _, a := range found {
		all = append(all, delivery.Account{ID: a.ID, Address: a.Address})
	}

	return all, nil
}

func (r recipients) Admits(ctx context.Context, sender, recipient string) error {
	if err := r.dir.Admits(ctx, sender, recipient); err != nil {
		return fmt.Errorf("%w: %w", delivery.ErrNotAdmitted, err)
	}

	return nil
}

// mail is a stored message.
type mail struct {
	UID   imap.UID
	Flags string
	Date  time.Time
	Body  string
}

// mail returns a mailbox's messages, none if there is no such mailbox.
func (o *office) mail(t testing.TB, address, mailbox string) []mail {
	t.Helper()

	return o.mailFrom(t, address, mailbox, 1)
}

// mailFrom returns those from a UID on.
func (o *office) mailFrom(t testing.TB, address, mailbox string, first imap.UID) []mail {
	t.Helper()
	a, err := o.dir.Find(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	acct, err := o.store.Account(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	box := acct.Mailbox(mailbox)
	if box == nil {
		return nil
	}
	snap, err := acct.Snapshot(t.Context(), box.ID)
	if err != nil {
		t.Fatal(err)
	}
	var all []mail
	start, _ := snap.Find(first)
	for _, m := range snap.All(start) {
		body, err := acct.OpenBody(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(io.NewSectionReader(body, 0, body.Size))
		if err := errors.Join(err, body.Close()); err != nil {
			t.Fatal(err)
		}
		all = append(all, mail{UID: m.UID, Flags: string(snap.AppendFlags(nil, m)), Date: m.Date(), Body: string(b)})
	}

	return all
}

func TestArrivingMailGetsATrace(t *testing.T) {
	o := newOffice(t)
	const body = "Subject: a\r\n\r\nhello\r\n"
	results := o.Deliver(t.Context(), &delivery.Envelope{
		From:       "bob@client.example",
		Recipients: []string{"Anna+news@Office.example"},
		Helo:       "client.example",
		Remote:     "192.0.2.1:1234",
		With:       "LMTP",
	}, strings.NewReader(body))
	if len(results) != 1 || results[0].Err != nil {
		t.Fatalf("results %+v", results)
	}
	want := []delivery.Place{{Account: "anna@office.example", Mailbox: "INBOX", UIDValidity: results[0].Places[0].UIDValidity, UID: 1}}
	if diff := cmp.Diff(want, results[0].Places); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
	got := o.mail(t, "anna@office.example", "INBOX")
	if len(got) != 1 {
		t.Fatalf("%d messages", len(got))
	}
	shape := regexp.MustCompile(`^Return-Path: <bob@client\.example>\r\n` +
		`Delivered-To: anna@office\.example\r\n` +
		`Received: from client\.example \(192\.0\.2\.1:1234\)\r\n\tby mail\.office\.example with LMTP id [A-Z2-7]{16}\r\n` +
		`\tfor <Anna\+news@Office\.example>;\r\n\tTue, 03 Feb 2026 04:05:06 \+0100\r\n` + regexp.QuoteMeta(body) + `$`)
	if !shape.MatchString(got[0].Body) {
		t.Errorf("message %q does not match %s", got[0].Body, shape)
	}
	if !got[0].Date.Equal(now) {
		t.Errorf("internal date %v, want %v", got[0].Date, now)
	}
}

func TestNothingCanBeSmuggledIntoTheTrace(t *testing.T) {
	o := newOffice(t)
	evil := "x\r\nX-Evil: yes\r\n\r\n\x00<>\u2028" + strings.Repeat("y", 1000)
	for _, env := range []*delivery.Envelope{
		{From: evil, Helo: evil, Remote: evil, With: evil},
		{From: "", Helo: "(;\")", Remote: "(", With: " "},
	} {
		env.Recipients = []string{"anna@office.example"}
		if r := o.Deliver(t.Context(), env, strings.NewReader("Subject: a\r\n\r\n")); r[0].Err != nil {
			t.Fatal(r[0].Err)
		}
	}
	for _, m := range o.mail(t, "anna@office.example", "INBOX") {
		header, rest, _ := strings.Cut(m.Body, "\r\n\r\n")
		if rest != "" {
			t.Errorf("the header ends early: %q", m.Body)
		}
		var names []string
		for line := range strings.SplitSeq(header, "\r\n") {
			if name, _, ok := strings.Cut(line, ":"); ok && line[0] != '\t' {
				names = append(names, name)
			}
			if len(line) > 998 {
				t.Errorf("a line of %d octets", len(line))
			}
		}
		if diff := cmp.Diff([]string{"Return-Path", "Delivered-To", "Received", "Subject"}, names); diff != "" {
			t.Errorf("fields (-want +got):\n%s", diff)
		}
	}
}

func TestAnAccountGetsAMessageOnce(t *testing.T) {
	o := newOffice(t)
	results := o.Deliver(t.Context(), &delivery.Envelope{
		Recipients: []string{"nobody@office.example", "info@office.example", "anna@office.example", "anna@office.example"},
	}, strings.NewReader("Subject: a\r\n\r\n"))
	var got []delivery.Reason
	var places []int
	for _, r := range results {
		got, places = append(got, delivery.ReasonOf(r.Err)), append(places, len(r.Places))
	}
	if diff := cmp.Diff([]delivery.Reason{delivery.UnknownRecipient, "", "", ""}, got); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{0, 2, 1, 1}, places); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
	for _, who := range []string{"anna@office.example", "ben@office.example"} {
		all := o.mail(t, who, "INBOX")
		if len(all) != 1 || !strings.Contains(all[0].Body, "for <info@office.example>;") || !strings.Contains(all[0].Body, "Delivered-To: "+who+"\r\n") {
			t.Errorf("%s has %+v", who, all)
		}
	}
}

func TestWhatCannotBeDelivered(t *testing.T) {
	cut := errors.New("connection lost")
	for name, tc := range map[string]struct {
		body    io.Reader
		to      string
		mailbox string
		want    delivery.Reason
	}{
		"too big":              {body: strings.NewReader(strings.Repeat("x", maxMessage+1)), want: delivery.TooBig},
		"cut short":            {body: io.MultiReader(strings.NewReader("Subject: a\r\n\r\nhalf"), failing{cut}), want: delivery.Temporary},
		"bad mailbox":          {body: strings.NewReader("a"), mailbox: "a//b", want: delivery.BadMailbox},
		"over quota":           {body: strings.NewReader("a: b\r\n\r\n"), to: "ben@office.example", want: delivery.OverQuota},
		"been here":            {body: strings.NewReader("Delivered-To: x@y.example\r\ndelivered-to:  <ANNA@office.example>\r\n\r\n"), want: delivery.Loop},
		"been here, LF":        {body: strings.NewReader("a: b\nDelivered-To: anna@office.example\n\nc"), want: delivery.Loop},
		"been everywhere":      {body: strings.NewReader(strings.Repeat("Received: from a\r\n\tby b\r\n", 101) + "\r\n"), want: delivery.Loop},
		"nearly everywhere":    {body: strings.NewReader(strings.Repeat("Received: from a\r\n\tby b\r\n", 100) + "\r\n"), want: delivery.Delivered},
		"been here, says body": {body: strings.NewReader("a: b\r\n\r\nDelivered-To: anna@office.example\r\n"), want: delivery.Delivered},
		"another's":            {body: strings.NewReader("Delivered-To: ben@office.example\r\n\r\n"), want: delivery.Delivered},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			if err := o.dir.SetQuota(t.Context(), "ben@office.example", 5); err != nil {
				t.Fatal(err)
			}
			if tc.to == "" {
				tc.to = "anna@office.example"
			}
			results := o.Deliver(t.Context(), &delivery.Envelope{Recipients: []string{tc.to}, Mailbox: tc.mailbox}, tc.body)
			if got := delivery.ReasonOf(results[0].Err); got != tc.want {
				t.Errorf("reason %q, want %q (%v)", got, tc.want, results[0].Err)
			}
			wantMail := 0
			if tc.want == delivery.Delivered {
				wantMail = 1
			}
			if got := len(o.mail(t, tc.to, "INBOX")); got != wantMail {
				t.Errorf("%d messages, want %d", got, wantMail)
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestFiledMailIsLeftAsItIs(t *testing.T) {
	o := newOffice(t)
	bodies := []string{
		"Date: Mon, 5 Jan 2026 10:00:00 +0100\r\n\r\none\r\n",
		"Delivered-To: anna@office.example\r\n\r\ntwo",
		"Date: Mon, 5 Jan 2099 10:00:00 +0100\r\n\r\nthree\r\n",
	}
	given := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	var msgs []delivery.Filed
	for i, b := range bodies {
		staged, err := o.Stage(t.Context(), strings.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		defer staged.Close()
		f := delivery.Filed{Body: staged}
		if i == 1 {
			f.Date, f.Flags = given, []imap.Flag{imap.FlagSeen, "$Work"}
		}
		msgs = append(msgs, f)
	}
	for i, r := range o.File(t.Context(), "info@office.example", "Projects/Roof", msgs) {
		if r.Err != nil || len(r.Places) != 2 {
			t.Errorf("message %d: %+v", i, r)
		}
	}
	want := []mail{
		{UID: 1, Date: time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC), Body: bodies[0]},
		{UID: 2, Date: given, Flags: `\Seen $Work`, Body: bodies[1]},
		{UID: 3, Date: now, Body: bodies[2]}, // nobody believes a date so far ahead
	}
	for _, who := range []string{"anna@office.example", "ben@office.example"} {
		if diff := cmp.Diff(want, o.mail(t, who, "Projects/Roof")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", who, diff)
		}
	}
}

func TestFilingTakesWhatFits(t *testing.T) {
	o := newOffice(t)
	if err := o.dir.SetQuota(t.Context(), "anna@office.example", 100); err != nil {
		t.Fatal(err)
	}
	var msgs []delivery.Filed
	for _, n := range []int{60, 80, 30} {
		staged, err := o.Stage(t.Context(), strings.NewReader(strings.Repeat("x", n)))
		if err != nil {
			t.Fatal(err)
		}
		defer staged.Close()
		msgs = append(msgs, delivery.Filed{Body: staged})
	}
	var got []delivery.Reason
	for _, r := range o.File(t.Context(), "anna@office.example", "", msgs) {
		got = append(got, delivery.ReasonOf(r.Err))
	}
	if diff := cmp.Diff([]delivery.Reason{"", delivery.OverQuota, ""}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAMessageOverTheLimitIsToldTheLimit(t *testing.T) {
	o := newOffice(t)
	large := strings.Repeat("x", maxMessage+1)
	_, err := o.Stage(t.Context(), strings.NewReader(large))
	want := "the message is larger than allowed: the limit is "
	if delivery.ReasonOf(err) != delivery.TooBig || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("filed: %v", err)
	}
	r := o.Deliver(t.Context(), &delivery.Envelope{Recipients: []string{"anna@office.example"}}, strings.NewReader(large))
	if got := r[0].Err; delivery.ReasonOf(got) != delivery.TooBig || !strings.HasPrefix(got.Error(), want) {
		t.Errorf("delivered: %v", got)
	}
}

func TestManyDeliveriesAtOnce(t *testing.T) {
	o := newOffice(t)
	const senders, each = 8, 10
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				env := &delivery.Envelope{Recipients: []string{"info@office.example"}, Mailbox: "New/Box"}
				r := o.Deliver(t.Context(), env, strings.NewReader(fmt.Sprintf("Subject: %d.%d\r\n\r\n", s, i)))
				if r[0].Err != nil {
					t.Error(r[0].Err)
				}
			}
		})
	}
	wg.Wait()
	for _, who := range []string{"anna@office.example", "ben@office.example"} {
		if n := len(o.mail(t, who, "New/Box")); n != senders*each {
			t.Errorf("%s has %d messages, want %d", who, n, senders*each)
		}
	}
}

func TestReasons(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want delivery.Reason
	}{
		"none":                  {nil, delivery.Delivered},
		"wrapped":               {fmt.Errorf("append: %w", storage.ErrOverQuota), delivery.OverQuota},
		"disk full":             {storage.ErrDiskFull, delivery.DiskFull},
		"unknown":               {errors.New("x"), delivery.Temporary},
		"final and final":       {errors.Join(storage.ErrOverQuota, delivery.ErrLoop), delivery.OverQuota},
		"final, then passing":   {errors.Join(storage.ErrOverQuota, storage.ErrDiskFull), delivery.DiskFull},
		"passing, then final":   {errors.Join(errors.New("x"), storage.ErrTooBig), delivery.Temporary},
		"joined more than once": {errors.Join(errors.Join(nil, delivery.ErrLoop), storage.ErrClosed), delivery.Temporary},
	} {
		if got := delivery.ReasonOf(tc.err); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func FuzzArrivingMail(f *testing.F) {
	f.Add("bob@example.org", "client.example", "Subject: a\r\n\r\nb\r\n")
	f.Add("", "[192.0.2.1]", "Delivered-To: anna@office.example\n\n")
	f.Add("a\r\nb: c", "\xff", "Received: x\r\nReceived : y\r\n\tz")
	o := newOffice(f)
	f.Fuzz(func(t *testing.T, from, helo, body string) {
		r := o.Deliver(t.Context(), &delivery.Envelope{
			From: from, Helo: helo, Recipients: []string{"anna@office.example"},
		}, strings.NewReader(body))[0]
		if reason := delivery.ReasonOf(r.Err); reason == delivery.Loop {
			return
		} else if reason != delivery.Delivered {
			t.Fatal(r.Err)
		}
		got := o.mailFrom(t, "anna@office.example", "INBOX", r.Places[0].UID)[0].Body
		prefix, ok := strings.CutSuffix(got, body)
		if !ok {
			t.Fatalf("stored %q, sent %q", got, body)
		}
		if lines := strings.Split(prefix, "\r\n"); len(lines) < 6 || len(lines) > 7 || strings.Count(prefix, "\n") != len(lines)-1 {
			t.Errorf("prefix %q", prefix)
		}
	})
}
