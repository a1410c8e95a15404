package message

import (
	"bytes"
	"fmt"
	"io"
	"time"
)

// Parse reads a message to its end. It fails only if r does.
func Parse(r io.Reader, lim Limits) (*Message, error) {
	p := &parser{in: newWindow(r), lim: lim.withDefaults()}
	if err := p.run(); err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	return p.message(), nil
}

// maxBoundary bounds a boundary and the line it stands on, in octets (RFC
// 2046, section 5.1.1 allows 70).
const (
	maxBoundary     = 256
	maxBoundaryLine = 2 * maxBoundary
)

// parser keeps what is open while a message goes by.
type parser struct {
	in  *window
	lim Limits

	nodes      []node
	open       []int // nodes whose end has not come, outermost first
	boundaries []boundary
	full       bool // no more parts are taken: the rest belongs to the last one

	header    []byte // of the part being read
	text      []byte // what the nodes are sent as
	envelope  envelope
	addresses addressParser

	fields []byte // the listed ones
	date   time.Time
}

// boundary separates the parts of an open multipart.
type boundary struct {
	text []byte
	node int
}

// run reads the parts one after the other: a header, then what follows it up
// to the header of the next.
func (p *parser) run() error {
	cur := p.begin(-1, p.in.offset)
	for {
		if err := p.readHeader(cur); err != nil {
			return err
		}
		p.describe(cur)
		if p.nodes[cur].Kind == Embedded {
			cur = p.begin(cur, p.nodes[cur].BodyStart)
			continue
		}
		next, err := p.readBody()
		if err != nil {
			return err
		}
		if next < 0 {
			break
		}
		cur = p.begin(next, p.in.offset)
	}
	p.closeTo(-1, p.in.offset, p.in.lines)
	return nil
}

// begin opens a part.
func (p *parser) begin(parent int, at int64) int {
	n := node{Part: Part{Parent: parent, HeaderStart: at}}
	if parent >= 0 {
		n.depth = p.nodes[parent].depth + 1
		p.nodes[parent].children++
	}
	p.nodes = append(p.nodes, n)
	p.open = append(p.open, len(p.nodes)-1)
	return len(p.nodes) - 1
}

// closeTo ends the open parts within node (all for -1) at an offset, before
// which so many line ends were read.
func (p *parser) closeTo(node int, end, lines int64) {
	for len(p.open) > 0 {
		i := p.open[len(p.open)-1]
		if i == node {
			return
		}
		p.open = p.open[:len(p.open)-1]
		n := &p.nodes[i]
		if end < n.BodyStart {
			// A boundary right behind the header: its line end is the empty line.
			end, lines = n.BodyStart, n.linesBefore
		}
		n.End = end
		n.Lines = lines - n.linesBefore
	}
}

// readHeader reads up to where a part's body begins, and keeps the header as
// far as the limits allow.
func (p *parser) readHeader(cur int) error {
	w := p.in
	n := &p.nodes[cur]
	p.header = p.header[:0]
	var (
		fields     int
		full       bool // the limits are reached
		ended      bool // by an empty line
		stray      = int64(-1)
		strayLines int64
	)
	for first := true; ; first = false {
		line, err := w.line()
		if err != nil {
			return err
		}
		if len(line) == 0 || w.atLineStart() && bytes.HasPrefix(line, []byte("--")) {
			break
		}
		if w.atLineStart() {
			if isBlank(line) {
				w.skip(len(line))
				ended = true
				break
			}
			_, colon := fieldName(line)
			switch {
			case colon > 0:
				fields++
				stray = -1
			case fields > 0 && isWSP(line[0]):
			case first && isFromLine(line):
			case stray < 0:
				stray, strayLines = w.offset, w.lines
			}
			full = full || fields > p.lim.HeaderFields
		}
		switch {
		case full:
		case len(p.header)+len(line) > p.lim.HeaderBytes:
			full = true
			p.header = p.header[:bytes.LastIndexByte(p.header, '\n')+1]
		default:
			p.header = append(p.header, line...)
		}
		w.skip(len(line))
	}
	n.BodyStart, n.linesBefore = w.offset, w.lines
	if stray >= 0 && (!ended || fields == 0) {
		n.BodyStart, n.linesBefore = stray, strayLines
	}
	return nil
}

// isFromLine tells whether a line is the separator of an mbox, which comes
// along in front of many a header.
func isFromLine(line []byte) bool {
	return bytes.HasPrefix(bytes.TrimPrefix(line, []byte(">")), []byte("From "))
}

// readBody reads up to the header of the next part and returns the multipart
// it belongs to; -1 at the end of the message.
func (p *parser) readBody() (int, error) {
	w := p.in
	for {
		if len(p.boundaries) == 0 || p.full {
			return -1, p.readRest()
		}
		if err := w.fill(maxBoundaryLine); err != nil {
			return 0, err
		}
		if w.atLineStart() {
			if node, ok := p.readBoundary(); ok {
				if node >= 0 {
					return node, nil
				}
				continue
			}
		}
		b := w.bytes()
		switch i := bytes.Index(b, []byte("\n--")); {
		case i >= 0:
			w.skip(i + 1)
		case w.eof:
			w.skip(len(b))
			return -1, nil
		default:
			w.skip(len(b) - len("\n-"))
		}
	}
}

func (p *parser) readRest() error {
	w := p.in
	for {
		w.skip(w.end - w.start)
		if w.eof {
			return nil
		}
		if err := w.fill(1); err != nil {
			return err
		}
	}
}

// readBoundary consumes the line at hand if it is the boundary of an open
// multipart, and closes what it ends. node is the multipart of which another
// part follows, or -1. The innermost multipart comes first; the line has to
// match as a whole, so one boundary may begin as another one does.
func (p *parser) readBoundary() (node int, ok bool) {
	w := p.in
	line := w.bytes()
	line = line[:min(len(line), maxBoundaryLine)]
	if !bytes.HasPrefix(line, []byte("--")) {
		return 0, false
	}
	n := bytes.IndexByte(line, '\n') + 1
	if n == 0 {
		if !w.eof || w.end-w.start > len(line) {
			return 0, false
		}
		n = len(line)
	}
	text := bytes.TrimRight(line[len("--"):n], " \t\r\n")
	for i := len(p.boundaries) - 1; i >= 0; i-- {
		b := &p.boundaries[i]
		if len(text) < len(b.text) || !bytes.HasPrefix(text, b.text) {
			continue
		}
		tail := text[len(b.text):]
		closing := string(tail) == "--"
		if len(tail) > 0 && !closing {
			continue
		}
		if !closing && len(p.nodes) >= p.lim.Parts {
			p.full = true
			return 0, false
		}
		node = b.node
		end, lines := w.offset-w.lineEnd(), w.lines
		if w.lineEnd() > 0 {
			lines--
		}
		p.closeTo(node, end, lines)
		w.skip(n)
		if closing {
			p.boundaries = p.boundaries[:i]
			return -1, true
		}
		p.boundaries = p.boundaries[:i+1]
		return node, true
	}
	return 0, false
}
