package webui

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// apiPrefix stands before the paths of the API.
const apiPrefix = "/api"

// registerAPI makes the mux of what tokens open.
func (s *Server) registerAPI() {
	s.api = http.NewServeMux()
	for pattern, name := range s.conf.API.Routes() {
		role, err := ParseRole(name)
		if err != nil || role == Anyone {
			role = Administrator
		}
		s.api.Handle(pattern, s.serveToken(role))
	}
	s.mux.HandleFunc("GET /api/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(s.conf.API.OpenAPI()) // a client that has gone asks again
	})
}

// serveAPI answers programs. Only a token opens it: what a browser sends by
// itself does not.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	if !s.connOf(r).secure {
		apiFail(w, http.StatusForbidden, "insecure", "tokens are taken by HTTPS only")
		return
	}
	inner := r.Clone(r.Context())
	inner.URL.Path = strings.TrimPrefix(r.URL.Path, apiPrefix)
	inner.URL.RawPath = strings.TrimPrefix(r.URL.RawPath, apiPrefix)
	s.api.ServeHTTP(w, inner)
}

func (s *Server) serveToken(role Role) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secret, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			w.Header().Set("WWW-Authenticate", `Bearer realm="pillarbox"`)
			apiFail(w, http.StatusUnauthorized, "token", "a token is wanted: Authorization: Bearer …")
			return
		}
		t := s.tokens.find(r.Context(), secret)
		switch {
		case t == nil:
			s.refuseToken(w, r, secret)
			return
		case t.Role < role:
			apiFail(w, http.StatusForbidden, "role", "the token's role, "+t.Role.String()+", does not allow this: it wants "+role.String())
			return
		}
		may, err := s.tokenRole(r.Context(), t)
		switch {
		case err != nil:
			s.log.ErrorContext(r.Context(), "a token's request failed", "path", r.URL.Path, "err", err)
			apiFail(w, http.StatusInternalServerError, "internal", "what the token may do could not be found out; it is in the log")
			return
		case may < role:
			apiFail(w, http.StatusForbidden, "role", "a token never may more than who made it, and they may no longer do this: it wants "+role.String())
			return
		}
		by := Caller{Name: "token " + t.Name + ", " + remoteOf(r).String(), Began: s.connOf(r).began, User: t.Maker}
		if address := r.PathValue("address"); address != "" && r.Method != http.MethodGet {
			above, err := s.roleOf(r.Context(), by, address)
			switch {
			case err != nil:
				s.log.ErrorContext(r.Context(), "a token's request failed", "path", r.URL.Path, "err", err)
				apiFail(w, http.StatusInternalServerError, "internal", "what that person may do could not be found out; it is in the log")
				return
			case above > may:
				apiFail(w, http.StatusForbidden, "role", "that person may do more on the web page than the token: only a token of their role changes their account")
				return
			}
		}
		s.conf.API.Answer(w, by.asking(r), by)
	})
}

// tokenRole is what a token may do now: no more than who made it.
func (s *Server) tokenRole(ctx context.Context, t *token) (Role, error) {
	if t.Maker == "" || t.Maker == admin {
		return t.Role, nil
	}
	active, err := s.conf.Gate.Active(ctx, t.Maker)
	if err != nil || !active {
		return Anyone, err
	}

	return min(t.Role, s.users.get(t.Maker).role()), nil
}

// roleOf returns the role of the person who has an address, Anyone where nobody
// does. It asks the API, which finds the account by every spelling of its address
// that the request itself would find it by.
func (s *Server) roleOf(ctx context.Context, by Caller, address string) (Role, error) {
	var has struct {
		Role Role `json:"role"`
	}
	err := s.call(ctx, by, http.MethodGet, personPath(address, "web"), nil, &has)
	var wrong *APIError
	if errors.As(err, &wrong) && wrong.Status < http.StatusInternalServerError {
		return Anyone, nil // the request is answered so, too
	}

	return has.Role, err
}

// refuseToken counts a token that is none as a wrong password. Right ones are not
// counted: programs may ask often.
func (s *Server) refuseToken(w http.ResponseWriter, r *http.Request, secret string) {
	err := s.conf.Gate.Weigh(r.Context(), "token", hashOf(secret), s.connOf(r).remote(), func() bool { return false })
	var slow *Refusal
	if errors.As(err, &slow) {
		apiFail(w, http.StatusTooManyRequests, "busy", slow.Text)
		return
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="pillarbox", error="invalid_token"`)
	apiFail(w, http.StatusUnauthorized, "token", "the token is not known, was revoked or is too old")
}

// apiFail answers with an error as package control does.
func apiFail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": code, "message": message}) // a client that has gone asks again
}
