package message_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pillarbox/storage/message"
)

func decode(t testing.TB, e message.Encoding, text string) string {
	t.Helper()
	r, err := message.Decoded(strings.NewReader(">>"+text+"<<"), 2, &message.Part{Encoding: e, End: int64(len(text))})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	r, _ = message.Decoded(strings.NewReader(text), 0, &message.Part{Encoding: e, End: int64(len(text))})
	slow, err := io.ReadAll(iotest.OneByteReader(r))
	if err != nil || !bytes.Equal(got, slow) {
		t.Fatalf("read octet by octet: %q, %v, want %q", slow, err, got)
	}
	return string(got)
}

func TestDecoded(t *testing.T) {
	for _, tt := range []struct {
		name     string
		encoding message.Encoding
		in, want string
	}{
		{"identity", message.Identity, "a=3D\r\n", "a=3D\r\n"},
		{"base64 in lines", message.Base64, "aGVs\r\nbG8=\r\n", "hello"},
		{"base64 without padding", message.Base64, "aGVsbG8", "hello"},
		{"base64 with junk", message.Base64, "a*G V-s\x00bG8=", "hello"},
		{"base64 twice", message.Base64, "aGVsbG8=aGVsbG8=", "hellohello"},
		{"base64 padded by one too many", message.Base64, "aGk==", "hi"},
		{"base64 with one character left", message.Base64, "aGVsbG8=a", "hello"},
		{"base64 of nothing", message.Base64, "\r\n", ""},
		{"quoted-printable", message.QuotedPrintable, "Gr=C3=bc=\r\n=C3=9Fe\r\n", "Grüße\r\n"},
		{"soft break with blanks", message.QuotedPrintable, "a= \t \r\nb=\nc", "abc"},
		{"bad escapes", message.QuotedPrintable, "a=ZZ b=4", "a=ZZ b=4"},
		{"ends in an escape", message.QuotedPrintable, "a=", "a"},
		{"ends in blanks", message.QuotedPrintable, "a=  ", "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := decode(t, tt.encoding, tt.in); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDecodedLongBase64(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789\xff\x00"), 10_000)
	var b strings.Builder
	for text := base64.StdEncoding.EncodeToString(want); len(text) > 0; {
		n := min(76, len(text))
		b.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	if got := decode(t, message.Base64, b.String()); got != string(want) {
		t.Errorf("decoded %d octets, want %d", len(got), len(want))
	}
}

func TestDecodedUnknownEncoding(t *testing.T) {
	_, err := message.Decoded(strings.NewReader(""), 0, &message.Part{Encoding: message.UnknownEncoding})
	if !errors.Is(err, message.ErrUnknownEncoding) {
		t.Errorf("err = %v, want %v", err, message.ErrUnknownEncoding)
	}
}

func BenchmarkDecodedBase64(b *testing.B) {
	line := strings.Repeat("QUJD", 19) + "\r\n"
	text := strings.Repeat(line, 100_000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		r, err := message.Decoded(strings.NewReader(text), 0, &message.Part{Encoding: message.Base64, End: int64(len(text))})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			b.Fatal(err)
		}
	}
}
