package imap_test

import "testing"

func TestNamespace(t *testing.T) {
	o := newOffice(t)
	o.dial().do("NAMESPACE", "BAD Log in first")
	o.login().do("NAMESPACE", `* NAMESPACE (("" "/")) NIL NIL`, "OK NAMESPACE completed")
}

func TestNamespaceByLibrary(t *testing.T) {
	data, err := newOffice(t).library(nil).Namespace().Wait()
	if err != nil {
		t.Fatal(err)
	}
	if len(data.Personal) != 1 || data.Personal[0].Prefix != "" || data.Personal[0].Delim != '/' {
		t.Errorf("got %+v", data)
	}
}
