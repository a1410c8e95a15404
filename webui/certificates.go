package webui

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"time"
)

// certificate is what a certificate says.
type certificate struct {
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	Names     []string  `json:"names"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Key       string    `json:"key"`
	SHA256    string    `json:"sha256"`
}

// certReport is what is to be known before certificates are used.
type certReport struct {
	Certificate *certificate  `json:"certificate"`
	Findings    []certFinding `json:"findings"`
}

type certFinding struct {
	Blocking bool   `json:"blocking"`
	Text     string `json:"text"`
}

func (r *certReport) blocked() bool {
	return slices.ContainsFunc(r.Findings, func(f certFinding) bool { return f.Blocking })
}

// certPage is which certificate the box shows, and what is typed for another.
type certPage struct {
	Settings struct {
		Source string `json:"source"`
		Policy string `json:"policy"`
	} `json:"settings"`
	Presented []certificate `json:"presented"`
	CA        certificate   `json:"ca"`
	Problems  []string      `json:"problems"`

	Days   int         `json:"-"`
	Form   acmeForm    `json:"-"`
	Report *certReport `json:"-"`
}

// acmeForm is what an order needs.
type acmeForm struct {
	Directory, Names, Contact string
	Agreed                    bool
}

// Ours tells whether the box's own authority made the certificate.
func (p certPage) Ours() bool { return p.Settings.Source == "" || p.Settings.Source == "private" }

func (s *Server) certificateRoutes() []Route {
	return []Route{
		{Pattern: "GET /certificates", Role: Auditor, Nav: "Certificates", Section: "Security", Handle: (*visit).certificates},
		{Pattern: "POST /certificates/renew", Role: Operator, Handle: (*visit).renewCertificate},
		{Pattern: "POST /certificates/private", Role: Administrator, Handle: (*visit).usePrivate},
		{Pattern: "POST /certificates/acme", Role: Administrator, Handle: (*visit).useACME},
		{Pattern: "POST /certificates/upload", Role: Administrator, MaxBody: 1 << 20, Handle: (*visit).uploadCertificate},
		{Pattern: "POST /certificates/policy", Role: Administrator, Handle: (*visit).setTLSPolicy},
	}
}

func (v *visit) certData() (d certPage, err error) {
	if err := v.call(http.MethodGet, "/v1/certificate", nil, &d); err != nil {
		return d, err
	}
	if len(d.Presented) > 0 {
		d.Days = int(d.Presented[0].NotAfter.Sub(v.s.now()) / (24 * time.Hour))
	}
	if domain := v.s.office.now().Domain; domain != "" {
		d.Form.Names = "mail." + domain
	}

	return d, nil
}

func (v *visit) certificates() error {
	d, err := v.certData()
	if err != nil {
		return err
	}

	return v.show("certificates", "Certificates", d)
}

func (v *visit) renewCertificate() error {
	v.deadline(longAnswer)
	err := v.call(http.MethodPost, "/v1/certificate/renew", nil, nil)

	return v.certDone(err, nil, "The certificate was renewed.", acmeForm{})
}

func (v *visit) usePrivate() error {
	return v.useSource(map[string]any{"source": "private"}, acmeForm{})
}

// setTLSPolicy keeps the source.
func (v *visit) setTLSPolicy() error {
	var now struct {
		Settings map[string]any `json:"settings"`
	}
	if err := v.call(http.MethodGet, "/v1/certificate", nil, &now); err != nil {
		return err
	}
	settings := map[string]any{"policy": "intermediate"}
	for _, name := range []string{"source", "upload"} {
		if x, ok := now.Settings[name]; ok {
			settings[name] = x
		}
	}
	if v.value("policy") == "modern" {
		settings["policy"] = "modern"
	}

	return v.useSource(settings, acmeForm{})
}

func (v *visit) useACME() error {
	form := acmeForm{v.value("directory"), v.value("names"), v.value("contact"), v.value("agreed") == "yes"}
	if !slices.Contains([]string{"letsencrypt", "letsencrypt-staging", "zerossl"}, form.Directory) {
		form.Directory = "letsencrypt"
	}
	names := strings.FieldsFunc(form.Names, func(r rune) bool { return r == ',' || r == ' ' || r == ';' })
	acme := map[string]any{
		"directory": form.Directory, "names": names, "contact": form.Contact, "agreed": form.Agreed, "challenge": "http-01",
	}

	return v.useSource(map[string]any{"source": "acme", "acme": acme}, form)
}

// useSource has other settings of certificates tried.
func (v *visit) useSource(settings map[string]any, form acmeForm) error {
	v.deadline(longAnswer)
	var r certReport
	err := v.call(http.MethodPut, "/v1/certificate", map[string]any{"settings": settings}, &r)

	return v.certDone(err, &r, "The change is being tried. Keep it above if everything still works.", form)
}

func (v *visit) uploadCertificate() error {
	files, err := v.uploaded("files")
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return v.certAgain(problems{"files": "Choose the files of the certificate and of its key."}, nil, acmeForm{})
	}
	v.deadline(longAnswer)
	var r certReport
	err = v.call(http.MethodPost, "/v1/certificate/upload", map[string]any{
		"files": files, "password": v.value("password"), "fetch": true, "use": true,
	}, &r)

	return v.certDone(err, &r, "The certificate was checked and is being tried. Keep it above if everything still works.", acmeForm{})
}

// uploaded returns the files of a form.
func (v *visit) uploaded(name string) (files [][]byte, err error) {
	if err := v.r.ParseMultipartForm(1 << 20); err != nil {
		if errors.Is(err, http.ErrNotMultipart) {
			return nil, nil
		}
		return nil, err
	}
	var headers []*multipart.FileHeader
	if v.r.MultipartForm != nil {
		headers = v.r.MultipartForm.File[name]
	}
	for _, h := range headers {
		f, err := h.Open()
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(f)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		if len(text) > 0 {
			files = append(files, text)
		}
	}

	return files, nil
}

// certDone leads back, or shows what is in the way.
func (v *visit) certDone(err error, r *certReport, done string, form acmeForm) error {
	bad := problems{}
	if err != nil {
		if err := v.explain(err, bad, map[string]string{"certificate-password": "password"}); err != nil {
			return err
		}
	}
	if len(bad) > 0 || r != nil && r.blocked() {
		return v.certAgain(bad, r, form)
	}
	v.flash("ok", done)
	v.seeOther("/certificates")

	return nil
}

func (v *visit) certAgain(bad problems, r *certReport, form acmeForm) error {
	d, err := v.certData()
	if err != nil {
		return err
	}
	d.Report = r
	if form.Directory != "" {
		d.Form = form
	}

	return v.again("certificates", "Certificates", d, bad)
}
