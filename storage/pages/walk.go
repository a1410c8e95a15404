package pages

import (
	"bytes"
	"context"
	"fmt"
	"slices"
)

// maxDepth bounds the height of a tree; 64 levels hold more than any disk.
const maxDepth = 64

// Report tells what the pages of a file are.
type Report struct {
	PageSize int
	Pages    int // in use or free, with the headers
	Used     int // that hold keys and values
	Free     int
	Leaked   int  // neither in use nor free: space lost, no harm
	Torn     bool // one of the two headers is damaged, so the last change may be missing
}

// Check walks the newest state of the tree and the list of free pages.
// ErrDamaged where anything is not as bbolt needs it.
func (f *File) Check(ctx context.Context) (Report, error) {
	if len(f.metas) == 0 {
		return Report{}, errNoHeader
	}
	return f.check(ctx, &f.metas[0])
}

var errNoHeader = fmt.Errorf("it has no valid header: %w", ErrDamaged)

// CheckAt is Check for the state of one transaction, which a reader must hold.
func (f *File) CheckAt(ctx context.Context, tx uint64) (Report, error) {
	for i := range f.metas {
		if f.metas[i].tx == tx {
			return f.check(ctx, &f.metas[i])
		}
	}
	return Report{}, ErrGone
}

func (f *File) check(ctx context.Context, m *meta) (Report, error) {
	w := newWalker(ctx, f, m)
	err := w.complete()
	if err == nil {
		err = w.root()
	}
	if err == nil {
		w.used = w.marked
		err = w.freeList()
	}
	r := Report{
		PageSize: f.pageSize, Pages: int(min(m.pages, uint64(len(f.b)/f.pageSize))), Used: w.used, Free: w.free,
		Torn: f.torn,
	}
	r.Leaked = r.Pages - firstPage - w.marked
	return r, err
}

// walker visits pages, each at most once.
type walker struct {
	ctx    context.Context
	f      *File
	m      *meta
	end    uint64 // first page number that is not in use
	seen   []uint64
	marked int // pages in seen
	used   int
	free   int

	// visit is called with each key and value of a bucket; it may be nil.
	visit func(bucket string, key, value []byte)
	// damaged is called with each fault; nil ends the walk at the first.
	damaged func(bucket string, err error)

	low, high []byte // the keys that the page being read may have; nil: any
}

func newWalker(ctx context.Context, f *File, m *meta) *walker {
	n := uint64(len(f.b) / f.pageSize)
	return &walker{ctx: ctx, f: f, m: m, end: min(m.pages, n), seen: make([]uint64, n/64+1)}
}

// fault reports what is wrong, and returns it where that ends the walk.
func (w *walker) fault(bucket, format string, args ...any) error {
	err := fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrDamaged)
	if w.damaged == nil {
		return err
	}
	w.damaged(bucket, err)
	return nil
}

func (w *walker) has(id uint64) bool { return w.seen[id/64]&(1<<(id%64)) != 0 }

func (w *walker) mark(id uint64) {
	w.seen[id/64] |= 1 << (id % 64)
	w.marked++
}

// take returns a page with all its overflow, marked as visited, or why it cannot.
func (w *walker) take(id uint64) (page, error) {
	if err := w.ctx.Err(); err != nil {
		return nil, err
	}
	if id < firstPage || id >= w.end {
		return nil, fmt.Errorf("there is no page %d: %w", id, ErrDamaged)
	}
	size := uint64(w.f.pageSize)
	head := w.f.b[id*size:][:headerSize]
	if !readable(head) {
		return nil, fmt.Errorf("page %d cannot be read: %w", id, ErrDamaged)
	}
	if u64(head) != id {
		return nil, fmt.Errorf("page %d says it is %d: %w", id, u64(head), ErrDamaged)
	}
	n := uint64(u32(head[12:])) + 1
	if n > w.end-id {
		return nil, fmt.Errorf("page %d is too long: %w", id, ErrDamaged)
	}
	for i := id; i < id+n; i++ {
		if w.has(i) {
			return nil, fmt.Errorf("page %d is used twice: %w", i, ErrDamaged)
		}
	}
	p := page(w.f.b[id*size : (id+n)*size : (id+n)*size])
	if !readable(p) {
		return nil, fmt.Errorf("page %d cannot be read: %w", id, ErrDamaged)
	}
	for i := id; i < id+n; i++ {
		w.mark(i)
	}
	return p, nil
}

// page is a page with its overflow, or the one that lies in a bucket's value.
type page []byte

func (p page) id() uint64   { return u64(p) }
func (p page) kind() uint16 { return u16(p[8:]) }
func (p page) count() int   { return int(u16(p[10:])) }

