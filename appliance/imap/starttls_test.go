package imap_test

import "testing"

func TestStartTLS(t *testing.T) {
	o := newOffice(t)
	o.dial().do("STARTTLS", "BAD TLS is on already")
	o.login().do("STARTTLS", "BAD …")
}
