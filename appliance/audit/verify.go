package audit

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"pillarbox/storage/ledger"
)

// maxFindings is how many findings a Report names; more are only counted.
const maxFindings = 100

// What names the kind of a Finding.
type What string

// The kinds of finding.
const (
	Unreadable       What = "unreadable"        // octets that are no record
	Altered          What = "altered"           // a record is not the one that the next was written after
	Missing          What = "missing"           // records between two others
	OutOfOrder       What = "out-of-order"      // a record stands where it was not written
	BeginningRemoved What = "beginning-removed" // without retention's signature
	Truncated        What = "truncated"         // the end, which a checkpoint names
	Rewritten        What = "rewritten"         // a checkpoint names another record
	ForeignKey       What = "foreign-key"       // signed with another key than the box's
	NoCheckpoint     What = "no-checkpoint"     // the newest one is gone or cannot be read
	Recorded         What = "recorded"          // the box itself found damage and recorded it
)

// Finding is something that is wrong, and where.
type Finding struct {
	What   What   `json:"what"`
	Book   Book   `json:"book,omitempty"`
	File   string `json:"file,omitempty"`
	Offset int64  `json:"offset,omitempty"`
	Seq    uint64 `json:"seq,omitempty"` // of the record
	Text   string `json:"text"`
}

// Span is what was read of a book.
type Span struct {
	Book    Book      `json:"book"`
	Records int       `json:"records"`
	First   uint64    `json:"first"` // number; above 1 retention removed those before
	Last    uint64    `json:"last"`
	Oldest  time.Time `json:"oldest,omitzero"`
	After   uint64    `json:"after"` // records that are newer than the newest checkpoint
}

// Report is what Verify found.
type Report struct {
	Books      []Span      `json:"books"`
	Findings   []Finding   `json:"findings"`
	More       int         `json:"more"`                 // findings that are not named
	Notes      []Finding   `json:"notes"`                // what is no fault, such as an end that a power cut tore
	Checkpoint *Checkpoint `json:"checkpoint,omitempty"` // the newest on the disk
}

func (r *Report) found(f Finding) {
	if len(r.Findings) >= maxFindings {
		r.More++
		return
	}
	r.Findings = append(r.Findings, f)
}

// Verify reads everything and compares it with the newest checkpoint on the
// disk, and with those that somebody kept.
func (l *Log) Verify(ctx context.Context, kept ...*Checkpoint) (*Report, error) {
	report := &Report{Books: []Span{}, Findings: []Finding{}, Notes: []Finding{}}
	if err := l.ready(); err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	if err := l.Flush(); err != nil { // a full disk must not keep anybody from looking
		report.Notes = append(report.Notes, Finding{Text: fmt.Sprintf("what was counted last could not be written, and is not looked at: %v", err)})
	}
	key := l.signer().Public().(ed25519.PublicKey)
	mark, damage, err := l.readMark()
	switch {
	case err != nil:
		return nil, fmt.Errorf("verify: %w", err)
	case mark == nil:
		report.found(Finding{What: NoCheckpoint, File: markFile, Text: "the newest checkpoint is gone or cannot be read " + damage})
	case !key.Equal(mark.Key):
		report.found(Finding{What: ForeignKey, File: markFile, Text: "the newest checkpoint is signed with another key than the box's"})
	}
	report.Checkpoint = mark
	var compare []claim
	if mark != nil {
		compare = append(compare, claim{mark, "the newest checkpoint (" + mark.Time.Format(time.RFC3339) + ")"})
	}
	for _, c := range kept {
		compare = append(compare, claim{c, "the kept checkpoint of " + c.Time.Format(time.RFC3339)})
		if !key.Equal(c.Key) {
			report.found(Finding{What: ForeignKey, Text: "the kept checkpoint of " + c.Time.Format(time.RFC3339) + " is signed with another key than the box's"})
		}
	}
	for _, b := range []*book{l.acts, l.access} {
		w := walker{book: b, report: report, key: key, claims: compare, hashes: map[uint64]Hash{}}
		if err := w.run(ctx); err != nil {
			return nil, fmt.Errorf("verify: %w", err)
		}
	}

	return report, nil
}