// fits tells whether the elements lie within the page.
func (p page) fits() bool { return headerSize+p.count()*elementSize <= len(p) }

func (p page) element(i int) []byte { return p[headerSize+i*elementSize:] }

// part returns n octets at a position that counts from element i.
func (p page) part(i int, position, n uint64) []byte {
	start := uint64(headerSize+i*elementSize) + position
	if start < uint64(headerSize+p.count()*elementSize) || start > uint64(len(p)) || n > uint64(len(p))-start {
		return nil
	}
	return p[start : start+n : start+n]
}

// branch returns an element of a branch page; no key where it is damaged.
func (p page) branch(i int) (key []byte, child uint64) {
	e := p.element(i)
	return p.part(i, uint64(u32(e)), uint64(u32(e[4:]))), u64(e[8:])
}

// leaf returns an element of a leaf page; no key where it is damaged.
func (p page) leaf(i int) (key, value []byte, flags uint32) {
	e := p.element(i)
	k, v := uint64(u32(e[8:])), uint64(u32(e[12:]))
	b := p.part(i, uint64(u32(e[4:])), k+v)
	if uint64(len(b)) != k+v || b == nil {
		return nil, nil, 0
	}
	return b[:k:k], b[k:], u32(e)
}

// complete finds that the file was cut short.
func (w *walker) complete() error {
	if w.m.pages > w.end {
		return w.fault("", "it has %d pages instead of %d", w.end, w.m.pages)
	}
	return nil
}

func (w *walker) root() error {
	return w.tree("", w.m.root, nil, nil, 0)
}

// tree walks a tree whose keys must be at least low and below high (nil: any).
func (w *walker) tree(bucket string, id uint64, low, high []byte, depth int) error {
	if depth > maxDepth {
		return w.fault(bucket, "page %d lies too deep", id)
	}
	defer func(low, high []byte) { w.low, w.high = low, high }(w.low, w.high)
	w.low, w.high = low, high
	p, err := w.take(id)
	if err != nil {
		if w.damaged == nil || w.ctx.Err() != nil {
			return err
		}
		w.damaged(bucket, err)
		return nil
	}
	switch {
	case !p.fits():
		return w.fault(bucket, "page %d has %d elements", id, p.count())
	case p.kind() == leafKind:
		return w.leaf(bucket, p, low, high)
	case p.kind() == branchKind:
		return w.branch(bucket, p, low, high, depth)
	}
	return w.fault(bucket, "page %d is of kind %#x", id, p.kind())
}

