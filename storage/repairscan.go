package storage

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage/pages"
)

// findings is what the files of a damaged account still tell of its mail,
// beside the bodies. Records have checksums, so each is either as it was
// written or not here; what is not known is which are missing. Where a bucket
// was read without a fault, its records are all there are. Where not, older
// versions of pages and the backup fill the gaps.
type findings struct {
	index, backup string // files
	from          time.Time
	broken        map[string]bool // buckets that may miss records
	torn          bool            // the last change may be missing
	lost          bool            // nothing of the index could be read in its place

	counters *counters
	boxes    map[MailboxID]*foundBox
	subs     map[string]bool
	garbage  map[DataID]bodyHash
	data     map[DataID]*foundData
	expunged map[DataID]bool // by the last change, where that is torn
	odd      []string        // what is wrong, in words
}

// foundBox is what is known of a mailbox.
type foundBox struct {
	record  *mailboxRecord // nil if lost
	old     bool           // the record is not the newest for certain
	msgs    map[imap.UID]Message
	twins   []Message // with a UID that another message has as well
	covered uidRanges // whose present state is known
	gone    uidRanges // expunged for certain
}

// all iterates over the messages, in no order.
func (b *foundBox) all() iter.Seq[*Message] {
	return func(yield func(*Message) bool) {
		for _, m := range b.msgs {
			if !yield(&m) {
				return
			}
		}
		for i := range b.twins {
			if !yield(&b.twins[i]) {
				return
			}
		}
	}
}

// uidRanges is a set of UIDs that is first filled, then sorted, then searched.
type uidRanges []imap.UIDRange

func (r *uidRanges) sort() {
	slices.SortFunc(*r, func(a, b imap.UIDRange) int { return cmp.Compare(a.Start, b.Start) })
	merged := (*r)[:0]
	for _, x := range *r {
		if n := len(merged); n > 0 && x.Start <= merged[n-1].Stop {
			merged[n-1].Stop = max(merged[n-1].Stop, x.Stop)
			continue
		}
		merged = append(merged, x)
	}
	*r = merged
}

func (r uidRanges) has(uid imap.UID) bool {
	i := sort.Search(len(r), func(i int) bool { return r[i].Start > uid }) - 1
	return i >= 0 && uid <= r[i].Stop
}

// foundData is what is known of the immutable part of a message.
type foundData struct {
	record bool // of dataBucket
	body   bool // of bodiesBucket, with the right hash
	// rebuilt says that the record was made from the body alone.
	rebuilt bool
	inline  bool
	size    int64
	prefix  int64
	hash    bodyHash
	refs    uint64
}

func (f *findings) box(id MailboxID) *foundBox {
	b := f.boxes[id]
	if b == nil {
		b = &foundBox{msgs: map[imap.UID]Message{}}
		f.boxes[id] = b
	}
	return b
}

// anyBroken tells whether one of the buckets may miss records.
func (f *findings) anyBroken(buckets ...[]byte) bool {
	return slices.ContainsFunc(buckets, func(b []byte) bool { return f.broken[string(b)] })
}

// ourBuckets are those of an index; metaBucket holds the counters.
func ourBuckets() [][]byte {
	return [][]byte{
		metaBucket, mailboxesBucket, chunksBucket, vanishedBucket, dataBucket, bodiesBucket, refsBucket, subscriptionsBucket, garbageBucket, notesBucket,
	}
}

// scanner reads findings and hands records of data and bodies on as it goes.
type scanner struct {
	*findings

	keep  func(bucket, k, v []byte) error // into the new index
	sums  map[DataID]bodyHash             // of bodies in the index
	newer error                           // ErrNewerFormat
	err   error                           // of keep
}

func scan(ctx context.Context, dir string, keep func(bucket, k, v []byte) error) (*findings, error) {
	f := &findings{
		index: filepath.Join(dir, indexFile), backup: filepath.Join(dir, backupFile), broken: map[string]bool{},
		boxes: map[MailboxID]*foundBox{}, subs: map[string]bool{}, garbage: map[DataID]bodyHash{}, data: map[DataID]*foundData{}, expunged: map[DataID]bool{},
	}
	if fi, err := os.Stat(f.backup); err == nil {
		f.from = fi.ModTime()
	}
	s := &scanner{findings: f, keep: keep, sums: map[DataID]bodyHash{}}
	err := s.all(ctx)
	return f, errors.Join(err, s.newer, s.err)
}