// claim is a checkpoint with what it is called.
type claim struct {
	*Checkpoint
	name string
}

// walker goes through one book.
type walker struct {
	book   *book
	report *Report
	key    ed25519.PublicKey
	claims []claim
	hashes map[uint64]Hash // of the records that a claim names; zero until seen

	span    Span
	first   Record
	last    Head // of the record before
	file    string
	place   int64 // of the record before
	anchors []Head
}

func (w *walker) run(ctx context.Context) error {
	w.book.files.RLock()
	defer w.book.files.RUnlock()
	segments, _, err := w.book.snapshot()
	if err != nil {
		return err
	}
	w.span.Book = w.book.name
	for _, c := range w.claims {
		w.hashes[c.head(w.book.name).Seq] = Hash{}
	}
	for i, s := range segments {
		if err := ctx.Err(); err != nil {
			return err
		}
		if i > 0 && s.Number != segments[i-1].Number+1 {
			w.found(Finding{What: Missing, File: s.Name(), Text: fmt.Sprintf("files between %s and this one are gone", segments[i-1].Name())})
		}
		err := w.book.read(s,
			func(offset int64, data []byte) { w.entry(s.Name(), offset, data) },
			func(g ledger.Gap) {
				w.found(Finding{What: Unreadable, File: s.Name(), Offset: g.Offset, Text: fmt.Sprintf("%d octets cannot be read", g.Size)})
			})
		if err != nil {
			return err
		}
	}
	// What was found at the opening, and is recorded with what comes next.
	for _, e := range w.book.toldOf() {
		w.special(Record{Kind: e.Kind, Time: time.Now(), Values: e.values()}, Finding{})
	}
	w.beginning()
	for _, c := range w.claims {
		w.compare(c)
	}
	w.report.Books = append(w.report.Books, w.span)

	return nil
}

func (w *walker) found(f Finding) {
	f.Book = w.book.name
	w.report.found(f)
}

// entry looks at one record.
func (w *walker) entry(file string, offset int64, data []byte) {
	here := Finding{File: file, Offset: offset}
	r, err := DecodeRecord(data)
	if err != nil {
		here.What, here.Text = Unreadable, "what stands here is no record that this version knows"
		w.found(here)
		w.last = Head{Seq: w.last.Seq + 1, Hash: HashOf(data)} // the next one tells whether it was one
		w.file, w.place = file, offset
		return
	}
	here.Seq = r.Seq
	switch {
	case w.span.Records == 0:
		w.first, w.span.First, w.span.Oldest = r, r.Seq, r.Time
	case r.Seq == w.last.Seq+1 && r.Prev != w.last.Hash:
		w.found(Finding{
			What: Altered, File: w.file, Offset: w.place, Seq: w.last.Seq,
			Text: fmt.Sprintf("record %d is not the one after which record %d was written", w.last.Seq, r.Seq),
		})
	case r.Seq == w.last.Seq+2:
		here.What, here.Text = Missing, fmt.Sprintf("record %d is missing before this one", r.Seq-1)
		w.found(here)
	case r.Seq > w.last.Seq+2:
		here.What, here.Text = Missing, fmt.Sprintf("records %d to %d are missing before this one", w.last.Seq+1, r.Seq-1)
		w.found(here)
	case r.Seq <= w.last.Seq:
		here.What, here.Text = OutOfOrder, fmt.Sprintf("record %d stands behind record %d", r.Seq, w.last.Seq)
		w.found(here)
	}
	hash := HashOf(data)
	if _, wanted := w.hashes[r.Seq]; wanted {
		w.hashes[r.Seq] = hash
	}
	w.special(r, here)
	w.span.Records++
	w.span.Last = max(w.span.Last, r.Seq)
	w.last, w.file, w.place = Head{Seq: r.Seq, Hash: hash}, file, offset
}

