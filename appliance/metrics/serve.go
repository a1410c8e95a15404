package metrics

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
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

// stopTime is how long answers that are being made may take at the end: a look
// at the firewall, say.
const stopTime = 5 * time.Second

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

// Serve serves ln until ctx ends, and closes it, which who ended ctx may do, too.
// Nobody looks any more when it returns, unless that takes too long.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.Metrics.handler())
	srv := &http.Server{
		Handler: s.guard(mux), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 8 << 10, ErrorLog: slog.NewLogLogger(s.Logger.Handler(), slog.LevelDebug), DisableGeneralOptionsHandler: true,
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer cancel()
		if srv.Shutdown(last) != nil {
			_ = srv.Close()
		}
	})
	defer stop()
	if err := srv.Serve(tls.NewListener(netutil.LimitListener(ln, maxScrapers), s.TLS)); ctx.Err() == nil {
		return fmt.Errorf("serve metrics: %w", err)
	}
	<-stopped

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
			w.Header().Set("Connection", "close") // a stranger keeps no place that Prometheus needs
			http.Error(w, "A token is needed: pillarbox metrics token makes one.", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