// all reads the index in its place, then, as far as that was not enough, what
// else there is.
func (s *scanner) all(ctx context.Context) error {
	rest := func(func(k, v []byte)) error { return nil }
	file, err := pages.Open(s.index)
	switch {
	case err == nil:
		defer file.Close()
		s.torn = file.Torn()
		salvage := file.Salvage(ctx)
		if err := salvage.Tree(s.present, s.damaged); err != nil {
			return err
		}
		rest = salvage.Rest
	case errors.Is(err, fs.ErrNotExist):
		s.damaged("", errors.New("the file is missing"))
	case errors.Is(err, pages.ErrDamaged):
		s.damaged("", err)
	default:
		return err
	}
	if s.counters == nil {
		s.broken[string(metaBucket)] = true
	}
	s.lost = len(s.boxes) == 0 && len(s.data) == 0
	if s.torn && s.counters != nil {
		if err := s.tornChange(rest); err != nil {
			return err
		}
	}
	s.miss()
	backup := func(visit func(bucket string, k, v []byte)) error {
		err := readBackup(ctx, s.backup, backupMagic, visit)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrCorrupt) {
			return nil
		}
		return err
	}
	if s.anyBroken(metaBucket, mailboxesBucket, chunksBucket, subscriptionsBucket) {
		for _, b := range s.boxes {
			b.covered.sort()
		}
		if err := errors.Join(rest(s.past), backup(func(bucket string, k, v []byte) {
			s.past(k, v)
			if bucket == string(subscriptionsBucket) && s.anyBroken(subscriptionsBucket) {
				s.subs[string(k)] = true
			}
		})); err != nil {
			return err
		}
		s.settle()
	}
	s.count()
	s.match()
	if s.anyBroken(dataBucket) {
		if err := errors.Join(rest(s.pastData), backup(func(_ string, k, v []byte) { s.pastData(k, v) })); err != nil {
			return err
		}
		s.match()
	}
	if s.anyBroken(dataBucket, bodiesBucket) {
		return errors.Join(rest(s.pastBody), backup(func(_ string, k, v []byte) { s.pastBody(k, v) }))
	}
	return nil
}

// miss finds that records must be missing though every page is whole.
func (s *scanner) miss() {
	for _, b := range s.boxes {
		switch n := len(b.msgs) + len(b.twins); {
		case b.record == nil && n > 0:
			s.broken[string(mailboxesBucket)] = true
		case b.record != nil && n < int(b.record.NumMessages):
			s.broken[string(chunksBucket)] = true
		}
	}
}

func (s *scanner) damaged(bucket string, err error) {
	where := "index: "
	if bucket != "" {
		where = fmt.Sprintf("index, %s: ", bucket)
	}
	if len(s.odd) < 1000 {
		s.odd = append(s.odd, where+err.Error())
	}
	if bucket == "" {
		for _, b := range ourBuckets() {
			s.broken[string(b)] = true
		}
	}
	s.broken[bucket] = true
}

// present takes a record that is in its place.
func (s *scanner) present(bucket string, k, v []byte) {
	fail := func(err error) { s.damaged(bucket, err) }
	switch bucket {
	case string(metaBucket):
		s.meta(k, v, fail)
	case string(mailboxesBucket):
		id, ok := keyMailbox(k)
		r, err := decodeMailbox(id, v)
		if err != nil || !ok {
			fail(errors.Join(err, ErrCorrupt))
			return
		}
		s.box(id).record = r
	case string(chunksBucket):
		s.chunk(k, v, fail)
	case string(vanishedBucket):
		s.trace(k, v)
	case string(dataBucket):
		id, ok := keyData(k)
		if !ok || !s.dataRecord(id, k, v) {
			fail(fmt.Errorf("the parsed data %x cannot be read", k))
		}
	case string(bodiesBucket):
		if id, ok := keyData(k); ok {
			s.sums[id] = sumOf(v)
			s.keepRecord(bodiesBucket, k, v)
		}
	case string(subscriptionsBucket):
		s.subs[string(k)] = true
	case string(notesBucket):
		if d := summed(v); !d.bad {
			s.keepRecord(notesBucket, k, v)
		} else {
			fail(fmt.Errorf("the note %x cannot be read", k))
		}
	case string(garbageBucket):
		if len(k) == 8+len(bodyHash{}) {
			s.garbage[DataID(binary.BigEndian.Uint64(k))] = bodyHash(k[8:])
		}
	}
}

func (s *scanner) meta(k, v []byte, fail func(error)) {
	switch string(k) {
	case string(headKey):
		if h, ok := decodeHead(v); ok && h.format > formatVersion {
			s.newer = ErrNewerFormat
		}
	case string(countersKey):
		c, err := decodeCounters(v)
		if err != nil {
			fail(err)
			return
		}
		s.counters = &c
	}
}

func (s *scanner) chunk(k, v []byte, fail func(error)) {
	id, base, ok := keyChunk(k)
	if !ok {
		fail(fmt.Errorf("messages with the key %x", k))
		return
	}
	ch, err := decodeChunk(base, v)
	if err != nil {
		fail(err)
		return
	}
	b := s.box(id)
	for _, m := range ch.msgs {
		b.add(m)
	}
	if n := len(ch.msgs); n > 0 {
		b.covered = append(b.covered, imap.UIDRange{Start: base, Stop: ch.msgs[n-1].UID})
	}
}

// add takes a message; of two versions of one, the newer counts.
func (b *foundBox) add(m Message) {
	had, ok := b.msgs[m.UID]
	switch {
	case !ok || had.Data == m.Data && m.ModSeq > had.ModSeq:
		b.msgs[m.UID] = m
	case had.Data != m.Data:
		b.twins = append(b.twins, m)
	}
}

