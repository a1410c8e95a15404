package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/certs"
	"pillarbox/appliance/config"
)

// CertificateUpload asks for files to be checked, or to be used.
type CertificateUpload struct {
	Files    [][]byte     `json:"files"`
	Password certs.Secret `json:"password,omitempty"` // of PKCS #12 files
	Fetch    bool         `json:"fetch,omitempty"`    // a missing intermediate
	Use      bool         `json:"use,omitempty"`
}

// CertificateChange asks for settings to be used, or only to be checked. What
// they leave out stays as it was: the policy, and what was set for ACME.
type CertificateChange struct {
	Settings certs.Settings `json:"settings"`
	Check    bool           `json:"check,omitempty"`
}

// The codes of what can be wrong with certificates, which are stable.
const (
	CodeCertificate         = "certificate"          // it cannot be used, or not be had
	CodeCertificatePassword = "certificate-password" // a file wants another password
)

// maxCertificates bounds an upload in JSON, in octets.
const maxCertificates = 2 * certs.MaxUpload

// certificateRoutes are the requests about certificates.
func (h *Handler) certificateRoutes() map[string]func(http.ResponseWriter, *http.Request) error {
	with := func(f func(*certs.Manager, http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
		return func(w http.ResponseWriter, r *http.Request) error {
			m, err := h.certs(r.Context())
			if err != nil {
				return err
			}
			return f(m, w, r)
		}
	}

	return map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/certificate":         with(h.certificate),
		"GET /v1/certificate/root":    with(h.certificateRoot),
		"POST /v1/certificate/upload": with(h.uploadCertificate),
		"PUT /v1/certificate":         with(h.changeCertificate),
		"POST /v1/certificate/renew":  with(h.renewCertificate),
		"POST /v1/certificate/new-ca": with(h.newCA),
	}
}

func (h *Handler) certificate(m *certs.Manager, w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, m.State())
}

func (h *Handler) certificateRoot(m *certs.Manager, w http.ResponseWriter, r *http.Request) error {
	text, kind := m.Root(), "application/x-x509-ca-cert"
	if r.URL.Query().Get("form") == "profile" {
		text, kind = m.Profile(), "application/x-apple-aspen-config"
	}
	w.Header().Set("Content-Type", kind)
	if _, err := w.Write(text); err != nil {
		return &sendError{err}
	}

	return nil
}

func (h *Handler) uploadCertificate(m *certs.Manager, w http.ResponseWriter, r *http.Request) error {
	var u CertificateUpload
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCertificates)).Decode(&u); err != nil {
		return &Error{Code: CodeRequest, Message: "the request is not valid: " + err.Error(), status: http.StatusBadRequest}
	}
	b, err := certs.ParseBundle(u.Files, u.Password)
	if err != nil {
		return certificateError(err)
	}
	if !u.Use {
		return writeJSON(w, http.StatusOK, m.CheckBundle(r.Context(), b, u.Fetch))
	}
	fingerprint, report, err := m.Keep(r.Context(), b, u.Fetch)
	if err != nil {
		return err
	}
	if !report.OK() {
		return writeJSON(w, http.StatusOK, report)
	}
	if err := h.useCertificate(r.Context(), m, certs.Settings{Source: certs.Uploaded, Upload: fingerprint}); err != nil {
		return err
	}

	return writeJSON(w, http.StatusOK, report)
}

func (h *Handler) changeCertificate(m *certs.Manager, w http.ResponseWriter, r *http.Request) error {
	var c CertificateChange
	if err := readJSON(w, r, &c); err != nil {
		return err
	}
	if c.Settings.ACME == nil {
		c.Settings.ACME = m.Settings().ACME
	}
	report, err := m.Check(r.Context(), c.Settings)
	if err != nil {
		return &Error{Code: CodeRequest, Message: err.Error(), status: http.StatusBadRequest}
	}
	if report.OK() && !c.Check {
		if err := h.useCertificate(r.Context(), m, c.Settings); err != nil {
			return err
		}
		if report, err = m.Check(r.Context(), c.Settings); err != nil {
			return err
		}
	}

	return writeJSON(w, http.StatusOK, report)
}

