package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pillarbox/appliance"
)

// showSample makes the sample office, if it is missing, and tells how to
// connect to it.
func showSample(ctx context.Context, e *env, a *appliance.Appliance, data string) error {
	fmt.Fprintln(e.stdout, "Preparing the sample office (the first time takes some seconds) ...")
	s, err := a.Sample(ctx)
	if err != nil {
		return err
	}
	ca, err := filepath.Abs(a.CAFile())
	if err != nil {
		return fmt.Errorf("tell how to connect: %w", err)
	}
	imaps := a.Addresses("imaps")
	if len(imaps) == 0 {
		imaps = a.Addresses("imaps-legacy")
	}
	if len(imaps) == 0 {
		return nil
	}
	_, port, err := net.SplitHostPort(imaps[0])
	if err != nil {
		return fmt.Errorf("tell how to connect: %w", err)
	}
	program := "pillarbox"
	if len(os.Args) > 0 && os.Args[0] != "" {
		program = os.Args[0]
	}

	var b strings.Builder
	fmt.Fprintf(&b, "\nThe sample office is open. Connect any mail program to it:\n\n")
	fmt.Fprintf(&b, "  protocol  IMAP with SSL/TLS (not STARTTLS), password log-in\n")
	fmt.Fprintf(&b, "  server    localhost, port %s\n", port)
	for _, name := range []string{"imaps", "imaps-legacy"} {
		if addrs := a.Addresses(name); len(addrs) > 0 {
			fmt.Fprintf(&b, "            %-12s  %s\n", name, strings.Join(addrs, "  "))
		}
	}
	for _, p := range s.People {
		fmt.Fprintf(&b, "  log-in    %-20s password %s\n", p.Address, string(p.Password))
	}
	fmt.Fprintf(&b, "  trust     %s\n", ca)
	if urls := webURLs(a); len(urls) > 0 {
		fmt.Fprintf(&b, "\nThe web page is at\n\n")
		for _, url := range urls {
			fmt.Fprintf(&b, "  %s\n", url)
		}
		if code := a.ClaimCode(); code != "" {
			fmt.Fprintf(&b, "  claim code  %s  (with it you become the administrator)\n", code)
		} else {
			fmt.Fprintf(&b, "  sign in as admin, or as one of the people\n")
		}
	}
	me := s.People[0]
	fmt.Fprintf(&b, "\nOr copy a line into another terminal:\n\n")
	fmt.Fprintf(&b, "  curl --cacert %s -u %s:%s 'imaps://localhost:%s/INBOX;UID=1'\n",
		quote(ca), me.Address, string(me.Password), port)
	fmt.Fprintf(&b, "  openssl s_client -quiet -crlf -connect localhost:%s -CAfile %s\n", port, quote(ca))
	fmt.Fprintf(&b, "  echo 'Subject: Hello' | %s deliver --from you@example.org --to info@office.example --data %s\n",
		quote(program), quote(data))
	fmt.Fprintf(&b, "\nCtrl-C stops it. The log follows.\n\n")
	_, err = fmt.Fprint(e.stdout, b.String())

	return err
}

// webURLs returns where the web page is, for a browser on this machine.
func webURLs(a *appliance.Appliance) (urls []string) {
	for _, l := range []struct{ name, scheme, usual string }{{"https", "https", "443"}, {"http", "http", "80"}} {
		for _, addr := range a.Addresses(l.name) {
			_, port, err := net.SplitHostPort(addr)
			if err != nil {
				continue
			}
			url := l.scheme + "://localhost/"
			if port != l.usual {
				url = l.scheme + "://localhost:" + port + "/"
			}
			if !slices.Contains(urls, url) {
				urls = append(urls, url)
			}
		}
	}

	return urls
}

// quote makes a path fit for a shell where it needs that.
func quote(path string) string {
	if !strings.ContainsAny(path, " '\"\\$`&;()<>|*?[]#~!") {
		return path
	}

	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
