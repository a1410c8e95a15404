package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"pillarbox/appliance/importer"
)

const (
	// uploadPause is how long nothing may come of an upload, and uploadTime how long
	// all of it may take.
	uploadPause = time.Minute
	uploadTime  = 12 * time.Hour
	// unpackTime is how long the answer may take when all has come.
	unpackTime = 2 * time.Hour
)

// ImportArchive says what a file is that is uploaded, and whose mail it becomes.
type ImportArchive struct {
	Name     string // of the file
	Account  string
	Owner    string // "" where it holds one person's mail
	KeepUIDs bool
	Size     int64 // octets; 0 if that is not known
}

// query returns it as the request has it.
func (a *ImportArchive) query() string {
	q := url.Values{"account": {a.Account}, "name": {a.Name}, "size": {strconv.FormatInt(a.Size, 10)}}
	if a.Owner != "" {
		q.Set("owner", a.Owner)
	}
	if a.KeepUIDs {
		q.Set("keep_uids", "yes")
	}

	return q.Encode()
}

// takeArchive begins a move with the mail of a file, which is the request's body.
func (h *Handler) takeArchive(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), uploadTime+unpackTime)
	defer cancel()
	rc := http.NewResponseController(w)
	body := &uploadBody{r: r.Body, rc: rc, end: time.Now().Add(uploadTime)}
	q := r.URL.Query()
	size, err := number(r, "size")
	if err != nil {
		return err
	}
	job, err := h.imports.Upload(ctx, &importer.NewUpload{
		Name: q.Get("name"), Size: max(size, r.ContentLength), Account: q.Get("account"), Owner: q.Get("owner"),
		Options: importer.Options{KeepUIDs: q.Get("keep_uids") == "yes"},
	}, body, Actor(ctx))
	if err != nil {
		return importError(err)
	}

	return writeJSON(w, http.StatusCreated, job)
}

// uploadBody gives each piece of a long body its time.
type uploadBody struct {
	r   io.Reader
	rc  *http.ResponseController
	end time.Time
}

// Read implements io.Reader.
func (b *uploadBody) Read(p []byte) (int, error) {
	now := time.Now()
	if now.After(b.end) {
		return 0, fmt.Errorf("%w: the upload took longer than %v", importer.ErrRefused, uploadTime)
	}
	err := errors.Join(b.rc.SetReadDeadline(now.Add(uploadPause)), b.rc.SetWriteDeadline(now.Add(unpackTime)))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, fmt.Errorf("read the upload: %w", err)
	}

	return b.r.Read(p)
}

// ImportArchive uploads a file and begins a move with the mail in it.
func (c *Client) ImportArchive(ctx context.Context, a *ImportArchive, file io.Reader) (job importer.Job, err error) {
	res, err := c.do(ctx, http.MethodPost, "/v1/imports/archive?"+a.query(), io.NopCloser(file))
	if err != nil {
		return job, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&job); err != nil {
		return job, fmt.Errorf("read answer: %w", err)
	}

	return job, nil
}
