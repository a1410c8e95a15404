package mdns

import (
	"github.com/miekg/dns"
)

// maxMessage keeps a packet whole on Ethernet, with the headers of IPv6.
const maxMessage = 1440

// legacyTTL is the longest that a program may keep what it asked for without
// taking part in multicast DNS (section 6.7).
const legacyTTL = 10

// manner is to whom and how records are told.
type manner int

const (
	toAll manner = iota
	toOne
	toLegacy
	takenBack
)

// dressed returns a record as it is sent.
func dressed(r *record, m manner) dns.RR {
	rr := dns.Copy(r.rr)
	h := rr.Header()
	switch m {
	case toAll, toOne:
		if r.unique {
			h.Class |= flushBit
		}
	case toLegacy:
		h.Ttl = min(h.Ttl, legacyTTL)
	case takenBack:
		// Without the bit: other addresses of the host may stay.
		h.Ttl = 0
	}

	return rr
}

// responseMessages puts records into as few messages as hold them, with their
// number and question from first. What of extra finds room goes along. It
// returns the records that are told.
func responseMessages(first *dns.Msg, records, extra []record, m manner) (messages [][]byte, said []record) {
	if len(records) == 0 {
		return nil, nil
	}
	fresh := func() *dns.Msg {
		return &dns.Msg{
			MsgHdr:   dns.MsgHdr{Id: first.Id, Response: true, Authoritative: true},
			Question: first.Question, Compress: true,
		}
	}
	msg := fresh()
	for i := range records {
		msg.Answer = append(msg.Answer, dressed(&records[i], m))
		if n := len(msg.Answer); n > 1 && msg.Len() > maxMessage {
			last := msg.Answer[n-1]
			msg.Answer = msg.Answer[:n-1]
			messages = appendMessage(messages, msg)
			msg = fresh()
			msg.Answer = append(msg.Answer, last)
		}
	}
	said = append(said, records...)
	for i := range extra {
		msg.Extra = append(msg.Extra, dressed(&extra[i], m))
		if msg.Len() > maxMessage {
			msg.Extra = msg.Extra[:len(msg.Extra)-1]
			break
		}
		said = append(said, extra[i])
	}

	return appendMessage(messages, msg), said
}

// part of a probe belongs together: a question and what would be told.
type part struct {
	question  *dns.Question
	authority []dns.RR
}

// probeMessages puts parts into as few messages as hold them.
func probeMessages(parts []part) (messages [][]byte) {
	msg := &dns.Msg{Compress: true}
	for _, p := range parts {
		bigger := &dns.Msg{Compress: true}
		bigger.Question = append(append(bigger.Question, msg.Question...), *p.question)
		bigger.Ns = append(append(bigger.Ns, msg.Ns...), p.authority...)
		if len(msg.Question) > 0 && bigger.Len() > maxMessage {
			messages = appendMessage(messages, msg)
			bigger = &dns.Msg{Compress: true, Question: []dns.Question{*p.question}, Ns: p.authority}
		}
		msg = bigger
	}
	if len(msg.Question) == 0 {
		return messages
	}

	return appendMessage(messages, msg)
}

// appendMessage adds a message in wire form. One that cannot be packed, which
// checked settings do not lead to, is left out.
func appendMessage(all [][]byte, msg *dns.Msg) [][]byte {
	b, err := msg.Pack()
	if err != nil {
		return all
	}

	return append(all, b)
}
