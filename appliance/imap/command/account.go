package command

import (
	"encoding/base64"
	"strings"

	"github.com/emersion/go-imap/v2"
)

const (
	maxEnable   = 64 // capabilities of one ENABLE
	maxIDFields = 64 // RFC 2971, section 3.3 asks for 30 at most
)

func (r *Reader) login() Args {
	r.dec.Space()
	user := r.dec.AString()
	r.dec.Space()
	return &Login{Username: user, Password: r.dec.AString()}
}

func (r *Reader) authenticate() Args {
	r.dec.Space()
	a := &Authenticate{Mechanism: string(r.dec.Word())}
	if !r.dec.More() {
		return a
	}
	initial := r.dec.Atom()
	if initial == "=" { // RFC 4959, section 3
		a.Initial = []byte{}
		return a
	}
	response, err := base64.StdEncoding.DecodeString(initial)
	if err != nil {
		r.dec.Fail("the initial response is not base64")
	}
	a.Initial = response
	return a
}

func (r *Reader) enable() Args {
	r.dec.Space()
	e := &Enable{}
	for {
		e.Caps = append(e.Caps, capability(string(r.dec.Word())))
		if !r.dec.More() {
			return e
		}
		if len(e.Caps) == maxEnable {
			r.dec.Fail("more than %d capabilities", maxEnable)
		}
	}
}

// capability returns the library's spelling of a name in upper case.
func capability(name string) imap.Cap {
	if name == "IMAP4REV2" {
		return imap.CapIMAP4rev2
	}
	if name == "IMAP4REV1" {
		return imap.CapIMAP4rev1
	}
	return imap.Cap(name)
}

func (r *Reader) id() Args {
	r.dec.Space()
	if r.dec.TakeNil() {
		return &ID{}
	}
	params := map[string]string{}
	r.list1(maxIDFields, true, func() {
		key := strings.ToLower(r.dec.String())
		r.dec.Space()
		value, _ := r.dec.NString()
		params[key] = value
	})
	return &ID{Params: params}
}

func (r *Reader) getQuota() Args {
	r.dec.Space()
	return &GetQuota{Root: r.dec.AString()}
}

func (r *Reader) setQuota() Args {
	r.dec.Space()
	q := &SetQuota{Root: r.dec.AString()}
	r.dec.Space()
	r.list1(maxListItems, true, func() {
		r.dec.Atom()
		r.dec.Space()
		r.dec.Number64()
	})
	return q
}
