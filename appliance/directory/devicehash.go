package directory

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"
)

// deviceLetters is how many letters a device's password has, of 32 that can be:
// 80 bits. That is why a fast hash is enough for it: at a billion guesses a
// second it takes some ten million years. Passwords of people have argon2id.
const deviceLetters = 16

// newDevicePassword makes a password as it is shown: four groups of four.
func newDevicePassword() string {
	return showDevice(strings.ToLower(rand.Text()[:deviceLetters]))
}

func showDevice(t string) string { return t[:4] + "-" + t[4:8] + "-" + t[8:12] + "-" + t[12:] }

// deviceText brings a device's password into the form that is hashed: people
// type it in capitals, with spaces or without hyphens. ok is false where it
// cannot be one.
func deviceText(password string) (text string, ok bool) {
	if len(password) > 4*deviceLetters {
		return "", false
	}
	var b strings.Builder
	for _, c := range []byte(strings.ToLower(password)) {
		switch {
		case c == '-' || c == ' ':
		case c >= 'a' && c <= 'z' || c >= '2' && c <= '7':
			b.WriteByte(c)
		default:
			return "", false
		}
	}
	return b.String(), b.Len() == deviceLetters
}

// deviceHash is HMAC-SHA-256 of a device's password under a salt. In the
// database it is "hmac-sha256$SALT$KEY", both in base64.
type deviceHash struct {
	salt, key []byte
}

const deviceScheme = "hmac-sha256"

func hashDevice(text string) deviceHash {
	h := deviceHash{salt: make([]byte, saltSize)}
	rand.Read(h.salt) // never fails
	h.key = h.sum(text)
	return h
}

func (h *deviceHash) sum(text string) []byte {
	m := hmac.New(sha256.New, h.salt)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// matches compares in constant time.
func (h *deviceHash) matches(text string) bool {
	return subtle.ConstantTimeCompare(h.sum(text), h.key) == 1
}

func (h *deviceHash) String() string {
	b64 := base64.RawStdEncoding
	return deviceScheme + "$" + b64.EncodeToString(h.salt) + "$" + b64.EncodeToString(h.key)
}

var errDeviceHash = errors.New("not the hash of a device's password")

func parseDeviceHash(s string) (deviceHash, error) {
	f := strings.Split(s, "$")
	if len(s) > maxPHC || len(f) != 3 || f[0] != deviceScheme {
		return deviceHash{}, errDeviceHash
	}
	b64 := base64.RawStdEncoding.Strict()
	salt, err1 := b64.DecodeString(f[1])
	key, err2 := b64.DecodeString(f[2])
	if err1 != nil || err2 != nil || len(salt) < 8 || len(key) != sha256.Size {
		return deviceHash{}, errDeviceHash
	}
	return deviceHash{salt: salt, key: key}, nil
}
