package smtp

import (
	"strings"
	"unicode"

	"pillarbox/appliance/delivery"
)

// reply is an answer with its enhanced status code (RFC 3463).
type reply struct {
	code     int
	enhanced string
	text     string
}

// replyTo answers for a recipient.
func replyTo(err error) reply {
	switch delivery.ReasonOf(err) {
	case delivery.Delivered:
		return reply{250, "2.0.0", "delivered"}
	case delivery.UnknownRecipient:
		return reply{550, "5.1.1", "no such recipient here"}
	case delivery.NotAdmitted:
		// RFC 3463, section 3.8.
		return reply{550, "5.7.2", "only people of the office may write to this address"}
	case delivery.OverQuota:
		// Final, so that the sender learns of it at once and not after the
		// days that a queue waits.
		return reply{552, "5.2.2", "the mailbox is full"}
	case delivery.TooBig:
		return reply{552, "5.3.4", "the message is too large"}
	case delivery.Loop:
		return reply{554, "5.4.6", "the message goes in circles"}
	case delivery.BadMailbox:
		return reply{550, "5.2.0", "the mailbox cannot be opened"}
	case delivery.DiskFull:
		return reply{452, "4.3.1", "the disk is full; try again later"}
	default:
		return reply{451, "4.3.0", "the message cannot be stored now; try again later"}
	}
}

// oneLine keeps an answer on its line.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
}
