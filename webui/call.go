package webui

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxAnswer bounds an answer of the API, in octets.
const maxAnswer = 64 << 20

// APIError is an answer that says what is wrong.
type APIError struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Error implements error.
func (e *APIError) Error() string { return e.Message }

// is tells whether an error is an answer with a code.
func isCode(err error, code string) bool {
	var e *APIError

	return errors.As(err, &e) && e.Code == code
}

// caller is in whose name a visit asks.
func (v *visit) caller() Caller {
	by := Caller{Name: v.actor(), Began: v.conn.began}
	if v.who != nil {
		by.User = v.who.User
	}

	return by
}

// call asks the API in the name of who is signed in, and decodes the answer into
// out unless that is nil.
func (v *visit) call(method, path string, in, out any) error {
	return v.s.call(v.ctx(), v.caller(), method, path, in, out)
}

func (s *Server) call(ctx context.Context, by Caller, method, path string, in, out any) error {
	var body io.Reader = http.NoBody
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, path, body)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	a := &answer{header: http.Header{}}
	s.conf.API.Answer(a, by.asking(r), by)
	switch {
	case a.full:
		return fmt.Errorf("ask %s: the answer is longer than %d octets", path, maxAnswer)
	case a.status >= http.StatusBadRequest:
		e := &APIError{Status: a.status}
		if err := json.Unmarshal(a.body.Bytes(), e); err != nil || e.Message == "" {
			return fmt.Errorf("ask %s: status %d", path, a.status)
		}
		return e
	case a.status >= http.StatusMultipleChoices:
		return errNotFound // the path was none: somebody typed dots for a name
	case out == nil:
		return nil
	}
	if raw, ok := out.(*[]byte); ok {
		*raw = a.body.Bytes()
		return nil
	}
	if err := json.Unmarshal(a.body.Bytes(), out); err != nil {
		return fmt.Errorf("read the answer of %s: %w", path, err)
	}

	return nil
}

// pass hands an answer of the API to the browser as a file, as it comes. What the
// API refuses comes back as an *APIError.
func (v *visit) pass(method, path string, in any, name string) error {
	var body io.Reader = http.NoBody
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(v.ctx(), method, path, body)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	v.deadline(longAnswer)
	by, w := v.caller(), &fileAnswer{ResponseWriter: v.w, name: name}
	v.s.conf.API.Answer(w, by.asking(r), by)
	if w.refused == 0 {
		return nil
	}
	v.w.Header().Del("Content-Type")
	e := &APIError{Status: w.refused}
	if err := json.Unmarshal(w.body.Bytes(), e); err != nil || e.Message == "" {
		return fmt.Errorf("ask %s: status %d", path, w.refused)
	}

	return e
}

// fileAnswer passes an answer on unless it is a refusal, which it keeps.
type fileAnswer struct {
	http.ResponseWriter

	name    string
	begun   bool
	refused int // its status, 0 if there is none
	body    bytes.Buffer
}

// Unwrap lets http.ResponseController find the connection.
func (a *fileAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (a *fileAnswer) WriteHeader(status int) {
	switch {
	case a.begun || a.refused != 0:
	case status >= http.StatusBadRequest:
		a.refused = status
	default:
		a.begun = true
		a.Header().Set("Content-Disposition", `attachment; filename="`+a.name+`"`)
		a.ResponseWriter.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter.
func (a *fileAnswer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if a.refused != 0 {
		return a.body.Write(p[:min(len(p), usualBody)])
	}

	return a.ResponseWriter.Write(p)
}

// answer keeps what the API answers.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
	full   bool
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if a.body.Len()+len(p) > maxAnswer {
		a.full = true
		return 0, errors.New("the answer is too long")
	}

	return a.body.Write(p)
}

// explain puts what the API says is wrong beside a field of a form: fields names
// them by the code. What is wrong with none of them comes back where the box
// itself is at fault, and stands above the form otherwise.
func (v *visit) explain(err error, bad problems, fields map[string]string) error {
	var e *APIError
	if !errors.As(err, &e) {
		return err
	}
	field, ok := fields[e.Code] // "" is above the form
	if !ok && e.Status >= http.StatusInternalServerError {
		return err
	}
	bad.add(field, sentence(e.Message))

	return nil
}

// explainPaths is explain for what is wrong with settings: fields names those of a
// form by the path of what they set.
func (v *visit) explainPaths(err error, bad problems, fields map[string]string) error {
	var e *APIError
	if !errors.As(err, &e) || e.Code != "settings" {
		return v.explain(err, bad, nil)
	}
	var others []string
	for line := range strings.Lines(e.Message) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "configuration: ")
		line = strings.TrimPrefix(line, "read the configuration: ")
		path, what, _ := strings.Cut(line, ": ")
		field, ok := fields[path]
		if list := strings.LastIndexByte(path, '['); !ok && list > 0 && strings.HasSuffix(path, "]") {
			field, ok = fields[path[:list]] // all of a list is typed into one field
		}
		if ok {
			bad.add(field, sentence(what))
			continue
		}
		others = append(others, sentence(line))
	}
	if len(others) > 0 {
		bad.add("", strings.Join(others, " "))
	}

	return nil
}
