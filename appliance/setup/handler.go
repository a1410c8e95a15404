package setup

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"pillarbox/appliance/profile"
)

// The paths. Those of autodiscover come in any case of letters.
const (
	pathConfig    = "/mail/config-v1.1.xml"
	pathWellKnown = "/.well-known/autoconfig/mail/config-v1.1.xml"
	pathPOX       = "/autodiscover/autodiscover.xml"
	pathJSON      = "/autodiscover/autodiscover.json"
	pathConnect   = "/connect"
	pathCA        = "/connect/ca.crt"
	pathProfile   = "/connect/apple.mobileconfig"
)

// The names that stand before a domain.
const (
	autoconfigHost   = "autoconfig."
	autodiscoverHost = "autodiscover."
)

// Handler returns what answers a request, nil where it is not for the Service: by
// its path, or by a host name that is there for nothing else. secure tells that
// it came by HTTPS. How many requests there may be is the listeners' matter.
func (s *Service) Handler(r *http.Request, secure bool) http.Handler {
	answer := s.route(r)
	if host := hostOf(r); answer == nil && !strings.HasPrefix(host, autoconfigHost) && !strings.HasPrefix(host, autodiscoverHost) {
		return nil
	}

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, answer, secure) })
}

// answer is how requests of a kind are answered.
type answer func(http.ResponseWriter, *http.Request, *question)

func (s *Service) serve(w http.ResponseWriter, r *http.Request, answer answer, secure bool) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", contentPolicy)
	if answer == nil {
		http.NotFound(w, r)
		return
	}
	f, err := s.office.Facts(r.Context(), client(r))
	if err != nil {
		s.log.ErrorContext(r.Context(), "a mail program was not told how to connect", "path", r.URL.Path, "err", err)
		http.Error(w, "the box cannot tell how to connect now", http.StatusServiceUnavailable)
		return
	}
	answer(w, r, &question{Facts: f, host: hostOf(r), secure: secure})
}

// question is a request with what is known about it.
type question struct {
	*Facts

	host   string // as asked for, in lower case, without the port
	secure bool   // by HTTPS
}

func (s *Service) route(r *http.Request) answer {
	path := r.URL.Path
	switch path {
	case pathConfig, pathWellKnown:
		return s.serveAutoconfig
	case pathConnect:
		return s.serveConnect
	case pathCA:
		return s.serveCA
	case pathProfile:
		return s.serveProfile
	}
	if rest, ok := cutFold(path, pathPOX); ok && rest == "" {
		return s.servePOX
	}
	if rest, ok := cutFold(path, pathJSON); ok && (rest == "" || rest[0] == '/') {
		return s.serveJSON
	}

	return nil
}

// cutFold returns what follows a prefix, which is in lower case, in any case of
// letters.
func cutFold(s, prefix string) (rest string, ok bool) {
	if len(s) < len(prefix) || strings.ToLower(s[:len(prefix)]) != prefix {
		return "", false
	}

	return s[len(prefix):], true
}

// serveAutoconfig answers for the domain of the address, and without one for that
// of the host.
func (s *Service) serveAutoconfig(w http.ResponseWriter, r *http.Request, q *question) {
	domain, ok := "", false
	switch address := r.URL.Query().Get("emailaddress"); {
	case address != "":
		domain, ok = q.domain(address)
	default:
		domain = strings.TrimPrefix(q.host, autoconfigHost)
		ok = slices.Contains(q.Domains, domain)
	}
	if !ok || !q.serves(autoconfigHost) || len(q.authentication()) == 0 {
		http.NotFound(w, r)
		return
	}
	if !allowed(w, r, http.MethodGet) {
		return
	}
	text, err := q.autoconfig(domain)
	s.send(w, r, "text/xml; charset=utf-8", text, err)
}

// servePOX answers by HTTPS. By plain HTTP it sends the client on, as Outlook
// expects it of a host that shows by that where the answer is.
func (s *Service) servePOX(w http.ResponseWriter, r *http.Request, q *question) {
	switch {
	case !q.serves(autodiscoverHost):
		http.NotFound(w, r)
		return
	case !q.secure:
		if q.HTTPS == 0 {
			http.NotFound(w, r)
			return
		}
		if allowed(w, r, http.MethodGet, http.MethodPost) {
			w.Header().Set("Location", q.base()+pathPOX)
			w.WriteHeader(http.StatusFound)
		}
		return
	case !allowed(w, r, http.MethodPost):
		return
	}
	asked, wrong := parseAutodiscover(http.MaxBytesReader(w, r.Body, maxPOX+1))
	text, err := q.autodiscover(asked, wrong, s.now())
	s.send(w, r, "text/xml; charset=utf-8", text, err)
}

