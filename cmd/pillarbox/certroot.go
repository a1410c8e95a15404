package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/skip2/go-qrcode"
	"golang.org/x/net/netutil"

	"pillarbox/appliance/control"
)

// certRootCommand gives the CA's certificate to devices.
type certRootCommand struct {
	dataFlag

	Crt     string        `help:"Write the certificate to a file, for Windows, Android, Thunderbird and others." type:"path" placeholder:"FILE"`
	Profile string        `help:"Write a profile to a file (.mobileconfig), for iPhone, iPad and Mac." type:"path" placeholder:"FILE"`
	QR      bool          `name:"qr" help:"Show a code by which a phone in this network fetches it, until Ctrl-C or --for has passed."`
	Listen  string        `help:"Where the phone fetches it, HOST:PORT. Without it a free port of this machine's address in the network." placeholder:"ADDR"`
	For     time.Duration `help:"For how long." default:"10m"`
}

// Help is printed below the flags.
func (c *certRootCommand) Help() string {
	return `Without flags it prints the certificate. What a phone fetches by the code comes without
encryption, as it does not trust the box yet: compare the fingerprint that it shows with
the one that is printed here before you install it.`
}

// Run writes or shows the certificate.
func (c *certRootCommand) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, false, func(client *control.Client) error {
		crt, err := client.CertificateRoot(ctx, false)
		if err != nil {
			return err
		}
		profile, err := client.CertificateRoot(ctx, true)
		if err != nil {
			return err
		}
		s, err := client.Certificate(ctx)
		if err != nil {
			return err
		}
		for _, f := range []struct {
			name string
			text []byte
		}{{c.Crt, crt}, {c.Profile, profile}} {
			if f.name == "" {
				continue
			}
			if err := os.WriteFile(f.name, f.text, 0o644); err != nil {
				return err
			}
			if _, err := fmt.Fprintf(e.stdout, "wrote %s\n", filepath.Base(f.name)); err != nil {
				return err
			}
		}
		if c.QR {
			return c.offer(ctx, e, crt, profile, s.CA.SHA256)
		}
		if c.Crt == "" && c.Profile == "" {
			_, err = e.stdout.Write(crt)
		}

		return err
	})
}

// offer serves the certificate to phones for a while.
func (c *certRootCommand) offer(ctx context.Context, e *env, crt, profile []byte, fingerprint string) error {
	addr := c.Listen
	if addr == "" {
		host, err := ownAddress()
		if err != nil {
			return err
		}
		addr = net.JoinHostPort(host, "0")
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("open a port for phones: %w", err)
	}
	base := "http://" + ln.Addr().String()
	code, err := qrcode.New(base+"/", qrcode.Medium)
	if err != nil {
		return errors.Join(fmt.Errorf("make the code: %w", err), ln.Close())
	}
	if _, err := fmt.Fprintf(e.stdout, "%s\n%s/ (or %s/ca.crt, %s/ca.mobileconfig)\nfingerprint  SHA-256 %s\n",
		code.ToSmallString(false), base, base, base, fingerprint); err != nil {
		return errors.Join(err, ln.Close())
	}
	give := func(kind, name string, text []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
			_, _ = w.Write(text) // a phone that has gone asks again
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ca.crt", give("application/x-x509-ca-cert", "ca.crt", crt))
	mux.HandleFunc("GET /ca.mobileconfig", give("application/x-apple-aspen-config", "ca.mobileconfig", profile))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><meta name="viewport" content="width=device-width"><title>Pillarbox</title>
<p><a href="/ca.mobileconfig">iPhone, iPad, Mac</a><p><a href="/ca.crt">Android and others</a><p>SHA-256 <code>%s</code>`, fingerprint)
	})
	ctx, cancel := context.WithTimeout(ctx, c.For)
	defer cancel()
	server := &http.Server{
		Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 10 * time.Second, MaxHeaderBytes: 8 << 10,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(netutil.LimitListener(ln, 32)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve phones: %w", err)
	}

	return nil
}

// ownAddress returns an address by which others in the network reach this
// machine.
func ownAddress() (string, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("find this machine's address: %w", err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String(), nil
		}
	}

	return "", &usageError{err: errors.New("this machine has no address in a network; say where by --listen")}
}
