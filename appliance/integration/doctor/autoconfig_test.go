package doctor_test

import (
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"pillarbox/appliance/doctor"
	"pillarbox/appliance/setup"
)

// servePages has the server answer by plain HTTP.
func servePages(t *testing.T, h http.HandlerFunc) {
	t.Helper()
	ln, err := net.Listen("tcp", mail4+":80")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	go func() { _ = s.Serve(ln) }()
	t.Cleanup(func() { _ = s.Close() })
}

func TestAutoconfig(t *testing.T) {
	p := newPKI(t)
	s := setup.New(&setup.Config{Office: published{}, Logger: slog.New(slog.DiscardHandler)})
	ours, err := s.Autoconfig(t.Context(), "office.example")
	if err != nil {
		t.Fatal(err)
	}
	instead := func(old, by string) string { return strings.ReplaceAll(string(ours), old, by) }
	for _, tt := range []struct {
		name, file string
		want       []string
	}{
		{"as the box answers", string(ours), nil},
		{"nothing", "", []string{"autoconfig-wrong"}},
		{"another page", "<html><body>Welcome</body></html>", []string{"autoconfig-wrong"}},
		{"no server", instead("imap", "nntp"), []string{"autoconfig-wrong"}},
		{"a name without an address", instead(mailName, "gone.office.example"), []string{"autoconfig-wrong"}},
		{"where nothing answers", instead("<port>993<", "<port>994<"), []string{"autoconfig-wrong"}},
		{"990", instead("<port>993<", "<port>990<"), []string{"autoconfig-990"}},
		{"without TLS", instead("<socketType>SSL<", "<socketType>plain<"), []string{"autoconfig-plain"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			names(t, append(office(), "host-record=autoconfig.office.example,"+mail4)...)
			for _, port := range []string{"993", "990"} {
				ln, err := net.Listen("tcp", mail4+":"+port)
				if err != nil {
					t.Fatal(err)
				}
				defer ln.Close()
			}
			servePages(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Host != "autoconfig.office.example" || r.URL.Path != "/mail/config-v1.1.xml" || tt.file == "" {
					http.NotFound(w, r)
					return
				}
				_, _ = w.Write([]byte(tt.file))
			})
			r := &doctor.Request{Host: mailName, Port: 24, Domain: "office.example"}
			expect(t, ask(t, p, r), append([]string{"port-closed"}, tt.want...)...)
		})
	}
}
