package directory

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Secret is a password on its way. It cannot be printed, logged or encoded by
// accident; string(s) gives the text. It can be decoded from JSON.
type Secret string

const redacted = "[redacted]"

// Format implements fmt.Formatter for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String implements fmt.Stringer.
func (s Secret) String() string { return redacted }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText refuses: a replacement text could end up as somebody's password.
func (s Secret) MarshalText() ([]byte, error) {
	return nil, errors.New("encode secret: a secret is never encoded")
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Secret) UnmarshalText(b []byte) error {
	*s = Secret(b)
	return nil
}