func (s *scanner) trace(k, v []byte) {
	if _, ok := keyModSeq(k); !ok {
		return
	}
	b := s.box(MailboxID(binary.BigEndian.Uint32(k)))
	if uids, err := decodeTrace(v, nil); err == nil {
		b.gone = append(b.gone, uids...)
	}
}

func (s *scanner) dataRecord(id DataID, k, v []byte) bool {
	var r dataRecord
	if decodeData(id, v, &r) != nil {
		return false
	}
	d := s.data[id]
	if d == nil {
		d = &foundData{}
		s.data[id] = d
	}
	d.record, d.inline, d.size, d.prefix, d.hash = true, r.inline, r.BodySize, int64(len(r.Prefix)), r.hash
	s.keepRecord(dataBucket, k, v)
	return true
}

func (s *scanner) keepRecord(bucket, k, v []byte) {
	if s.err == nil {
		s.err = s.keep(bucket, k, v)
	}
}

// past takes a record of the mailboxes that is not in its place, where it
// fills a gap. Which kind it is of shows in its key.
func (s *scanner) past(k, v []byte) {
	switch {
	case string(k) == string(countersKey):
		if c, err := decodeCounters(v); err == nil && s.anyBroken(metaBucket) && (s.counters == nil || c.modSeq > s.counters.modSeq) {
			s.counters = &c
		}
	case len(k) == 4 && s.anyBroken(mailboxesBucket):
		id, _ := keyMailbox(k)
		r, err := decodeMailbox(id, v)
		if err != nil {
			return
		}
		b := s.box(id)
		if b.record == nil || b.old && r.HighestModSeq > b.record.HighestModSeq {
			b.record, b.old = r, true
		}
	case len(k) == 12 && s.anyBroken(vanishedBucket):
		s.trace(k, v)
	case s.anyBroken(chunksBucket):
		id, base, ok := keyChunk(k)
		if !ok {
			return
		}
		if ch, err := decodeChunk(base, v); err == nil {
			s.pastMessages(id, ch)
		}
	}
}

// pastMessages takes messages of an older version of a chunk, unless newer
// ones tell of their UIDs.
func (s *scanner) pastMessages(id MailboxID, ch *chunk) {
	if s.boxes[id] == nil && !s.anyBroken(mailboxesBucket) {
		return // the mailbox was deleted
	}
	b := s.box(id)
	for _, m := range ch.msgs {
		if had, ok := b.msgs[m.UID]; !b.covered.has(m.UID) && (!ok || m.ModSeq > had.ModSeq) {
			b.msgs[m.UID] = m
		}
	}
}

// settle drops messages and mailboxes that older records tell of and newer
// ones know to be gone.
func (s *scanner) settle() {
	for id, b := range s.boxes {
		if b.record == nil && len(b.msgs) == 0 {
			delete(s.boxes, id) // only traces are left of it
			continue
		}
		b.gone.sort()
		for uid := range b.msgs {
			if !b.covered.has(uid) && (b.gone.has(uid) || b.record != nil && !b.old && uid >= b.record.UIDNext) {
				delete(b.msgs, uid)
			}
		}
	}
}

// count counts the messages of each data record.
func (s *scanner) count() {
	for _, b := range s.boxes {
		for m := range b.all() {
			d := s.data[m.Data]
			if d == nil {
				d = &foundData{}
				s.data[m.Data] = d
			}
			d.refs++
		}
	}
}

// match finds which bodies in the index are as their records say.
func (s *scanner) match() {
	for id, d := range s.data {
		sum, ok := s.sums[id]
		d.body = ok && d.record && d.inline && sum == d.hash
		if !d.record {
			s.broken[string(dataBucket)] = true
		} else if d.inline && !d.body {
			s.broken[string(bodiesBucket)] = true
		}
	}
}

// pastData takes parsed data that messages still want.
func (s *scanner) pastData(k, v []byte) {
	if id, ok := keyData(k); ok {
		if d := s.data[id]; d != nil && d.refs > 0 && !d.record {
			s.dataRecord(id, k, v)
		}
	}
}

// pastBody takes small bodies that are still wanted.
func (s *scanner) pastBody(k, v []byte) {
	if id, ok := keyData(k); ok {
		d := s.data[id]
		if d != nil && d.record && d.inline && !d.body && int64(len(v)) == d.size && sumOf(v) == d.hash {
			d.body = true
			s.keepRecord(bodiesBucket, k, v)
		}
	}
}

func sumOf(b []byte) bodyHash { return sha256.Sum256(b) }

func keyData(k []byte) (DataID, bool) {
	if len(k) != 8 {
		return 0, false
	}
	return DataID(binary.BigEndian.Uint64(k)), true
}

// keyChunk decodes the key of a chunk, which that of data is not: it begins
// with a mailbox, and there are fewer than 2³² of data.
func keyChunk(k []byte) (MailboxID, imap.UID, bool) {
	if len(k) != 8 {
		return 0, 0, false
	}
	id := MailboxID(binary.BigEndian.Uint32(k))
	return id, imap.UID(binary.BigEndian.Uint32(k[4:])), id != 0
}
