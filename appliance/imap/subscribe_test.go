package imap_test

import (
	"slices"
	"testing"
)

func TestSubscribe(t *testing.T) {
	o := newOffice(t)
	o.dial().do("SUBSCRIBE x", "BAD Log in first")
	c := o.login()
	c.quiet("CREATE a/b")
	c.do("SUBSCRIBE a/b", "OK SUBSCRIBE completed")
	c.do("SUBSCRIBE a/b", "OK SUBSCRIBE completed")
	c.do("SUBSCRIBE later/", "OK SUBSCRIBE completed")
	c.do(`SUBSCRIBE ""`, "NO [CANNOT] The mailbox name is not valid")
	c.do("UNSUBSCRIBE Junk", "OK UNSUBSCRIBE completed")
	c.do("UNSUBSCRIBE Junk", "OK UNSUBSCRIBE completed")
	c.do("UNSUBSCRIBE inbox", "OK UNSUBSCRIBE completed")
	c.do("SUBSCRIBE inBOX", "OK SUBSCRIBE completed")
	c.do("UNSUBSCRIBE", "BAD …")

	got := o.account("alice").Subscriptions()
	for _, name := range []string{"a/b", "later", "INBOX"} {
		if !slices.Contains(got, name) {
			t.Errorf("%s is not subscribed: %q", name, got)
		}
	}
	if slices.Contains(got, "Junk") {
		t.Errorf("Junk is still subscribed: %q", got)
	}
}

func TestSubscribeByLibrary(t *testing.T) {
	o := newOffice(t)
	c := o.library(nil)
	if err := c.Unsubscribe("Sent").Wait(); err != nil {
		t.Fatal(err)
	}
	if err := c.Subscribe("Später").Wait(); err != nil {
		t.Fatal(err)
	}
	got := o.account("alice").Subscriptions()
	if slices.Contains(got, "Sent") || !slices.Contains(got, "Später") {
		t.Errorf("subscribed: %q", got)
	}
}
