package files

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"sync"
	"time"

	"pillarbox/appliance/importer"
)

// RemoteSource is a source at the other end of a connection. It speaks HTTP by
// itself: the library's client gives a connection up that it could not use again
// at once, and there is only this one.
type RemoteSource struct {
	conn  net.Conn
	br    *bufio.Reader
	hello hello
	mu    sync.Mutex // one request at a time, to its answer's end
}

// Remote returns the source that the other end of conn serves. It owns conn.
func Remote(ctx context.Context, conn net.Conn) (*RemoteSource, error) {
	r := &RemoteSource{conn: conn, br: bufio.NewReaderSize(conn, 64<<10)}
	var h hello
	if err := r.get(ctx, "/hello", &h); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if h.Origin == "" || len(h.Origin) > maxName {
		return nil, errors.Join(fmt.Errorf("%w: it has no name", importer.ErrRefused), conn.Close())
	}
	r.hello = h

	return r, nil
}

// Origin implements importer.Source.
func (r *RemoteSource) Origin() string { return string(r.hello.Origin) }

// Notes tell a person what was not read.
func (r *RemoteSource) Notes() []string { return r.hello.Notes }

// Parallel implements importer.Source.
func (r *RemoteSource) Parallel() int { return 1 }

// Open implements importer.Source.
func (r *RemoteSource) Open(context.Context) (importer.Reader, error) { return &remoteReader{r}, nil }

// Close implements importer.Source.
func (r *RemoteSource) Close() error { return r.conn.Close() }

// Facts implements importer.Teller.
func (r *RemoteSource) Facts(context.Context) (importer.Facts, error) {
	return importer.Facts{Server: r.Origin()}, nil
}

// Wait implements importer.Source.
func (r *RemoteSource) Wait(ctx context.Context, most time.Duration) error {
	return (&Source{}).Wait(ctx, most)
}

// Tell tells the other end something in JSON, between what is read.
func (r *RemoteSource) Tell(ctx context.Context, v any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, err := r.ask(ctx, http.MethodPost, "/told", v)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(body, maxHead))

	return errors.Join(err, body.Close())
}

// Mailboxes implements importer.Source.
func (r *RemoteSource) Mailboxes(ctx context.Context) ([]importer.Mailbox, error) {
	var list []wireMailbox
	if err := r.get(ctx, "/mailboxes", &list); err != nil {
		return nil, err
	}
	if len(list) > importer.MaxMailboxes {
		return nil, fmt.Errorf("%w: it has more than %d mailboxes", importer.ErrRefused, importer.MaxMailboxes)
	}
	all := make([]importer.Mailbox, len(list))
	for i := range list {
		all[i] = list[i].mailbox()
	}

	return all, nil
}

func (r *RemoteSource) get(ctx context.Context, path string, into any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, err := r.ask(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxList))
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}

	return nil
}

func (r *RemoteSource) ask(ctx context.Context, method, path string, request any) (io.ReadCloser, error) {
	text, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://files"+path, bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	// Half a request or answer leaves nothing to go on with.
	stop := context.AfterFunc(ctx, func() { _ = r.conn.Close() })
	err = req.Write(r.conn)
	var res *http.Response
	if err == nil {
		res, err = http.ReadResponse(r.br, req)
	}
	if err != nil {
		stop()
		return nil, errors.Join(fmt.Errorf("the command that reads the files has gone away: %w", err), ctx.Err())
	}
	body := &answer{res.Body, stop}
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(body, 1000))
		return nil, errors.Join(fmt.Errorf("%w: %s", importer.ErrRefused, bytes.TrimSpace(text)), body.Close())
	}

	return body, nil
}

// answer is the body of an answer; Close reads it to its end.
type answer struct {
	io.ReadCloser

	stop func() bool
}

// Close implements io.Closer.
func (a *answer) Close() error {
	defer a.stop()

	return a.ReadCloser.Close()
}

// remoteReader reads a RemoteSource.
type remoteReader struct{ r *RemoteSource }

// Close implements importer.Reader.
func (rr *remoteReader) Close() error { return nil }

