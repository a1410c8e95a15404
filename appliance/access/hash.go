package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
)

// hasher turns names and credentials into what may be kept of them: an HMAC
// under a key of this process, which is never written.
type hasher [sha256.Size]byte

func newHasher() (h hasher) {
	rand.Read(h[:]) // never fails
	return h
}

type counterKey [16]byte

// sum hashes its parts with their lengths, so that their borders are kept apart.
func (h *hasher) sum(parts ...string) (k counterKey) {
	m := hmac.New(sha256.New, h[:])
	for _, p := range parts {
		n := len(p)
		m.Write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		m.Write([]byte(p))
	}
	copy(k[:], m.Sum(nil))
	return k
}
