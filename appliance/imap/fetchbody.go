package imap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/wire"
	"pillarbox/storage"
	"pillarbox/storage/message"
)

// headerMax is how much of a header is searched for fields that are not
// stored: far more than any mail program writes.
const headerMax = 1 << 20

// errShort is a body that ends before its recorded size.
var errShort = fmt.Errorf("the body is shorter than recorded: %w", storage.ErrCorrupt)

// writeBodies answers for the messages of the batch, whose bodies are asked
// for.
func (f *fetcher) writeBodies(ctx context.Context) error {
	f.ids = f.ids[:0]
	for _, x := range f.batch {
		f.ids = append(f.ids, x.m.Data)
	}
	i := 0
	for body, err := range f.s.acct.Bodies(f.ids) {
		if ended := context.Cause(ctx); ended != nil {
			return ended
		}
		x := f.batch[i]
		i++
		if err != nil {
			f.fail(ctx, x.m, err)
			err = f.unlessClosed(err)
		} else {
			err = f.writeMessage(ctx, x, body)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeMessage answers for one message, or, if its body cannot be read, takes
// back what it has begun. The error it returns ends the command.
func (f *fetcher) writeMessage(ctx context.Context, x fetched, body *storage.Body) error {
	out := f.s.out
	mark := len(out.Buf)
	f.sent = false
	l, err := f.appendRead(x, body)
	if err != nil {
		out.Buf = out.Buf[:mark]
		f.fail(ctx, x.m, err)
		return f.unlessClosed(err)
	}
	for i := range f.bodies {
		if i > 0 || !f.bare {
			out.Buf = append(out.Buf, ' ')
		}
		err := f.writeSection(&f.bodies[i], &l, body)
		var broken *brokenLiteral
		switch {
		case err == nil:
		case errors.As(err, &broken):
			return f.hangUp(ctx, x.m, broken)
		case f.sent:
			// The rest of the answer is on its way: the item has no value.
			f.fail(ctx, x.m, err)
			out.Buf = append(append(out.Buf, f.bodies[i].label...), " NIL"...)
		default:
			out.Buf = out.Buf[:mark]
			f.fail(ctx, x.m, err)
			return nil
		}
	}
	out.Buf = append(out.Buf, ")\r\n"...)
	return f.fill()
}

func (f *fetcher) unlessClosed(err error) error {
	if errors.Is(err, storage.ErrClosed) {
		return err
	}
	return nil
}

// appendRead appends the items that need no body and finds out how the
// message is laid out.
func (f *fetcher) appendRead(x fetched, body *storage.Body) (layout, error) {
	l := layout{prefix: int64(len(body.Prefix)), size: body.Size}
	out := f.s.out
	if !f.record {
		out.Buf = f.appendItems(out.Buf, x, nil)
		return l, nil
	}
	withParts := slices.ContainsFunc(f.bodies, func(sec section) bool { return len(sec.part) > 0 })
	f.one[0] = x.m.Data
	err := storage.ErrNoMessage
	readErr := f.s.acct.Read(f.one[:], func(_ int, d *storage.Data) bool {
		if d == nil {
			return true
		}
		err = nil
		l.header = d.Record.HeaderSize()
		if withParts {
			l.parts, err = d.Record.Parts()
		}
		out.Buf = f.appendItems(out.Buf, x, d)
		return true
	})
	return l, errors.Join(readErr, err)
}

// brokenLiteral is an error after the client was told how long an item is.
type brokenLiteral struct {
	err  error
	lost bool // it is the connection that failed
}

func (e *brokenLiteral) Error() string { return "literal broken off: " + e.err.Error() }
func (e *brokenLiteral) Unwrap() error { return e.err }

// hangUp ends the session in the middle of a literal. Nothing may be said any
// more: the client would take it for the message.
func (f *fetcher) hangUp(ctx context.Context, m *storage.Message, err *brokenLiteral) error {
	if err.lost {
		return err.err
	}
	f.s.log.ErrorContext(ctx, "the connection is closed, for a message cannot be read to its end",
		"mailbox", f.snap.Mailbox().Name, "uid", m.UID, "err", err.err)
	_ = f.s.link.conn.Close()
	return fmt.Errorf("%w: %w", err, net.ErrClosed)
}

// writeSection writes one item. If it fails with anything but a
// *brokenLiteral, nothing of the item was written.
func (f *fetcher) writeSection(sec *section, l *layout, body *storage.Body) error {
	if sec.form != raw {
		return f.writeBinary(sec, l, body)
	}
	e, ok := sec.locate(l)
	if !ok {
		f.writeNIL(sec)
		return nil
	}
	if sec.fields {
		return f.writeFields(sec, e, body)
	}
	e = e.cut(sec.partial)
	return f.writeLiteral(sec, e.len(), wire.AppendLiteral, func(p []byte, done int64) (int, error) {
		return body.ReadAt(p, e.start+done)
	})
}

// writeNIL answers for a part that the message has not got.
func (f *fetcher) writeNIL(sec *section) {
	b := append(f.s.out.Buf, sec.label...)
	if sec.form == decodedLen {
		b = append(b, " 0"...) // its grammar has no NIL (RFC 3516, section 7)
	} else {
		b = append(b, " NIL"...)
	}
	f.s.out.Buf = b
}

// writeFields picks header fields out of the message.
func (f *fetcher) writeFields(sec *section, e extent, body *storage.Body) error {
	size := int(min(e.len(), headerMax))
	f.header = slices.Grow(f.header[:0], size)[:size]
	if n, err := body.ReadAt(f.header, e.start); n < size {
		return short(err)
	}
	f.scratch = message.AppendFields(f.scratch[:0], f.header, sec.names, sec.not)
	f.s.out.Buf = appendOctets(f.s.out.Buf, sec, f.scratch)
	return f.fill()
}

// writeLiteral writes n octets that read yields, straight into the output
// buffer. The first chunk is read before the buffer may leave, so a body that
// cannot be read at all leaves no trace.
//
// A NUL that the mail holds is sent as it is. The grammar of literals has
// none, but clients count octets, and with another in its place the mail
// would not be what was received: a signature would fail, a sync never end.
func (f *fetcher) writeLiteral(sec *section, n int64, announce func([]byte, int64) []byte, read func(p []byte, done int64) (int, error)) error {
	out := f.s.out
	mark := len(out.Buf)
	out.Buf = append(append(out.Buf, sec.label...), ' ')
	out.Buf = announce(out.Buf, n)
	for done := int64(0); done < n; {
		have := len(out.Buf)
		want := int(min(n-done, int64(max(cap(out.Buf)-have, minChunk))))
		out.Buf = slices.Grow(out.Buf, want)[:have+want]
		m, err := read(out.Buf[have:], done)
		if m < want {
			if done == 0 {
				out.Buf = out.Buf[:mark]
				return short(err)
			}
			out.Buf = out.Buf[:have]
			return &brokenLiteral{err: short(err)}
		}
		done += int64(m)
		if err := f.fill(); err != nil {
			return &brokenLiteral{err: err, lost: true}
		}
	}
	return nil
}

// minChunk is the least that is read at a time.
const minChunk = 4 << 10

func short(err error) error {
	if err == nil || err == io.EOF || err == io.ErrUnexpectedEOF {
		return errShort
	}
	return fmt.Errorf("read body: %w", err)
}

// writeBinary answers BINARY[…] and BINARY.SIZE[…] (RFC 3516). The length
// comes before the octets, so what does not fit into one chunk is decoded
// twice instead of being kept.
func (f *fetcher) writeBinary(sec *section, l *layout, body *storage.Body) error {
	if f.chunk == nil {
		f.chunk = make([]byte, decodeChunk)
	}
	r, ok, err := sec.decode(l, body)
	if err != nil {
		return err
	}
	if !ok {
		f.writeNIL(sec)
		return nil
	}
	size, hasNUL, n, err := measure(r, f.chunk)
	if err != nil {
		return fmt.Errorf("decode body: %w", err)
	}
	out := f.s.out
	if sec.form == decodedLen {
		out.Buf = append(append(out.Buf, sec.label...), ' ')
		out.Buf = wire.AppendInt(out.Buf, size)
		return nil
	}
	e := extent{0, size}.cut(sec.partial)
	announce := wire.AppendLiteral
	if hasNUL {
		announce = wire.AppendLiteral8
	}
	if size == int64(n) { // all of it is in the chunk
		return f.writeLiteral(sec, e.len(), announce, func(p []byte, done int64) (int, error) {
			return copy(p, f.chunk[e.start+done:e.end]), nil
		})
	}
	if r, _, err = sec.decode(l, body); err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, r, e.start); err != nil {
		return short(err)
	}
	return f.writeLiteral(sec, e.len(), announce, func(p []byte, _ int64) (int, error) {
		return io.ReadFull(r, p)
	})
}

// decode opens a part's body without its transfer encoding. It tells false
// where there is no such part. The whole message and a multipart have no
// encoding of their own.
func (sec *section) decode(l *layout, body *storage.Body) (r io.Reader, ok bool, err error) {
	e, ok := sec.locate(l)
	if !ok {
		return nil, false, nil
	}
	if len(sec.part) > 0 {
		i, _ := message.Find(l.parts, sec.part)
		if p := &l.parts[i]; p.Kind != message.Multipart {
			r, err = message.Decoded(body, l.prefix, p)
			if errors.Is(err, message.ErrUnknownEncoding) {
				err = no(imap.ResponseCodeUnknownCTE, "The part has a transfer encoding that is not known")
			}
			return r, true, err
		}
	}
	return io.NewSectionReader(body, e.start, e.len()), true, nil
}

// measure reads to the end through buf. It returns the number of octets,
// whether one of them is NUL, and how many were left in buf by the last
// reads; these are all of them if the numbers are the same.
func measure(r io.Reader, buf []byte) (size int64, hasNUL bool, n int, err error) {
	for {
		n, err = io.ReadFull(r, buf)
		size += int64(n)
		hasNUL = hasNUL || bytes.IndexByte(buf[:n], 0) >= 0
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return size, hasNUL, n, nil
		}
		if err != nil {
			return size, hasNUL, n, err
		}
	}
}
