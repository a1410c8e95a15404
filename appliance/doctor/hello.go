package doctor

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Versions of TLS as they go over the wire.
const (
	ssl3  = 0x0300
	tls10 = 0x0301
	tls11 = 0x0302
	tls12 = 0x0303
)

func versionName(v uint16) string {
	switch v {
	case ssl3:
		return "SSL 3.0"
	case tls10:
		return "TLS 1.0"
	case tls11:
		return "TLS 1.1"
	case tls12:
		return "TLS 1.2"
	}

	return fmt.Sprintf("version %#04x", v)
}

// weakSuites encrypt badly or not at all: NULL, EXPORT, RC4, DES, 3DES, and those
// without a certificate (RFC 9325, section 4.1).
func weakSuites() []uint16 {
	return []uint16{
		0x0001, 0x0002, 0x003b, 0xc006, 0xc010, // NULL
		0x0003, 0x0006, 0x0008, 0x000b, 0x000e, 0x0011, 0x0014, // EXPORT
		0x0004, 0x0005, 0xc007, 0xc011, // RC4
		0x0009, 0x000c, 0x000f, 0x0012, 0x0015, // DES
		0x000a, 0x0013, 0x0016, 0xc008, 0xc012, // 3DES
		0x0018, 0x001b, 0x0034, 0x003a, 0x006c, 0x006d, 0x00a6, 0x00a7, 0xc018, 0xc019, // anonymous
	}
}

// fixedSuites have no forward secrecy: whoever gets the key later reads what
// was recorded.
func fixedSuites() []uint16 { return []uint16{0x002f, 0x0035, 0x003c, 0x003d, 0x009c, 0x009d} }

// ephemeralSuites use Diffie-Hellman over a group that the server chooses.
func ephemeralSuites() []uint16 {
	return []uint16{0x009e, 0x009f, 0xccaa, 0x0067, 0x006b, 0x0033, 0x0039, 0x0032, 0x0038}
}

// allSuites are what an old client offers.
func allSuites() []uint16 {
	all := []uint16{0xc009, 0xc00a, 0xc013, 0xc014, 0x0032, 0x0033, 0x0038, 0x0039, 0x002f, 0x0035}

	return append(all, weakSuites()...)
}

// hello makes a ClientHello (RFC 5246, section 7.4.1.2), which crypto/tls does
// not for what is too old or too weak.
func hello(version uint16, suites []uint16, name string) []byte {
	var b []byte
	b = binary.BigEndian.AppendUint16(b, version)
	random := make([]byte, 32)
	_, _ = rand.Read(random) // it never fails
	b = append(b, random...)
	b = append(b, 0) // no session
	b = binary.BigEndian.AppendUint16(b, uint16(2*len(suites)))
	for _, s := range suites {
		b = binary.BigEndian.AppendUint16(b, s)
	}
	b = append(b, 1, 0) // no compression
	if version > ssl3 { // which knows no extensions
		b = appendBlock(b, extensions(version, name))
	}
	message := append([]byte{1, byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b...)
	record := []byte{22}
	record = binary.BigEndian.AppendUint16(record, min(version, tls10))

	return appendBlock(record, message)
}

// appendBlock appends a block with its length in two octets.
func appendBlock(b, block []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(block))), block...)
}

func extensions(version uint16, name string) []byte {
	var b []byte
	add := func(kind uint16, content []byte) {
		b = appendBlock(binary.BigEndian.AppendUint16(b, kind), content)
	}
	if name != "" {
		add(0, appendBlock(nil, appendBlock([]byte{0}, []byte(name)))) // RFC 6066, section 3
	}
	add(10, appendBlock(nil, []byte{0, 29, 0, 23, 0, 24, 0, 25})) // X25519, P-256, P-384, P-521
	add(11, []byte{1, 0})                                         // uncompressed points
	if version >= tls12 {
		add(13, appendBlock(nil, []byte{4, 1, 4, 3, 8, 4, 5, 1, 5, 3, 8, 5, 6, 1, 6, 3, 8, 6, 2, 1, 2, 3, 2, 2}))
	}
	add(0xff01, []byte{0}) // RFC 5746

	return b
}

