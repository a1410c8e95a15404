package audit

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// CheckpointPrefix begins every checkpoint and names its version.
const CheckpointPrefix = "pillarbox-audit-1"

// maxCheckpoint bounds a checkpoint's line in octets; it has some 400.
const maxCheckpoint = 1024

// ErrCheckpoint says that a text is no checkpoint, or that its signature does
// not belong to it.
var ErrCheckpoint = errors.New("not a checkpoint of the audit record")

// Checkpoint says, signed, how far both books were. As text it is one line:
//
//	pillarbox-audit-1 time=2026-11-27T13:00:00Z acts=12:HASH access=345:HASH key=BASE64 sig=BASE64
//
// The signature (Ed25519) is of the line before " sig=".
type Checkpoint struct {
	Time   time.Time
	Acts   Head
	Access Head
	Key    ed25519.PublicKey
	Sig    []byte
}

// head returns what it says of one book.
func (c *Checkpoint) head(b Book) Head {
	if b == Acts {
		return c.Acts
	}

	return c.Access
}

// statement is what is signed.
func (c *Checkpoint) statement() string {
	return fmt.Sprintf("%s time=%s acts=%s access=%s key=%s", CheckpointPrefix,
		c.Time.UTC().Format(time.RFC3339), c.Acts, c.Access, base64.StdEncoding.EncodeToString(c.Key))
}

// String returns the line that a person keeps.
func (c *Checkpoint) String() string {
	return c.statement() + " sig=" + base64.StdEncoding.EncodeToString(c.Sig)
}

// MarshalText implements encoding.TextMarshaler.
func (c *Checkpoint) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Checkpoint) UnmarshalText(text []byte) error {
	p, err := ParseCheckpoint(string(text))
	if err == nil {
		*c = *p
	}

	return err
}

// ParseCheckpoint reads a line and checks that its signature is that of the
// key that it names. Whose key that is, the reader must know.
func ParseCheckpoint(line string) (*Checkpoint, error) {
	line = strings.TrimSpace(line)
	if len(line) > maxCheckpoint {
		return nil, fmt.Errorf("%w: it is too long", ErrCheckpoint)
	}
	words := strings.Split(line, " ")
	if len(words) != 6 || words[0] != CheckpointPrefix {
		return nil, fmt.Errorf("%w: it does not begin with %q, or has not all its parts", ErrCheckpoint, CheckpointPrefix)
	}
	c := &Checkpoint{}
	for i, part := range []struct {
		name string
		read func(string) error
	}{
		{"time", func(s string) (err error) { c.Time, err = time.Parse(time.RFC3339, s); return err }},
		{"acts", c.Acts.parse},
		{"access", c.Access.parse},
		{"key", func(s string) (err error) { c.Key, err = base64.StdEncoding.DecodeString(s); return err }},
		{"sig", func(s string) (err error) { c.Sig, err = base64.StdEncoding.DecodeString(s); return err }},
	} {
		value, ok := strings.CutPrefix(words[i+1], part.name+"=")
		if !ok {
			return nil, fmt.Errorf("%w: %s is missing", ErrCheckpoint, part.name)
		}
		if err := part.read(value); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrCheckpoint, part.name, err)
		}
	}
	// What is written in another way than we write it is not what was signed.
	if len(c.Key) != ed25519.PublicKeySize || c.String() != line {
		return nil, fmt.Errorf("%w: it was changed", ErrCheckpoint)
	}
	if !ed25519.Verify(c.Key, []byte(c.statement()), c.Sig) {
		return nil, fmt.Errorf("%w: the signature is not that of its key", ErrCheckpoint)
	}

	return c, nil
}

// parse reads "NUMBER:HASH".
func (h *Head) parse(s string) error {
	number, hash, ok := strings.Cut(s, ":")
	if !ok {
		return errors.New("NUMBER:HASH is wanted")
	}
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return errors.New("NUMBER:HASH is wanted")
	}
	h.Seq = seq

	return h.Hash.UnmarshalText([]byte(hash))
}

// signCheckpoint makes a checkpoint.
func signCheckpoint(key ed25519.PrivateKey, at time.Time, acts, access Head) *Checkpoint {
	c := &Checkpoint{
		Time: at.UTC().Truncate(time.Second), Acts: acts, Access: access,
		Key: key.Public().(ed25519.PublicKey),
	}
	c.Sig = ed25519.Sign(key, []byte(c.statement()))

	return c
}

// anchorStatement is what is signed of the last record that retention removes.
func anchorStatement(b Book, through Head) []byte {
	return fmt.Appendf(nil, "pillarbox-audit-anchor-1 book=%s through=%s", b, through)
}
