package metrics

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/netutil"
)

// maxScrapers bounds who can be connected at once: Prometheus, its twin, and a
// curious administrator.
const maxScrapers = 8

// TokenHash is the SHA-256 of a token. A token has 128 bits of chance at least,
// so that no slower hash is needed.
type TokenHash [sha256.Size]byte

// HashToken returns a token's hash.
func HashToken(token string) TokenHash { return sha256.Sum256([]byte(token)) }

// Server serves the page.
type Server struct {
	Metrics *Metrics
	Logger  *slog.Logger
	TLS     *tls.Config
	// Token returns the hash of the token that opens the page; false while there
	// is none, and the page is closed.
	Token func() (TokenHash, bool)
}

// Serve serves ln until ctx ends, and closes it.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.guard(s.Metrics.handler()))
	srv := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 8 << 10, ErrorLog: slog.NewLogLogger(s.Logger.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(tls.NewListener(netutil.LimitListener(ln, maxScrapers), s.TLS)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics: %w", err)
	}

	return nil
}

// guard lets only who has the token in.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want, ok := s.Token()
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got := HashToken(strings.TrimSpace(token))
		if !ok || !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="metrics"`)
			http.Error(w, "A token is needed: pillarbox metrics token makes one.", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
