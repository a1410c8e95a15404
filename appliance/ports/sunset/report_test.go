package sunset_test

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pillarbox/appliance/ports/sunset"
)

// TestAReportTellsEverythingAndCarriesOutNothing: what programs call themselves is
// hostile.
func TestAReportTellsEverythingAndCarriesOutNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		defer func() { o.stop() }()
		planned(t, o)
		o.uses(sunset.Use{
			Contact: sunset.Contact{Account: bob, Port: sunset.Legacy}, Device: "<script>alert(1)</script>\x1b[31m\u202e", Last: o.now(), First: o.now(),
		}, sunset.Use{Contact: sunset.Contact{Account: eve, Port: sunset.Legacy}, Device: "=HYPERLINK(\"x\")", Last: o.now(), First: o.now()})
		must(o.Own(t.Context(), sunset.Ownership{Owner: "the board", Why: "a <b>scanner</b> & a phone", Review: o.now().Add(day)}, "anna"))(t)
		time.Sleep(hour)
		o.comes(ada, sunset.Legacy)
		r := o.Report(t.Context(), "anna")
		var page bytes.Buffer
		if err := r.WriteHTML(&page); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			`<html lang="en">`, "the board", "a &lt;b&gt;scanner&lt;/b&gt; &amp; a phone", "&lt;script&gt;", "ada@office.example", "Runbook", "pilot", "checkpoint", "abc",
			"planned for 2000-01-02", "pillarbox plan rollback leave-990",
		} {
			if !strings.Contains(page.String(), want) {
				t.Errorf("the page does not say %q", want)
			}
		}
		for _, never := range []string{"<script", "\x1b", "\u202e", "http:", "https:", "ZgotmplZ"} {
			if strings.Contains(page.String(), never) {
				t.Errorf("the page has %q", never)
			}
		}
		if got, want := strings.Count(page.String(), "<table>"), strings.Count(page.String(), "<caption>"); got != want {
			t.Errorf("%d tables and %d captions", got, want)
		}
		wellFormed(t, page.String())

		var table bytes.Buffer
		if err := r.WriteCSV(&table); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&table).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		sections := map[string]int{}
		for _, row := range rows {
			sections[row[0]]++
			for _, cell := range row {
				if strings.HasPrefix(cell, "=") {
					t.Errorf("a formula: %q", cell)
				}
			}
		}
		for _, section := range []string{"ownership", "plan", "step", "brown-out", "person", "inventory", "decision", "evidence"} {
			if sections[section] == 0 {
				t.Errorf("no %s in %v", section, sections)
			}
		}
	})
}

// wellFormed finds tags that do not match.
func wellFormed(t *testing.T, page string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(page, "<!doctype html>")))
	d.Entity = xml.HTMLEntity
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("the page: %v", err)
		}
	}
}

func TestTheOwnerIsReminded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := ticking(t, 10*time.Minute)
		defer func() { o.stop() }()
		ctx := t.Context()
		if _, err := o.Own(ctx, sunset.Ownership{Owner: ada}, "anna"); !errors.Is(err, sunset.ErrSpec) {
			t.Errorf("without a reason: %v", err)
		}
		must(o.Own(ctx, sunset.Ownership{Owner: ada, Why: "the scanner in the hall", Review: o.now().Add(10 * day)}, "anna"))(t)
		time.Sleep(9 * day)
		if len(o.mailsOf(ada)) > 0 || o.troubleOf(sunset.ReviewDue) != "" {
			t.Error("reminded too early")
		}
		time.Sleep(2 * day)
		mails := o.mailsOf(ada)
		if len(mails) != 1 || !strings.Contains(mails[0], "the scanner in the hall") || !strings.Contains(o.troubleOf(sunset.ReviewDue), ada) {
			t.Fatalf("mails %q, condition %q", mails, o.troubleOf(sunset.ReviewDue))
		}
		o.crash()
		time.Sleep(5 * day)
		if n := len(o.mailsOf(ada)); n != 1 {
			t.Errorf("%d mails within a week", n)
		}
		time.Sleep(2 * day)
		if n := len(o.mailsOf(ada)); n != 2 {
			t.Errorf("%d mails after a week", n)
		}
		must(o.Own(ctx, sunset.Ownership{Review: o.now().Add(90 * day)}, "bert"))(t)
		time.Sleep(day)
		if o.troubleOf(sunset.ReviewDue) != "" {
			t.Error("the condition stays")
		}
	})
}

// TestAReviewIsOnTheDayThatWasSaid, east of Greenwich too.
func TestAReviewIsOnTheDayThatWasSaid(t *testing.T) {
	zone := time.Local
	time.Local = time.FixedZone("CET", 60*60)
	defer func() { time.Local = zone }()
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		defer func() { o.stop() }()
		review := time.Date(2000, 3, 8, 0, 0, 0, 0, time.Local)
		must(o.Own(t.Context(), sunset.Ownership{Owner: "the board", Why: "the scanners", Review: review}, "anna"))(t)
		r := o.Report(t.Context(), "anna")
		var page, table bytes.Buffer
		if err := errors.Join(r.WriteHTML(&page), r.WriteCSV(&table)); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{page.String(), table.String()} {
			if strings.Count(text, "2000-03-08") != 2 || strings.Contains(text, "2000-03-07") {
				t.Errorf("the day of the review is another:\n%s", text)
			}
		}
	})
}
