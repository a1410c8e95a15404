package files

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"pillarbox/appliance/importer"
)

// Bounds of what comes from the other end.
const (
	maxHead    = 256 << 10 // octets of a line of JSON
	maxList    = 64 << 20  // octets of a list of mailboxes
	maxRequest = 64 << 20  // octets of a request for messages
	maxPiece   = 1 << 20   // octets of a message at once
)

// octets is a text that JSON must not change: names of files need not be UTF-8.
type octets string

// MarshalText implements encoding.TextMarshaler.
func (o octets) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, []byte(o)), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (o *octets) UnmarshalText(text []byte) error {
	b, err := hex.AppendDecode(nil, text)
	*o = octets(b)

	return err
}

// wireMailbox is a mailbox as it goes over the connection.
type wireMailbox struct {
	importer.Mailbox

	ID octets // in the place of Mailbox's own
}

func overWire(mb *importer.Mailbox) wireMailbox { return wireMailbox{*mb, octets(mb.ID)} }

func (m *wireMailbox) mailbox() importer.Mailbox {
	mb := m.Mailbox
	mb.ID = string(m.ID)

	return mb
}

// wireMessage is a message as it goes over the connection.
type wireMessage struct {
	importer.Message

	Key octets // in the place of Message's own
}

// hello is what the serving end tells first.
type hello struct {
	Origin octets   `json:"origin"`
	Notes  []string `json:"notes,omitempty"`
}

// readRequest asks for messages.
type readRequest struct {
	Mailbox wireMailbox `json:"mailbox"`
	Keys    []octets    `json:"keys"`
}

// line is a line of an answer; which fields are set depends on the request.
type line struct {
	Mailbox *wireMailbox `json:"mailbox,omitempty"` // as Messages brought it up to date
	Message *wireMessage `json:"message,omitempty"`
	Index   int          `json:"index,omitempty"`
	Piece   int          `json:"piece,omitempty"`   // octets of a message that follow this line
	Whole   bool         `json:"whole,omitempty"`   // the message has ended
	Refused string       `json:"refused,omitempty"` // why this message cannot be had
	Failed  string       `json:"failed,omitempty"`  // why the answer ends too early
	End     bool         `json:"end,omitempty"`     // the answer is whole
}

// maxTold bounds what the other end tells at once, in octets.
const maxTold = 64 << 20

// Serve answers for a source on a connection until that ends or ctx does. Told
// gets what the other end tells of its work; it may be nil.
func Serve(ctx context.Context, conn net.Conn, s *Source, told func(text []byte)) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(hello{Origin: octets(s.Origin()), Notes: s.Notes()}) // who has gone away needs no answer
	})
	mux.HandleFunc("GET /mailboxes", func(w http.ResponseWriter, r *http.Request) {
		all, err := s.Mailboxes(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		list := make([]wireMailbox, len(all))
		for i := range all {
			list[i] = overWire(&all[i])
		}
		_ = json.NewEncoder(w).Encode(list)
	})
	mux.HandleFunc("POST /messages", func(w http.ResponseWriter, r *http.Request) { serveMessages(w, r, s) })
	mux.HandleFunc("POST /read", func(w http.ResponseWriter, r *http.Request) { serveRead(w, r, s) })

	mux.HandleFunc("POST /told", func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxTold))
		if err == nil && told != nil {
			told(text)
		}
		_ = json.NewEncoder(w).Encode(err == nil)
	})

	one := &oneConn{conn: conn, done: make(chan struct{})}
	srv := &http.Server{
		Handler: mux, ReadHeaderTimeout: time.Minute,
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed || state == http.StateHijacked {
				one.finish()
			}
		},
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	err := srv.Serve(one)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}

	return err
}

// oneConn is a listener that has one connection to give.
type oneConn struct {
	mu   sync.Mutex
	conn net.Conn
	once sync.Once
	done chan struct{}
}

func (o *oneConn) finish() { o.once.Do(func() { close(o.done) }) }

// Accept implements net.Listener.
func (o *oneConn) Accept() (net.Conn, error) {
	o.mu.Lock()
	c := o.conn
	o.conn = nil
	o.mu.Unlock()
	if c != nil {
		return c, nil
	}
	<-o.done

	return nil, io.EOF
}

// Close implements net.Listener.
func (o *oneConn) Close() error { o.finish(); return nil }

// Addr implements net.Listener.
func (o *oneConn) Addr() net.Addr { return &net.UnixAddr{} }

func serveMessages(w http.ResponseWriter, r *http.Request, s *Source) {
	var ask wireMailbox
	if err := json.NewDecoder(io.LimitReader(r.Body, maxHead)).Decode(&ask); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	mb := ask.mailbox()
	out := bufio.NewWriterSize(w, 64<<10)
	enc := json.NewEncoder(out)
	rd := reader{s}
	for m, err := range rd.Messages(r.Context(), &mb) {
		now := overWire(&mb)
		l := line{Mailbox: &now, Message: &wireMessage{m, octets(m.Key)}}
		var bad *importer.MessageError
		if errors.As(err, &bad) {
			l.Refused = bad.Error()
		} else if err != nil {
			l = line{Failed: err.Error()}
		}
		if enc.Encode(l) != nil || l.Failed != "" {
			_ = out.Flush()
			return
		}
	}
	now := overWire(&mb)
	_ = enc.Encode(line{Mailbox: &now, End: true}) // who has gone away needs no answer
	_ = out.Flush()
}

func serveRead(w http.ResponseWriter, r *http.Request, s *Source) {
	var ask readRequest
	if err := json.NewDecoder(io.LimitReader(r.Body, maxRequest)).Decode(&ask); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	msgs := make([]importer.Message, len(ask.Keys))
	for i, key := range ask.Keys {
		msgs[i].Key = string(key)
	}
	out := bufio.NewWriterSize(w, 64<<10)
	enc := json.NewEncoder(out)
	piece := make([]byte, 256<<10)
	rd := reader{s}
	mb := ask.Mailbox.mailbox()
	err := rd.Read(r.Context(), &mb, msgs, func(i int, body io.Reader, err error) error {
		if err != nil {
			return enc.Encode(line{Index: i, Refused: err.Error()})
		}
		for {
			n, err := io.ReadFull(body, piece)
			end := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
			if err != nil && !end {
				return enc.Encode(line{Index: i, Refused: err.Error()})
			}
			if err := enc.Encode(line{Index: i, Piece: n, Whole: end}); err != nil {
				return err
			}
			if _, err := out.Write(piece[:n]); err != nil || end {
				return err
			}
		}
	})
	last := line{End: true}
	if err != nil {
		last = line{Failed: err.Error()}
	}
	_ = enc.Encode(last) // who has gone away needs no answer
	_ = out.Flush()
}
