package webui

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
)

const (
	// maxUpload is the longest file that the importer takes, in octets.
	maxUpload = 8 << 30
	// maxUploadField is the longest field beside the file.
	maxUploadField = 4 << 10
	// drained is how much of a file that was refused is read all the same: a browser
	// looks for the answer only when it has sent all.
	drained = 64 << 20
)

// uploadMove begins a move with the mail of a file that comes with the form.
func (v *visit) uploadMove() error {
	f := moveForm{Security: "tls", KeepUIDs: true}
	bad := problems{}
	parts, err := v.r.MultipartReader()
	if err != nil {
		bad.add("file", "Choose a file.")
	}
	var begun moving
	for parts != nil {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			bad.add("file", "Choose a file.")
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errForm, err)
		}
		if part.FormName() == "upload_account" {
			text, err := io.ReadAll(io.LimitReader(part, maxUploadField))
			if err != nil {
				return fmt.Errorf("%w: %w", errForm, err)
			}
			f.UploadAccount = string(text)
			continue
		}
		if part.FormName() != "file" {
			continue
		}
		switch {
		case f.UploadAccount == "":
			bad.add("upload_account", "Say whose mail it becomes.")
		case part.FileName() == "":
			bad.add("file", "Choose a file.")
		default:
			err := v.sendUpload(part, f.UploadAccount, &begun)
			if err == nil {
				v.seeOther("/moving/" + url.PathEscape(begun.ID))
				return nil
			}
			if err := v.explain(err, bad, map[string]string{"no-account": "upload_account", "address": "upload_account", "import": "file", "import-busy": "file", "too-many": "file", "disk-full": "file"}); err != nil {
				return err
			}
		}
		_, _ = io.CopyN(io.Discard, part, drained) // it is of no more use
		break
	}
	d := movingPage{Form: f}
	if err := v.call(http.MethodGet, "/v1/imports", nil, &d.Jobs); err != nil {
		return err
	}

	return v.again("moving", "Moving in", &d, bad)
}

// sendUpload hands a file to the API while it comes.
func (v *visit) sendUpload(part *multipart.Part, account string, out any) error {
	q := url.Values{"account": {account}, "name": {part.FileName()}, "keep_uids": {"yes"}}
	if n := v.r.ContentLength; n > 0 {
		q.Set("size", strconv.FormatInt(n, 10)) // with what is around the file
	}
	r, err := http.NewRequestWithContext(v.ctx(), http.MethodPost, "/v1/imports/archive?"+q.Encode(), part)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	a := &timedAnswer{answer{header: http.Header{}}, v.w}
	v.s.conf.API.Answer(a, r, v.caller())
	if a.status >= http.StatusBadRequest {
		e := &APIError{Status: a.status}
		if err := json.Unmarshal(a.body.Bytes(), e); err != nil || e.Message == "" {
			return fmt.Errorf("upload: status %d", a.status)
		}
		return e
	}
	if err := json.Unmarshal(a.body.Bytes(), out); err != nil {
		return fmt.Errorf("read the answer to an upload: %w", err)
	}

	return nil
}

// timedAnswer is an answer of which the API may say how long it takes.
type timedAnswer struct {
	answer

	w http.ResponseWriter
}

// Unwrap lets http.ResponseController find the connection.
func (a *timedAnswer) Unwrap() http.ResponseWriter { return a.w }
