package control

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/delivery"
	"pillarbox/storage"
)

const (
	maxFrames    = 256      // of one request
	maxFrameLine = 16 << 10 // octets of a frame's line of JSON
	inMemory     = 1 << 20  // octets of a message that are held in memory, to receive several at once
	sideBySide   = 8        // how many are received at once
	restOfBody   = -1       // Size of a frame that goes to the end
)

// frame is what stands in front of a message.
type frame struct {
	Size  int64       `json:"size"`
	Flags []imap.Flag `json:"flags,omitempty"`
	Date  time.Time   `json:"date,omitzero"`
}

// Result tells what became of one message.
type Result struct {
	Reason delivery.Reason `json:"reason,omitempty"` // "" if it was delivered
	Error  string          `json:"error,omitempty"`
	Places []Place         `json:"places,omitempty"`
}

// Place is where a message went.
type Place struct {
	Account string   `json:"account"`
	Mailbox string   `json:"mailbox"`
	UID     imap.UID `json:"uid"`
}

func resultOf(r delivery.Result) Result {
	res := Result{Reason: delivery.ReasonOf(r.Err)}
	if r.Err != nil {
		res.Error = r.Err.Error()
	}
	for _, p := range r.Places {
		res.Places = append(res.Places, Place{Account: p.Account, Mailbox: p.Mailbox, UID: p.UID})
	}

	return res
}

// takeMessages files the messages of a body, or, with from, delivers them as
// mail that has just arrived.
func (h *Handler) takeMessages(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	to := q.Get("to")
	check := func() error { return h.delivery.Known(r.Context(), to) }
	if q.Has("from") {
		check = func() error { return h.delivery.Check(r.Context(), q.Get("from"), to) }
	}
	if err := check(); err != nil {
		return err
	}
	frames := &frameReader{br: bufio.NewReaderSize(r.Body, maxFrameLine)}
	var (
		results []Result
		err     error
	)
	if q.Has("from") {
		results, err = h.deliver(r, frames, &delivery.Envelope{
			From:       q.Get("from"),
			Recipients: []string{to},
			Mailbox:    q.Get("mailbox"),
			With:       "local",
		})
	} else {
		results, err = h.file(r, frames, to, q.Get("mailbox"))
	}
	// What was taken before an error is there, too.
	if err := errors.Join(err, h.recordMessages(r.Context(), to, q.Get("mailbox"), results)); err != nil {
		return err
	}

	return writeJSON(w, http.StatusOK, results)
}

func (h *Handler) deliver(r *http.Request, frames *frameReader, env *delivery.Envelope) ([]Result, error) {
	results := []Result{}
	for {
		_, body, err := frames.next()
		if errors.Is(err, io.EOF) {
			return results, nil
		}
		if err != nil {
			return results, err
		}
		results = append(results, resultOf(h.delivery.Deliver(r.Context(), env, body)[0]))
		if err := frames.skip(); err != nil {
			return results, err
		}
	}
}

// received is a message of a body on its way to a mailbox.
type received struct {
	frame  frame
	staged *storage.Staged
	err    error
}

func (h *Handler) file(r *http.Request, frames *frameReader, to, mailbox string) ([]Result, error) {
	all, err := h.receive(r, frames)
	defer func() {
		for _, m := range all {
			if m.staged == nil {
				continue
			}
			if err := m.staged.Close(); err != nil {
				h.log.WarnContext(r.Context(), "staged message not removed; it will be at the next start", "err", err)
			}
		}
	}()
	if err != nil {
		return nil, err
	}

	var good []delivery.Filed
	for _, m := range all {
		if m.err == nil {
			good = append(good, delivery.Filed{Body: m.staged, Flags: m.frame.Flags, Date: m.frame.Date})
		}
	}
	var filed []delivery.Result
	if len(good) > 0 {
		filed = h.delivery.File(r.Context(), to, mailbox, good)
	}
	results := make([]Result, len(all))
	failed := 0
	for i, m := range all {
		if m.err != nil {
			results[i] = resultOf(delivery.Result{Err: m.err})
		} else {
			results[i], filed = resultOf(filed[0]), filed[1:]
		}
		if results[i].Reason != delivery.Delivered {
			failed++
		}
	}
	h.log.InfoContext(r.Context(), "messages filed", "recipient", to, "mailbox", mailbox,
		"messages", len(all)-failed, "failed", failed)

	return results, nil
}

// receive stages the messages of a body, small ones side by side.
func (h *Handler) receive(r *http.Request, frames *frameReader) ([]*received, error) {
	var (
		all   []*received
		wg    sync.WaitGroup
		slots = make(chan struct{}, sideBySide)
	)
	defer wg.Wait()
	for {
		f, body, err := frames.next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		m := &received{frame: f}
		all = append(all, m)
		if f.Size == restOfBody || f.Size > inMemory {
			m.staged, m.err = h.delivery.Stage(r.Context(), body)
			if err := frames.skip(); err != nil {
				return all, err
			}
			continue
		}
		slots <- struct{}{}
		data := make([]byte, f.Size)
		if _, err := io.ReadFull(body, data); err != nil {
			<-slots
			return all, badBody(err)
		}
		wg.Go(func() {
			defer func() { <-slots }()
			m.staged, m.err = h.delivery.Stage(r.Context(), bytes.NewReader(data))
		})
	}
}

// frameReader takes the frames of a body apart.
type frameReader struct {
	br   *bufio.Reader
	n    int
	body io.Reader // of the present frame
	left *io.LimitedReader
}

// next returns the next frame; io.EOF after the last. The body of the one
// before must have been read, or skipped.
func (fr *frameReader) next() (frame, io.Reader, error) {
	var f frame
	line, err := fr.br.ReadSlice('\n')
	if errors.Is(err, io.EOF) && len(line) == 0 {
		return f, nil, io.EOF
	}
	if err != nil {
		return f, nil, badBody(err)
	}
	if err := json.Unmarshal(line, &f); err != nil {
		return f, nil, badBody(err)
	}
	if fr.n++; fr.n > maxFrames || f.Size < restOfBody {
		return f, nil, badBody(fmt.Errorf("frame %d of %d octets", fr.n, f.Size))
	}
	fr.left, fr.body = nil, fr.br
	if f.Size != restOfBody {
		fr.left = &io.LimitedReader{R: fr.br, N: f.Size}
		fr.body = &wholeReader{fr.left}
	}

	return f, fr.body, nil
}

// skip reads what is left of a frame's body. What is left of a body without a
// size was too much, and there is no frame behind it.
func (fr *frameReader) skip() error {
	if fr.left == nil {
		fr.br.Reset(eofReader{})
		return nil
	}
	if _, err := io.Copy(io.Discard, fr.body); err != nil {
		return badBody(err)
	}

	return nil
}

// wholeReader fails where a body ends before its size, so that half a message
// is never taken for one.
type wholeReader struct{ *io.LimitedReader }

func (w *wholeReader) Read(p []byte) (int, error) {
	n, err := w.LimitedReader.Read(p)
	if errors.Is(err, io.EOF) && w.N > 0 {
		err = io.ErrUnexpectedEOF
	}

	return n, err
}

type eofReader struct{}

func (eofReader) Read([]byte) (int, error) { return 0, io.EOF }

func badBody(err error) error {
	return &Error{Code: CodeRequest, Message: "read messages: " + err.Error(), status: http.StatusBadRequest}
}
