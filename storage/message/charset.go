package message

import (
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
)

// charsetEncoding returns a charset's encoding as browsers know it (mail
// labels Windows-1252 as ISO-8859-1 and GBK as GB2312 all the time), or as
// IANA does. It is nil where octets are taken as they come: UTF-8, none, and
// those not known.
func charsetEncoding(name string) encoding.Encoding {
	switch name {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
		return nil
	}
	e, err := htmlindex.Get(name)
	if err == nil && e != encoding.Replacement {
		if n, err := htmlindex.Name(e); err == nil && n == "utf-8" {
			return nil
		}
		return e
	}
	if e, err = ianaindex.MIME.Encoding(name); err == nil && e != nil {
		return e
	}
	if e, err = ianaindex.IANA.Encoding(name); err == nil && e != nil {
		return e
	}
	return nil
}

// isASCIISuperset tells whether, under a charset, an octet below 128 always
// is the ASCII character and no part of another one.
func isASCIISuperset(e encoding.Encoding) bool {
	if e == nil {
		return true
	}
	_, ok := e.(*charmap.Charmap)
	return ok && e != charmap.CodePage037 && e != charmap.CodePage1047 && e != charmap.CodePage1140
}

// toUTF8 decodes text of a charset. What is not UTF-8 although it should be
// is taken as Windows-1252, which decodes everything.
func toUTF8(charset string, text []byte) []byte {
	e := charsetEncoding(charset)
	if e == nil {
		if utf8.Valid(text) {
			return text
		}
		e = charmap.Windows1252
	}
	out, err := e.NewDecoder().Bytes(text)
	if err != nil {
		return text
	}
	return out
}
