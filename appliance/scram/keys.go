package scram

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"

	"github.com/xdg-go/stringprep"
)

const (
	// Iterations is the cost of new keys, which the client bears at each
	// sign-in and the server once. RFC 7677, section 4 asks for 4,096 at least;
	// since then guessing has become cheaper, and a phone does this many in
	// less than 0.1 s.
	Iterations = 65_536

	SaltSize = 16
	keySize  = sha256.Size

	minIterations = 4096
	maxIterations = 10_000_000
)

// Keys are what the server keeps of a password (RFC 5802, section 3).
type Keys struct {
	Salt       []byte `json:"salt"`
	Iterations int    `json:"iterations"`
	Stored     []byte `json:"stored"`
	Server     []byte `json:"server"`
}

// Derive makes the keys of a password.
func Derive(password string, salt []byte, iterations int) (Keys, error) {
	// Where a password holds what SASLprep forbids, clients send it as it is or
	// refuse to begin.
	if text, err := stringprep.SASLprep.Prepare(password); err == nil && text != "" {
		password = text
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, keySize)
	if err != nil {
		return Keys{}, fmt.Errorf("derive keys: %w", err)
	}
	stored := sha256.Sum256(mac(salted, "Client Key"))

	return Keys{Salt: salt, Iterations: iterations, Stored: stored[:], Server: mac(salted, "Server Key")}, nil
}

// Valid tells whether keys from a disk can be used.
func (k *Keys) Valid() bool {
	return len(k.Salt) >= 8 && len(k.Salt) <= 64 && len(k.Stored) == keySize && len(k.Server) == keySize &&
		k.Iterations >= minIterations && k.Iterations <= maxIterations
}

// Proof is what a client has shown.
type Proof struct {
	message string // RFC 5802, section 3: AuthMessage
	proof   [keySize]byte
}

// Matches tells, in constant time, whether the client has the password of keys.
func (p *Proof) Matches(k *Keys) bool {
	clientKey := mac(k.Stored, p.message)
	subtle.XORBytes(clientKey, clientKey, p.proof[:])
	stored := sha256.Sum256(clientKey)

	return subtle.ConstantTimeCompare(stored[:], k.Stored) == 1
}

func mac(key []byte, message string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))

	return h.Sum(nil)
}
