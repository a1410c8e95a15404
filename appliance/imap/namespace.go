package imap

// namespace is NAMESPACE (RFC 9051, section 6.3.10): all mailboxes are the
// person's own, and none is shared.
func (s *session) namespace() error {
	s.out.Buf = append(s.out.Buf, `* NAMESPACE (("" "/")) NIL NIL`+"\r\n"...)
	return nil
}