// choice is what a server chose of a hello.
type choice struct {
	version uint16
	suite   uint16
	dhBits  int // of the group; 0 if it was not told
}

// alertError is a server that refuses.
type alertError struct{ code byte }

func (e *alertError) Error() string { return fmt.Sprintf("the server refuses by the alert %d", e.code) }

const (
	maxRecord = 16<<10 + 2048 // RFC 5246, section 6.2.3
	maxFlight = 128 << 10     // of a server's first answer: certificates are the most of it
)

// readChoice reads a server's answer to a hello: until its ServerHello or, with
// wantGroup, until its ServerKeyExchange or the end of its flight.
func readChoice(r io.Reader, wantGroup bool) (*choice, error) {
	var c *choice
	var pending []byte
	for total := 0; total < maxFlight; {
		var head [5]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return c, err
		}
		n := int(binary.BigEndian.Uint16(head[3:]))
		if head[0] != 22 && head[0] != 21 || head[1] != 3 || n == 0 || n > maxRecord {
			return c, errors.New("the answer is not TLS")
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil {
			return c, err
		}
		total += n
		if head[0] == 21 {
			if c != nil || n < 2 {
				return c, nil
			}
			return nil, &alertError{body[1]}
		}
		pending = append(pending, body...)
		for len(pending) >= 4 {
			size := int(pending[1])<<16 | int(pending[2])<<8 | int(pending[3])
			if size > maxFlight {
				return c, errors.New("the answer is not TLS")
			}
			if len(pending) < 4+size {
				break
			}
			kind, message := pending[0], pending[4:4+size]
			pending = pending[4+size:]
			switch {
			case kind == 2 && c == nil:
				var err error
				if c, err = serverHello(message); err != nil || !wantGroup {
					return c, err
				}
			case c == nil:
				return nil, errors.New("the answer is not TLS")
			case kind == 12: // ServerKeyExchange: p, g, the public value (RFC 5246, section 7.4.3)
				if len(message) > 2 {
					c.dhBits = bitsOf(message)
				}
				return c, nil
			case kind == 14: // ServerHelloDone
				return c, nil
			}
		}
	}

	return c, errors.New("the answer has no end")
}

func serverHello(b []byte) (*choice, error) {
	if len(b) < 35 {
		return nil, errors.New("the answer is not TLS")
	}
	c := &choice{version: binary.BigEndian.Uint16(b)}
	rest := b[35:] // version, random, the session's length
	session := int(b[34])
	if len(rest) < session+2 {
		return nil, errors.New("the answer is not TLS")
	}
	c.suite = binary.BigEndian.Uint16(rest[session:])

	return c, nil
}

// bitsOf returns the size of the number that a block holds.
func bitsOf(block []byte) int {
	n := int(binary.BigEndian.Uint16(block))
	number := block[2:]
	if n > len(number) {
		return 0
	}
	number = number[:n]
	for len(number) > 0 && number[0] == 0 {
		number = number[1:]
	}
	bits := 8 * len(number)
	if len(number) > 0 {
		for mask := byte(0x80); number[0]&mask == 0; mask >>= 1 {
			bits--
		}
	}

	return bits
}

// offer sends a hello on a connection and returns what the server chose; nil if
// it refuses.
func offer(conn interface {
	io.ReadWriter
	SetDeadline(time.Time) error
}, version uint16, suites []uint16, name string, wantGroup bool) (*choice, error) {
	_ = conn.SetDeadline(time.Now().Add(conversationTime))
	if _, err := conn.Write(hello(version, suites, name)); err != nil {
		return nil, err
	}

	return readChoice(conn, wantGroup)
}
