package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"

	"pillarbox/appliance/exporter"
	"pillarbox/storage"
)

// Export has an account exported while the caller waits, by the server, which
// writes files as itself. It ends with ctx; see AddExport for one that does not.
// The report, where there is one, tells also what was done before an error.
func (c *Client) Export(ctx context.Context, ask *exporter.Request, progress func(exporter.Progress)) (*exporter.Report, error) {
	b, err := json.Marshal(ask)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	res, err := c.do(ctx, http.MethodPost, "/v1/exports/now", bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	dec := json.NewDecoder(res.Body)
	var report *exporter.Report
	for {
		var l ExportLine
		err := dec.Decode(&l)
		switch {
		case errors.Is(err, io.EOF) && report != nil:
			return report, nil
		case err != nil:
			return report, fmt.Errorf("read answer: %w", unfinished(err))
		case l.Error != nil:
			return report, l.Error
		case l.Progress != nil:
			progress(*l.Progress)
		case l.Report != nil:
			report = l.Report
		}
	}
}

func unfinished(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}

	return err
}

// Mail is an account's mail as a command reads it through the server.
type Mail struct {
	Reading

	c *Client
}

// ReadMail lets an account's mail be read. Target tells the audit record where
// it goes. The caller closes it.
func (c *Client) ReadMail(ctx context.Context, account, target string) (*Mail, error) {
	m := &Mail{c: c}

	return m, c.call(ctx, http.MethodPost, "/v1/exports/readings", readingRequest{Account: account, Target: target}, &m.Reading)
}

// Close ends the reading.
func (m *Mail) Close(ctx context.Context) error {
	return m.c.call(ctx, http.MethodDelete, "/v1/exports/readings/"+m.ID, nil, nil)
}

// Mailboxes implements exporter.Mail.
func (m *Mail) Mailboxes(ctx context.Context) (boxes []exporter.Mailbox, err error) {
	return boxes, m.c.call(ctx, http.MethodGet, "/v1/exports/readings/"+m.ID+"/mailboxes", nil, &boxes)
}

// Messages implements exporter.Mail.
func (m *Mail) Messages(ctx context.Context, id storage.MailboxID) (msgs []exporter.Message, err error) {
	res, err := m.c.do(ctx, http.MethodGet, "/v1/exports/readings/"+m.ID+"/mailboxes/"+strconv.FormatUint(uint64(id), 10), nil)
	var answer *Error
	if errors.As(err, &answer) && answer.Code == CodeNoMailbox {
		return nil, storage.ErrNoMailbox
	}
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	dec := json.NewDecoder(res.Body)
	for {
		var l endOfMessages
		if err := dec.Decode(&l); err != nil {
			return nil, fmt.Errorf("read answer: %w", unfinished(err))
		}
		if l.End {
			return msgs, nil
		}
		msgs = append(msgs, l.Message)
	}
}

// Read implements exporter.Mail.
func (m *Mail) Read(ctx context.Context, data []storage.DataID, take func(i int, body io.ReaderAt, size int64, err error) error) error {
	for part := range slices.Chunk(data, maxReadBodies) {
		if err := m.read(ctx, part, take); err != nil {
			return err
		}
	}

	return nil
}

func (m *Mail) read(ctx context.Context, data []storage.DataID, take func(i int, body io.ReaderAt, size int64, err error) error) error {
	b, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	res, err := m.c.do(ctx, http.MethodPost, "/v1/exports/readings/"+m.ID+"/bodies", bytes.NewReader(b))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	br := bufio.NewReaderSize(res.Body, maxFrameLine)
	for {
		line, err := br.ReadSlice('\n')
		var head bodyHead
		if err == nil {
			err = json.Unmarshal(line, &head)
		}
		if err != nil {
			return fmt.Errorf("read answer: %w", unfinished(err))
		}
		switch {
		case head.End:
			return nil
		case head.Gone:
			err = take(head.Index, nil, 0, storage.ErrNoMessage)
		case head.Error != "":
			err = take(head.Index, nil, 0, errors.New(head.Error))
		default:
			err = takeBody(br, &head, take)
		}
		if err != nil {
			return err
		}
	}
}

// takeBody gives a message that comes; a large one waits in a file.
func takeBody(br *bufio.Reader, head *bodyHead, take func(i int, body io.ReaderAt, size int64, err error) error) (err error) {
	if head.Size <= inMemory {
		text := make([]byte, head.Size)
		if _, err := io.ReadFull(br, text); err != nil {
			return fmt.Errorf("read answer: %w", unfinished(err))
		}
		return take(head.Index, bytes.NewReader(text), head.Size, nil)
	}
	f, err := os.CreateTemp("", "pillarbox-export-*")
	if err != nil {
		return fmt.Errorf("keep a large message for a moment: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := os.Remove(f.Name()); err != nil {
		return fmt.Errorf("keep a large message for a moment: %w", err)
	}
	if _, err := io.CopyN(f, br, head.Size); err != nil {
		return fmt.Errorf("keep a large message for a moment: %w", unfinished(err))
	}

	return take(head.Index, f, head.Size, nil)
}
