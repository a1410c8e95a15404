package message

// Listed tells whether a header field (any case) is among those that Fields
// holds: what mail programs ask for with HEADER.FIELDS when they list or sync
// a mailbox. Long fields that few ask for (Received, signatures, keys) are
// not among them.
func Listed(name string) bool { return listed([]byte(name)) }

// longestListed is the length of the longest name that listed knows.
const longestListed = 31

func listed(name []byte) bool {
	if len(name) > longestListed {
		return false
	}
	var buf [longestListed]byte
	for i, c := range name {
		buf[i] = lower(c)
	}
	switch string(buf[:len(name)]) {
	case "date", "subject", "from", "sender", "reply-to", "to", "cc", "bcc",
		"message-id", "in-reply-to", "references",
		"resent-date", "resent-from", "resent-to", "resent-message-id",
		"mime-version", "content-type", "content-transfer-encoding",
		"content-disposition", "content-description", "content-id",
		"content-language", "content-location", "content-class",
		"priority", "x-priority", "x-msmail-priority", "importance", "sensitivity",
		"return-path", "delivered-to", "envelope-to", "x-original-to",
		"disposition-notification-to", "return-receipt-to", "x-confirm-reading-to",
		"auto-submitted", "precedence", "x-auto-response-suppress",
		"list-id", "list-post", "list-unsubscribe", "list-unsubscribe-post",
		"mailing-list", "mail-followup-to", "mail-reply-to",
		"newsgroups", "followup-to", "organization", "lines", "keywords", "comments",
		"user-agent", "x-mailer", "thread-topic", "thread-index",
		"x-label", "x-status", "status", "x-keywords", "x-mozilla-status",
		"x-draft-info", "x-uniform-type-identifier", "x-universally-unique-identifier",
		"x-tuid", "x-offlineimap", "x-spam-flag", "x-spam-score", "x-spam-level":
		return true
	}
	return false
}
