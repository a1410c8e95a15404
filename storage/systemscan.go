package storage

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"pillarbox/storage/pages"
)

// maxSections bounds the names that a damaged file can make a repair try.
const maxSections = 1000

// origin tells where a repair has a record from.
type origin int

const (
	inPlace  origin = iota
	fromOld         // a page that is not in use
	fromCopy        // system.bak
)

// systemFound is a record of a damaged system database.
type systemFound struct {
	value []byte
	stamp uint64 // with passing
	from  origin
}

func (f *systemFound) age() uint64 { return f.stamp &^ passing }

// keyRange is from low on, below high; nil means any.
type keyRange struct{ low, high []byte }

func (r keyRange) has(k []byte) bool {
	return (r.low == nil || bytes.Compare(k, r.low) >= 0) && (r.high == nil || bytes.Compare(k, r.high) < 0)
}

// systemScan reads what is left of a system database. Of two versions of a
// record the one with the higher stamp counts. Where a page is damaged, only
// keys that it can have had are looked for elsewhere; otherwise what is not in
// its place has been deleted. What the copy does not have though it is older
// than the copy has been deleted as well.
type systemScan struct {
	dir    string
	raw    bool      // the file is of format 1, without checksums
	head   *fileHead // of the file, nil if it cannot be read
	format uint32    // that the file says it has
	stamp  uint64    // of the file's newest state
	torn   bool
	lost   bool // nothing could be read in its place
	stale  bool // the file is older than the copy
	copied systemState
	whole  bool // all of the copy could be read
	copies bool // there is a copy

	found map[string]map[string]systemFound
	gaps  map[string][]keyRange // of sections; "" has those of all
	odd   []string
	newer error
}

func scanSystem(ctx context.Context, dir string) (*systemScan, error) {
	s := &systemScan{dir: dir, found: map[string]map[string]systemFound{}, gaps: map[string][]keyRange{}}
	if err := s.all(ctx); err != nil {
		return nil, err
	}
	return s, s.newer
}