func (s *Service) serveJSON(w http.ResponseWriter, r *http.Request, q *question) {
	rest, _ := cutFold(r.URL.Path, pathJSON)
	asked, ok := parseJSONQuestion(rest, r.URL.Query())
	if !ok || !q.serves(autodiscoverHost) || q.HTTPS == 0 {
		http.NotFound(w, r)
		return
	}
	if !allowed(w, r, http.MethodGet) {
		return
	}
	status, answer := q.answerJSON(asked, q.base())
	text, err := json.Marshal(answer)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if err == nil && status != http.StatusOK {
		w.WriteHeader(status)
	}
	s.send(w, r, "application/json; charset=utf-8", text, err)
}

func (s *Service) serveConnect(w http.ResponseWriter, r *http.Request, q *question) {
	if !q.serves("") {
		http.NotFound(w, r)
		return
	}
	if !allowed(w, r, http.MethodGet) {
		return
	}
	var p *Person
	if address := r.URL.Query().Get("emailaddress"); address != "" {
		if _, ok := q.domain(address); ok {
			p = &Person{Address: address}
		}
	}
	text, err := connectPage(q, p)
	s.send(w, r, "text/html; charset=utf-8", text, err)
}

func (s *Service) serveCA(w http.ResponseWriter, r *http.Request, q *question) {
	if !q.serves("") || !q.Private {
		http.NotFound(w, r)
		return
	}
	if !allowed(w, r, http.MethodGet) {
		return
	}
	w.Header().Set("Content-Disposition", `attachment; filename="ca.crt"`)
	s.send(w, r, "application/x-x509-ca-cert", s.trust.Root(), nil)
}

// serveProfile makes a profile for any address in the office's domains, there
// being an account or not.
func (s *Service) serveProfile(w http.ResponseWriter, r *http.Request, q *question) {
	address := r.URL.Query().Get("emailaddress")
	if _, ok := q.domain(address); !ok || !q.serves("") {
		http.NotFound(w, r)
		return
	}
	if !allowed(w, r, http.MethodGet) {
		return
	}
	text, err := s.signedProfile(q.Facts, &Person{Address: address})
	w.Header().Set("Content-Disposition", `attachment; filename="mail.mobileconfig"`)
	s.send(w, r, profile.ContentType, text, err)
}

func (s *Service) send(w http.ResponseWriter, r *http.Request, kind string, text []byte, err error) {
	if err != nil {
		s.log.ErrorContext(r.Context(), "a mail program was not told how to connect", "path", r.URL.Path, "err", err)
		http.Error(w, "the box cannot tell how to connect now", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	_, err = bytes.NewReader(text).WriteTo(w)
	if err != nil && !errors.Is(err, http.ErrBodyNotAllowed) { // HEAD
		s.log.DebugContext(r.Context(), "answer not sent", "err", err)
	}
}

// serves tells whether the host is one by which may be asked: the box's names,
// and a domain, alone and behind the name that is there for the purpose.
func (q *question) serves(purpose string) bool {
	return slices.ContainsFunc(q.Names, func(n string) bool { return strings.EqualFold(n, q.host) }) || slices.Contains(q.Domains, q.host) ||
		purpose != "" && slices.Contains(q.Domains, strings.TrimPrefix(q.host, purpose))
}

// base returns the root of the HTTPS pages by the host that was asked, which
// the client can resolve.
func (q *question) base() string {
	return (&url.URL{Scheme: "https", Host: hostPort(q.host, q.HTTPS, portHTTPS)}).String()
}

// hostPort leaves out the port where it is the usual one.
func hostPort(host string, port, usual uint16) string {
	switch {
	case port != usual:
		return net.JoinHostPort(host, strconv.Itoa(int(port)))
	case strings.Contains(host, ":"):
		return "[" + host + "]"
	}

	return host
}

// allowed answers where a method is none of those; HEAD goes with GET.
func allowed(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if slices.Contains(methods, r.Method) || r.Method == http.MethodHead && slices.Contains(methods, http.MethodGet) {
		return true
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	http.Error(w, "this is asked for by "+strings.Join(methods, " or "), http.StatusMethodNotAllowed)

	return false
}

// hostOf returns the name that was asked for, in lower case, without the port and
// a dot at its end.
func hostOf(r *http.Request) string {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}

	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// client returns the address of who asks, not valid if it is not known.
func client(r *http.Request) netip.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}

	return a.Addr().Unmap()
}
