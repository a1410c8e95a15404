package imap_test

import (
	"slices"
	"strings"
	"testing"

	imaplib "github.com/emersion/go-imap/v2"
)

const (
	capsBefore = "IMAP4rev1 IMAP4rev2 LITERAL+ ID ENABLE SASL-IR AUTH=PLAIN AUTH=LOGIN"
	capsAfter  = "IMAP4rev1 IMAP4rev2 LITERAL+ ID ENABLE SASL-IR" +
		" IDLE NAMESPACE UIDPLUS MOVE UNSELECT CHILDREN" +
		" LIST-EXTENDED LIST-STATUS STATUS=SIZE SPECIAL-USE CREATE-SPECIAL-USE XLIST" +
		" ESEARCH SEARCHRES WITHIN BINARY UTF8=ACCEPT MULTIAPPEND" +
		" QUOTA QUOTA=RES-STORAGE CONDSTORE QRESYNC OBJECTID SAVEDATE APPENDLIMIT=52428800"
)

func TestCapability(t *testing.T) {
	o := newOffice(t)
	c := o.dialRaw()
	c.expect("* OK [CAPABILITY " + capsBefore + "] Pillarbox is ready")
	c.do("CAPABILITY", "* CAPABILITY "+capsBefore, "OK CAPABILITY completed")
	c.do("LOGIN alice secret", "OK [CAPABILITY "+capsAfter+"] Logged in")
	c.do("capability", "* CAPABILITY "+capsAfter, "OK CAPABILITY completed")
}

// TestCapabilityHasOneLiteral: RFC 7888, section 5.
func TestCapabilityHasOneLiteral(t *testing.T) {
	for _, caps := range []string{capsBefore, capsAfter} {
		names := strings.Fields(caps)
		if slices.Contains(names, "LITERAL+") && slices.Contains(names, "LITERAL-") {
			t.Errorf("LITERAL+ and LITERAL- are both told: %s", caps)
		}
	}
}

func TestCapabilityByLibrary(t *testing.T) {
	c := newOffice(t).library(nil)
	caps := c.Caps()
	for _, want := range []imaplib.Cap{
		imaplib.CapIMAP4rev1, imaplib.CapIMAP4rev2, imaplib.CapIdle, imaplib.CapMove,
		imaplib.CapUIDPlus, imaplib.CapSpecialUse, imaplib.CapCondStore, imaplib.CapUTF8Accept,
		imaplib.CapLiteralMinus, // implied by LITERAL+
	} {
		if !caps.Has(want) {
			t.Errorf("the client does not see %s", want)
		}
	}
}