func (w *walker) branch(bucket string, p page, low, high []byte, depth int) error {
	if p.count() == 0 {
		return w.fault(bucket, "branch page %d is empty", p.id())
	}
	for i := range p.count() {
		key, child := p.branch(i)
		var next []byte
		if i+1 < p.count() {
			next, _ = p.branch(i + 1)
		} else {
			next = high
		}
		// What lies below a bad key is still worth reading, where anything is.
		if len(key) == 0 || low != nil && bytes.Compare(key, low) < 0 || next != nil && bytes.Compare(key, next) >= 0 {
			if err := w.fault(bucket, "page %d, key %d is out of order", p.id(), i); err != nil {
				return err
			}
			key, next = nil, nil
		}
		if err := w.tree(bucket, child, key, next, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) leaf(bucket string, p page, low, high []byte) error {
	last := low
	for i := range p.count() {
		key, value, flags := p.leaf(i)
		order := bytes.Compare(key, last)
		if len(key) == 0 || last != nil && (order < 0 || order == 0 && i > 0) || high != nil && bytes.Compare(key, high) >= 0 || flags > bucketFlag {
			if err := w.fault(bucket, "page %d, record %d is damaged", p.id(), i); err != nil {
				return err
			}
			if len(key) == 0 || flags > bucketFlag {
				continue
			}
		}
		last = key
		switch {
		case bucket == "" && flags == bucketFlag:
			if err := w.bucket(string(key), value); err != nil {
				return err
			}
		case bucket == "" || flags == bucketFlag:
			// Ours are flat.
			if err := w.fault(bucket, "page %d, record %d is out of place", p.id(), i); err != nil {
				return err
			}
		case w.visit != nil:
			w.visit(bucket, key, value)
		}
	}
	return nil
}

// bucket walks a bucket: its root page's number and a sequence, and, where the
// number is 0, the page itself.
func (w *walker) bucket(name string, value []byte) error {
	if len(value) < headerSize {
		return w.fault(name, "the bucket %q is damaged", name)
	}
	if root := u64(value); root != 0 {
		return w.tree(name, root, nil, nil, 1)
	}
	defer func(low, high []byte) { w.low, w.high = low, high }(w.low, w.high)
	w.low, w.high = nil, nil
	p := page(value[headerSize:])
	if len(p) < headerSize || p.kind() != leafKind || !p.fits() {
		return w.fault(name, "the bucket %q is damaged", name)
	}
	return w.leaf(name, p, nil, nil)
}

// freeList checks that a page is in use or free, not both.
func (w *walker) freeList() error {
	if w.m.free == noFreeList {
		w.free = int(w.end) - firstPage - w.marked
		w.marked += w.free
		return nil
	}
	p, err := w.take(w.m.free)
	if err != nil {
		return fmt.Errorf("list of free pages: %w", err)
	}
	n, list := p.count(), p[headerSize:]
	if n == 0xffff { // the number itself does not fit
		if len(list) < 8 || u64(list) > uint64(len(list)/8-1) {
			return w.fault("", "the list of free pages is too long")
		}
		n, list = int(u64(list)), list[8:]
	}
	if p.kind() != freeKind || n > len(list)/8 {
		return w.fault("", "the list of free pages is damaged")
	}
	for i := range n {
		id := u64(list[i*8:])
		if id < firstPage || id >= w.end || w.has(id) {
			return w.fault("", "page %d cannot be free", id)
		}
		w.mark(id)
	}
	w.free = n
	return nil
}

// Salvage reads whatever can still be read: first the tree below the newest
// header, then records of leaf pages that nothing leads to.
type Salvage struct {
	w *walker
}

// Salvage begins with a file that may be damaged.
func (f *File) Salvage(ctx context.Context) *Salvage {
	m := &meta{}
	if len(f.metas) > 0 {
		m = &f.metas[0]
	}
	return &Salvage{w: newWalker(ctx, f, m)}
}

// Tree calls visit for each record that is in its place, and damaged for each
// fault with the bucket in which it is ("" for one above the buckets). Records
// near a fault may be called in any order and may be wrong themselves.
func (s *Salvage) Tree(visit func(bucket string, key, value []byte), damaged func(bucket string, err error)) error {
	s.w.visit, s.w.damaged = visit, damaged
	if s.w.m.pages == 0 {
		damaged("", errNoHeader)
		return nil
	}
	return s.w.root()
}

// Bounds tells, within the calls of Tree's functions, which keys can be on the
// page that is being read, and so which ones a fault can have taken along: from
// low on, below high; nil means any.
func (s *Salvage) Bounds() (low, high []byte) { return s.w.low, s.w.high }

// Buckets calls visit with the name of each bucket that any page of the file,
// in its place or not, tells of; with one more than once.
func (f *File) Buckets(ctx context.Context, visit func(name string)) error {
	for at := firstPage * f.pageSize; at+f.pageSize <= len(f.b); at += f.pageSize {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := page(f.b[at : at+f.pageSize])
		if !readable(p) || p.kind() != leafKind || !p.fits() {
			continue
		}
		for i := range p.count() {
			if key, _, flags := p.leaf(i); len(key) > 0 && flags == bucketFlag {
				visit(string(key))
			}
		}
	}
	return nil
}

// Rest calls visit for each record of the pages that Tree did not come to:
// such as lie below a damaged one, and older versions of pages that have been
// replaced. Which bucket they are of is for the caller to tell.
func (s *Salvage) Rest(visit func(key, value []byte)) error {
	w := s.w
	seen := slices.Clone(w.seen)
	defer func() { w.seen = seen }() // so that it can be called again
	w.end = uint64(len(w.f.b) / w.f.pageSize)
	for id := uint64(firstPage); id < w.end; id++ {
		if w.has(id) {
			continue
		}
		p, err := w.take(id)
		if w.ctx.Err() != nil {
			return err
		}
		if err != nil || p.kind() != leafKind || !p.fits() {
			continue
		}
		for i := range p.count() {
			key, value, flags := p.leaf(i)
			if len(key) > 0 && flags == 0 {
				visit(key, value)
				continue
			}
			if in := inlinePage(value); flags == bucketFlag && in != nil {
				for j := range in.count() {
					if key, value, flags := in.leaf(j); len(key) > 0 && flags == 0 {
						visit(key, value)
					}
				}
			}
		}
	}
	return nil
}

func inlinePage(value []byte) page {
	if len(value) < 2*headerSize || u64(value) != 0 {
		return nil
	}
	if p := page(value[headerSize:]); p.kind() == leafKind && p.fits() {
		return p
	}
	return nil
}
