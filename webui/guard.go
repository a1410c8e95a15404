package webui

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// policy is what a page may load and where its forms may go.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// ServeHTTP implements http.Handler. It looks at what holds for every request
// before any page does.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn := s.connOf(r)
	if s.conf.Proof != nil && !conn.secure && strings.HasPrefix(r.URL.Path, s.conf.ProofPath) {
		s.conf.Proof.ServeHTTP(w, r)
		return
	}
	// Mail programs ask under names that are only theirs.
	if s.conf.Public != nil {
		if h := s.conf.Public(r, conn.secure); h != nil {
			h.ServeHTTP(w, r)
			return
		}
	}
	setHeaders(w.Header(), conn.secure)
	if !s.conf.Inside(remoteOf(r)) {
		http.Error(w, "This page can be opened from the office's own network only.", http.StatusForbidden)
		return
	}
	if !s.hosts(r) {
		http.Error(w, "This is not one of the names of this box. Open the page by the box's address, or as http://pillarbox.local/.",
			http.StatusMisdirectedRequest)
		return
	}
	if err := s.origins.Check(r); err != nil || conn.secure && strings.HasPrefix(r.Header.Get("Origin"), "http:") {
		http.Error(w, "The request came from another site's page and was refused.", http.StatusForbidden)
		return
	}
	if !conn.secure && s.redirects(w, r) {
		return
	}
	// A few octets can stand for gigabytes; and a form that was taken for another
	// would be one without fields.
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		packed(w, r)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/api/v1/") {
		s.serveAPI(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// packed answers a request whose body is compressed.
func packed(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Accept-Encoding", "identity") // RFC 9110, section 15.5.16
	const text = "what is sent must not be compressed: send it without Content-Encoding"
	if strings.HasPrefix(r.URL.Path, "/api/") {
		apiFail(w, http.StatusUnsupportedMediaType, "request", text)
		return
	}
	http.Error(w, sentence(text), http.StatusUnsupportedMediaType)
}

func setHeaders(h http.Header, secure bool) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
	h.Set("Cache-Control", "no-store")
	if secure {
		// A name alone, and for a day: whoever must go back to another
		// certificate is not locked out by a browser that remembers for long.
		h.Set("Strict-Transport-Security", "max-age=86400")
	}
}

// hosts tells whether the Host is one of ours. An address is: no name of
// somebody else's is behind it. One with a zone is none, as no browser sends it.
func (s *Server) hosts(r *http.Request) bool {
	host := hostOf(r)
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return a.Zone() == ""
	}
	if host == "localhost" || host == "pillarbox.local" {
		return true
	}

	return slices.ContainsFunc(s.conf.Names(), func(name string) bool {
		name = strings.TrimSuffix(strings.ToLower(name), ".")
		return host == name || !strings.Contains(name, ".") && host == name+".local"
	})
}

// hostOf returns the host that a request names, without its port.
func hostOf(r *http.Request) string {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}

	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// redirects leads from the plain port to the other one; until the box is claimed
// only what needs it goes there.
func (s *Server) redirects(w http.ResponseWriter, r *http.Request) bool {
	if strings.HasPrefix(r.URL.Path, "/static/") || strings.HasPrefix(r.URL.Path, "/trust/") {
		return false
	}
	claimed, err := s.conf.Gate.Claimed()
	if err == nil && !claimed {
		return false
	}
	to := s.secureURL(r, r.URL.RequestURI())
	switch {
	case to == "":
		http.Error(w, "The port for HTTPS is closed on this box, and passwords are not taken without it.", http.StatusServiceUnavailable)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		discard(r.Body)
		http.Redirect(w, r, s.secureURL(r, "/"), http.StatusSeeOther)
	default:
		http.Redirect(w, r, to, http.StatusTemporaryRedirect)
	}

	return true
}

// secureURL returns where a path is by HTTPS, "" if it is nowhere.
func (s *Server) secureURL(r *http.Request, path string) string {
	_, port := s.conf.Ports()
	host := strings.Trim(hostOf(r), "[]")
	if port == 0 || !strings.HasPrefix(path, "/") {
		return ""
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != 443 {
		host += ":" + strconv.Itoa(port)
	}

	return "https://" + host + path
}