func (s *systemScan) all(ctx context.Context) error {
	file, err := pages.Open(filepath.Join(s.dir, systemFile))
	switch {
	case err == nil:
		defer file.Close()
	case errors.Is(err, fs.ErrNotExist):
		file, err = nil, nil
		s.damaged("", keyRange{}, errors.New("the file is missing"))
	case errors.Is(err, pages.ErrDamaged):
		s.damaged("", keyRange{}, err)
	default:
		return err
	}
	rest, names := func(func(k, v []byte)) error { return nil }, map[string]bool{}
	if file != nil && err == nil {
		if rest, err = s.file(ctx, file, names); err != nil {
			return err
		}
	}
	s.lost = len(s.found) == 0
	// The copy, which a newer record has the better of.
	had := map[string]map[string]systemFound{}
	s.copied, err = readSystemCopy(ctx, filepath.Join(s.dir, systemBackup), func(bucket string, k, v []byte) {
		sec, ok := strings.CutPrefix(bucket, sectionPrefix)
		if r, sealed := unseal(sec, k, v); ok && sealed && len(names) < maxSections {
			names[sec] = true
			put(had, sec, k, newFound(r, fromCopy))
		}
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrCorrupt) {
		return err
	}
	s.whole, s.copies = err == nil, !errors.Is(err, fs.ErrNotExist)
	if s.raw {
		return nil // before the first copy
	}
	if s.whole && s.copied.stamp > s.stamp {
		s.stale = !s.lost
		s.gaps[""] = append(s.gaps[""], keyRange{})
	}
	if s.whole && len(s.gaps) > 0 {
		s.forget(had)
	}
	for sec, records := range had {
		for k, r := range records {
			s.fill(sec, []byte(k), r)
		}
	}
	if len(s.gaps) == 0 && !s.torn {
		return nil
	}
	return rest(func(k, v []byte) {
		for sec := range names {
			r, ok := unseal(sec, k, v)
			if !ok {
				continue
			}
			if _, kept := had[sec][string(k)]; !kept && s.whole && r.stamp <= s.copied.stamp {
				return // deleted since
			}
			f := newFound(r, fromOld)
			if s.torn && r.stamp > s.stamp {
				// Of the change whose header is damaged.
				if old, ok := s.found[sec][string(k)]; !ok || r.stamp > old.age() {
					put(s.found, sec, k, f)
				}
				return
			}
			s.fill(sec, k, f)
			return
		}
	})
}

func newFound(r systemRecord, from origin) systemFound {
	f := systemFound{value: bytes.Clone(r.value), stamp: r.stamp, from: from}
	if r.brief {
		f.stamp |= passing
	}
	return f
}

func put(m map[string]map[string]systemFound, sec string, k []byte, f systemFound) {
	if m[sec] == nil {
		m[sec] = map[string]systemFound{}
	}
	m[sec][string(k)] = f
}

// file reads the tree, and returns what reads other pages.
func (s *systemScan) file(ctx context.Context, file *pages.File, names map[string]bool) (rest func(func(k, v []byte)) error, err error) {
	s.torn = file.Torn()
	salvage := file.Salvage(ctx)
	// The format decides how the rest is read, and may come after it.
	tree := func(visit func(bucket string, k, v []byte), damaged func(bucket string, err error)) error {
		return file.Salvage(ctx).Tree(visit, damaged)
	}
	if err := tree(s.meta, func(string, error) {}); err != nil {
		return nil, err
	}
	s.raw = s.format == 1 && s.head == nil
	err = salvage.Tree(func(bucket string, k, v []byte) {
		sec, ok := strings.CutPrefix(bucket, sectionPrefix)
		if !ok {
			return
		}
		low, high := salvage.Bounds()
		r, sealed := unseal(sec, k, v)
		switch {
		case s.raw:
			r = systemRecord{value: v}
		case !sealed:
			s.damaged(sec, keyRange{bytes.Clone(low), bytes.Clone(high)}, fmt.Errorf("record %q is damaged", k))
			return
		}
		if old, ok := s.found[sec][string(k)]; !ok || r.stamp > old.age() {
			put(s.found, sec, k, newFound(r, inPlace))
		}
		s.stamp = max(s.stamp, r.stamp)
	}, func(bucket string, err error) {
		low, high := salvage.Bounds()
		sec, ok := strings.CutPrefix(bucket, sectionPrefix)
		switch {
		case ok:
			s.damaged(sec, keyRange{bytes.Clone(low), bytes.Clone(high)}, err)
		case bucket == string(metaBucket):
			s.odd = append(s.odd, fmt.Sprintf("%s, meta: %v", systemFile, err))
		default:
			s.damaged("", keyRange{}, err)
		}
	})
	if err != nil {
		return nil, err
	}
	s.measure(file.Transaction())
	for sec := range s.found {
		names[sec] = true
	}
	return salvage.Rest, file.Buckets(ctx, func(name string) {
		if sec, ok := strings.CutPrefix(name, sectionPrefix); ok && len(names) < maxSections {
			names[sec] = true
		}
	})
}

// measure compares what was read with what the head says must be there.
func (s *systemScan) measure(tx uint64) {
	if s.raw {
		return
	}
	if s.head == nil {
		s.damaged("", keyRange{}, errors.New("its head is damaged"))
		return
	}
	s.stamp = max(s.stamp, s.head.base+tx)
	have := fileHead{format: s.head.format, base: s.head.base}
	for sec, records := range s.found {
		for k, f := range records {
			r, _ := unseal(sec, []byte(k), seal(sec, []byte(k), f.value, f.stamp))
			have.add(&r)
		}
	}
	if have != *s.head && len(s.gaps) == 0 {
		s.damaged("", keyRange{}, have.differ(*s.head))
	}
}

func (s *systemScan) meta(bucket string, k, v []byte) {
	switch {
	case bucket != string(metaBucket):
	case string(k) == string(headKey):
		if h, ok := decodeHead(v); ok {
			s.head = &h
		}
		if s.head != nil && s.head.format > systemFormat {
			s.newer = ErrNewerFormat
		}
	case string(k) == string(formatKey) && len(v) == 4:
		s.format = binary.BigEndian.Uint32(v)
	}
}

func (s *systemScan) damaged(sec string, where keyRange, err error) {
	at := systemFile + ": "
	if sec != "" {
		at = fmt.Sprintf("%s, section %s: ", systemFile, sec)
	}
	if len(s.odd) < maxSections {
		s.odd = append(s.odd, at+err.Error())
	}
	s.gaps[sec] = append(s.gaps[sec], where)
}

// fill takes a record that is not in its place, where it can have been lost.
func (s *systemScan) fill(sec string, k []byte, f systemFound) {
	old, ok := s.found[sec][string(k)]
	if ok && old.age() >= f.age() {
		return
	}
	in := func(r keyRange) bool { return r.has(k) }
	if len(s.gaps[""]) > 0 || slices.ContainsFunc(s.gaps[sec], in) {
		put(s.found, sec, k, f)
	}
}

// forget drops what the copy, which is newer, does not have: it is of an older
// page in the place of one that is lost.
func (s *systemScan) forget(had map[string]map[string]systemFound) {
	for sec, records := range s.found {
		for k, r := range records {
			if _, ok := had[sec][k]; !ok && r.age() <= s.copied.stamp {
				delete(records, k)
			}
		}
	}
}

// sections lists what was found, sorted.
func (s *systemScan) sections() []string { return slices.Sorted(maps.Keys(s.found)) }
