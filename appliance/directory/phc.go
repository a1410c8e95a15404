package directory

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// params are the costs of one argon2id hash.
type params struct {
	memory  uint32 // KiB
	time    uint32 // passes
	threads uint8
}

// present are the costs of new hashes: what OWASP's password storage cheat
// sheet gives for argon2id, and about 0.1 s on a Raspberry Pi 4.
var present = params{memory: 19 * 1024, time: 2, threads: 1}

const (
	saltSize = 16
	keySize  = 32
)

// Bounds of a hash that is accepted from the database. A damaged record must
// not make a log-in take gigabytes or minutes.
const (
	maxMemory  = 256 * 1024 // KiB
	maxTime    = 16
	maxThreads = 16
	maxPHC     = 256 // octets
)

// weakerThan tells whether a hash with costs p ought to be made anew with q.
func (p params) weakerThan(q params) bool {
	return p.memory < q.memory || p.time < q.time
}

// phc is an argon2id hash with what is needed to compute it again.
type phc struct {
	params
	salt, key []byte
}

// hashPassword takes the memory and the time that p says.
func hashPassword(password string, p params) phc {
	h := phc{params: p, salt: make([]byte, saltSize)}
	rand.Read(h.salt) // never fails
	h.key = argon2.IDKey([]byte(password), h.salt, p.time, p.memory, p.threads, keySize)
	return h
}

// noPassword is a hash that costs as much as any to compare with, and that no
// password has.
func noPassword(p params) phc {
	h := phc{params: p, salt: make([]byte, saltSize), key: make([]byte, keySize)}
	rand.Read(h.salt) // never fails
	rand.Read(h.key)
	return h
}

// matches computes the hash of password and compares in constant time.
func (h *phc) matches(password string) bool {
	k := argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(k, h.key) == 1
}

// String writes the hash in the PHC string format, as other programs do.
func (h *phc) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.memory, h.time, h.threads, b64.EncodeToString(h.salt), b64.EncodeToString(h.key))
}

var errPHC = errors.New("not an argon2id hash in PHC form")

// parsePHC reads what String wrote, and nothing that would be written otherwise.
func parsePHC(s string) (phc, error) {
	if len(s) > maxPHC {
		return phc{}, errPHC
	}
	f := strings.Split(s, "$")
	if len(f) != 6 || f[0] != "" || f[1] != "argon2id" || f[2] != "v="+strconv.Itoa(argon2.Version) {
		return phc{}, errPHC
	}
	c := strings.Split(f[3], ",")
	if len(c) != 3 {
		return phc{}, errPHC
	}
	memory, err1 := cost(c[0], "m=", maxMemory)
	passes, err2 := cost(c[1], "t=", maxTime)
	threads, err3 := cost(c[2], "p=", maxThreads)
	if err := errors.Join(err1, err2, err3); err != nil {
		return phc{}, err
	}
	salt, err1 := base64.RawStdEncoding.Strict().DecodeString(f[4])
	key, err2 := base64.RawStdEncoding.Strict().DecodeString(f[5])
	if err := errors.Join(err1, err2); err != nil {
		return phc{}, fmt.Errorf("%w: %w", errPHC, err)
	}
	// A short key would let a wrong password through by chance.
	if len(salt) < 8 || len(key) < 16 || memory < 8*threads {
		return phc{}, errPHC
	}
	h := phc{params: params{memory: memory, time: passes, threads: uint8(threads)}, salt: salt, key: key}
	// Line breaks within base64 and leading zeros are not our writing.
	if h.String() != s {
		return phc{}, errPHC
	}
	return h, nil
}

func cost(s, name string, limit uint64) (uint32, error) {
	digits, ok := strings.CutPrefix(s, name)
	if !ok {
		return 0, errPHC
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errPHC, err)
	}
	if n < 1 || n > limit {
		return 0, fmt.Errorf("%w: a cost is out of bounds", errPHC)
	}
	return uint32(n), nil
}