// useCertificate has settings taken into use, to be confirmed as any change of
// the configuration. What an order by ACME needs is kept at once: it does nothing
// as long as the source is another.
func (h *Handler) useCertificate(ctx context.Context, m *certs.Manager, s certs.Settings) error {
	settings, err := h.manager()
	if err != nil {
		return err
	}
	before := m.Settings()
	if s.Policy == "" {
		s.Policy = before.Policy
	}
	if s.Policy == "" {
		s.Policy = certs.Intermediate
	}
	if inJSON(s.ACME) != inJSON(before.ACME) && s.ACME != nil {
		with := before
		with.ACME = s.ACME
		if _, err := m.Use(ctx, with); err != nil {
			return certificateError(err)
		}
		err := h.record(ctx, audit.Event{
			Kind: audit.ConfigApplied, Before: inJSON(before.Redacted()), After: inJSON(m.Settings().Redacted()),
		})
		if err != nil {
			return err
		}
	}
	d := settings.Current().Document
	d.Certificate = config.Certificate{Source: string(s.Source), Upload: s.Upload, Policy: string(s.Policy)}
	_, _, err = settings.Propose(ctx, &config.Proposal{Document: d, By: Actor(ctx), Why: "certificate"})
	if errors.Is(err, config.ErrUnchanged) {
		return nil
	}
	if err != nil {
		return settingsError(err)
	}
	h.log.InfoContext(ctx, "the source of certificates was set, to be confirmed", "source", s.Source, "policy", s.Policy)

	return nil
}

func (h *Handler) renewCertificate(m *certs.Manager, w http.ResponseWriter, r *http.Request) error {
	if err := m.Renew(r.Context()); err != nil {
		return certificateError(err)
	}
	h.log.InfoContext(r.Context(), "the certificate was renewed by the administrator")

	return writeJSON(w, http.StatusOK, m.State())
}

func (h *Handler) newCA(m *certs.Manager, w http.ResponseWriter, r *http.Request) error {
	before := m.State().CA
	if err := m.NewCA(r.Context()); err != nil {
		return certificateError(err)
	}
	s := m.State()
	h.log.WarnContext(r.Context(), "a new CA was made by the administrator", "sha256", s.CA.SHA256)
	err := h.record(r.Context(), audit.Event{
		Kind: audit.ConfigApplied, Before: "CA " + before.Subject + " " + before.SHA256, After: "CA " + s.CA.Subject + " " + s.CA.SHA256,
	})
	if err != nil {
		return err
	}

	return writeJSON(w, http.StatusOK, s)
}

// certificateError is an error that a person can do something about.
func certificateError(err error) error {
	code := CodeCertificate
	if errors.Is(err, certs.ErrPassword) {
		code = CodeCertificatePassword
	}

	return &Error{Code: code, Message: err.Error(), status: http.StatusConflict}
}

// Certificate tells what is in use.
func (c *Client) Certificate(ctx context.Context) (certs.State, error) {
	var s certs.State

	return s, c.call(ctx, http.MethodGet, "/v1/certificate", nil, &s)
}

// CertificateRoot returns the private CA's certificate in PEM, or as a profile
// for Apple's devices.
func (c *Client) CertificateRoot(ctx context.Context, profile bool) ([]byte, error) {
	path := "/v1/certificate/root"
	if profile {
		path += "?form=profile"
	}
	res, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()

	return io.ReadAll(io.LimitReader(res.Body, maxRequest))
}

// UploadCertificate checks files, and uses them if that is asked for and
// nothing blocks it.
func (c *Client) UploadCertificate(ctx context.Context, u CertificateUpload) (certs.Report, error) {
	var r certs.Report

	return r, c.call(ctx, http.MethodPost, "/v1/certificate/upload", u, &r)
}

// ChangeCertificate uses settings if nothing blocks it; with ACME it may take
// minutes.
func (c *Client) ChangeCertificate(ctx context.Context, change CertificateChange) (certs.Report, error) {
	var r certs.Report

	return r, c.call(ctx, http.MethodPut, "/v1/certificate", change, &r)
}

// RenewCertificate renews at once.
func (c *Client) RenewCertificate(ctx context.Context) (certs.State, error) {
	var s certs.State

	return s, c.call(ctx, http.MethodPost, "/v1/certificate/renew", nil, &s)
}

// NewCA makes a new private CA, which every device has to trust anew.
func (c *Client) NewCA(ctx context.Context) (certs.State, error) {
	var s certs.State

	return s, c.call(ctx, http.MethodPost, "/v1/certificate/new-ca", nil, &s)
}