// special looks at what the record says of itself.
func (w *walker) special(r Record, here Finding) {
	switch r.Kind {
	case AuditRetention:
		if through, ok := w.anchor(&r); ok {
			w.anchors = append(w.anchors, through)
			break
		}
		here.What, here.Text = ForeignKey, "the removal of old records is not signed with the box's key"
		w.found(here)
	case AuditTorn:
		here.Text = fmt.Sprintf("the end of %s was torn on %s, as a power cut does: %s octets of a record that was not acknowledged, or that is newer than the checkpoint before it",
			r.Values["file"], r.Time.Format(time.RFC3339), r.Values["octets"])
		here.Book = w.book.name
		w.report.Notes = append(w.report.Notes, here)
	case AuditDamaged:
		here.What = Recorded
		here.Text = fmt.Sprintf("on %s the box recorded damage: %s %s", r.Time.Format(time.RFC3339), r.Values["file"], r.Values["text"])
		w.found(here)
	case AuditKey:
		if text := r.Values["text"]; text != "" {
			here.What, here.Text = ForeignKey, "a new key was made: "+text
			w.found(here)
		}
	}
}

// anchor reads and checks what retention signed.
func (w *walker) anchor(r *Record) (Head, bool) {
	var h Head
	seq, err := strconv.ParseUint(r.Values["through"], 10, 64)
	if err != nil || h.Hash.UnmarshalText([]byte(r.Values["hash"])) != nil {
		return Head{}, false
	}
	h.Seq = seq
	sig, err := base64.StdEncoding.DecodeString(r.Values["signature"])

	return h, err == nil && ed25519.Verify(w.key, anchorStatement(w.book.name, h), sig)
}

// beginning looks at what stands before the first record.
func (w *walker) beginning() {
	if w.span.Records == 0 {
		return
	}
	before := Head{Seq: w.first.Seq - 1, Hash: w.first.Prev}
	if before == (Head{}) {
		return
	}
	for _, a := range w.anchors {
		if a == before {
			return
		}
	}
	f := Finding{What: BeginningRemoved, Seq: w.first.Seq}
	switch before.Seq {
	case 0:
		f.Text = "the first record was written after another one, which is gone"
	default:
		f.Text = fmt.Sprintf("the book begins with record %d, and retention did not sign the removal of those before it", w.first.Seq)
	}
	w.found(f)
}

// compare holds a checkpoint against the book.
func (w *walker) compare(c claim) {
	want := c.head(w.book.name)
	newest := w.report.Checkpoint != nil && c.Checkpoint == w.report.Checkpoint
	if newest && w.span.Last >= want.Seq {
		w.span.After = w.span.Last - want.Seq
	}
	f := Finding{Seq: want.Seq}
	switch have := w.hashes[want.Seq]; {
	case want.Seq == 0 || have == want.Hash:
		return
	case want.Seq > w.span.Last:
		f.What = Truncated
		f.Text = fmt.Sprintf("the book ends with record %d, but %s names record %d", w.span.Last, c.name, want.Seq)
	case have != (Hash{}):
		f.What = Rewritten
		f.Text = fmt.Sprintf("record %d is not the one that %s names: it or records before it were rewritten", want.Seq, c.name)
	case want.Seq+1 == w.span.First && w.first.Prev == want.Hash:
		return // the last that retention removed
	case want.Seq < w.span.First:
		f.Book = w.book.name
		f.Text = fmt.Sprintf("%s names record %d, which retention has removed: it proves nothing here any more", c.name, want.Seq)
		w.report.Notes = append(w.report.Notes, f)
		return
	default:
		f.What = Missing
		f.Text = fmt.Sprintf("record %d, which %s names, is missing", want.Seq, c.name)
	}
	w.found(f)
}