// Messages implements importer.Reader.
func (rr *remoteReader) Messages(ctx context.Context, mb *importer.Mailbox) iter.Seq2[importer.Message, error] {
	return func(yield func(importer.Message, error) bool) {
		// While the answer is read nothing else can be asked for: it is read whole.
		all, err := rr.messages(ctx, mb)
		for _, l := range all {
			var bad error
			if l.Refused != "" {
				bad = &importer.MessageError{Err: errors.New(l.Refused)}
			}
			m := l.Message.Message
			m.Key = string(l.Message.Key)
			if !yield(m, bad) {
				return
			}
		}
		if err != nil {
			yield(importer.Message{}, err)
		}
	}
}

func (rr *remoteReader) messages(ctx context.Context, mb *importer.Mailbox) (all []line, err error) {
	rr.r.mu.Lock()
	defer rr.r.mu.Unlock()
	body, err := rr.r.ask(ctx, http.MethodPost, "/messages", overWire(mb))
	if err != nil {
		return nil, err
	}
	defer body.Close()
	br := bufio.NewReaderSize(body, maxHead)
	for {
		l, err := nextLine(br)
		if err != nil {
			return nil, err
		}
		if l.Mailbox != nil {
			mb.UIDValidity, mb.UIDNext, mb.Mark, mb.Lost = l.Mailbox.UIDValidity, l.Mailbox.UIDNext, l.Mailbox.Mark, l.Mailbox.Lost
		}
		if l.End {
			return all, finish(br)
		}
		if l.Message == nil || len(l.Message.Key) > importer.MaxKey || len(l.Message.Flags) > importer.MaxFlags {
			return nil, errAnswer
		}
		l.Mailbox = nil
		all = append(all, l)
	}
}

var errAnswer = errors.New("the answer of the command that reads the files makes no sense")

func nextLine(br *bufio.Reader) (l line, err error) {
	text, err := br.ReadSlice('\n')
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return l, fmt.Errorf("read answer: %w", err)
	}
	if json.Unmarshal(text, &l) != nil || l.Piece < 0 || l.Piece > maxPiece {
		return l, errAnswer
	}
	if l.Failed != "" {
		return l, errors.New(l.Failed)
	}

	return l, nil
}

// finish reads the end of an answer, so that another can follow.
func finish(br *bufio.Reader) error {
	if _, err := br.ReadByte(); !errors.Is(err, io.EOF) {
		return errAnswer
	}

	return nil
}

// Read implements importer.Reader.
func (rr *remoteReader) Read(ctx context.Context, mb *importer.Mailbox, msgs []importer.Message, take func(i int, r io.Reader, err error) error) error {
	ask := readRequest{Mailbox: overWire(mb)}
	for _, m := range msgs {
		ask.Keys = append(ask.Keys, octets(m.Key))
	}
	rr.r.mu.Lock()
	defer rr.r.mu.Unlock()
	body, err := rr.r.ask(ctx, http.MethodPost, "/read", ask)
	if err != nil {
		return err
	}
	defer body.Close()
	br := bufio.NewReaderSize(body, maxHead)
	for {
		l, err := nextLine(br)
		if err != nil {
			return err
		}
		if l.End {
			return finish(br)
		}
		if l.Index < 0 || l.Index >= len(msgs) {
			return errAnswer
		}
		if l.Refused != "" {
			err = take(l.Index, nil, &importer.MessageError{Err: errors.New(l.Refused)})
		} else {
			p := &pieces{br: br, line: l}
			if err = take(l.Index, p, nil); err == nil {
				_, err = io.Copy(io.Discard, p) // what was too much
			}
		}
		if err != nil {
			return err
		}
	}
}

// pieces reads a message.
type pieces struct {
	br   *bufio.Reader
	line line
}

// Read implements io.Reader.
func (p *pieces) Read(b []byte) (int, error) {
	for p.line.Piece == 0 {
		if p.line.Whole {
			return 0, io.EOF
		}
		next, err := nextLine(p.br)
		if err != nil {
			return 0, err
		}
		if next.Refused != "" {
			return 0, &importer.MessageError{Err: errors.New(next.Refused)}
		}
		if next.Index != p.line.Index {
			return 0, errAnswer
		}
		p.line = next
	}
	n, err := p.br.Read(b[:min(len(b), p.line.Piece)])
	p.line.Piece -= n
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}

	return n, err
}
