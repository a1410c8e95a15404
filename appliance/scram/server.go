package scram

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strconv"
)

// The mechanisms' names.
const (
	Mechanism     = "SCRAM-SHA-256"
	MechanismPlus = "SCRAM-SHA-256-PLUS"
)

// What can be wrong with what a client sends, apart from its password.
var (
	ErrMessage   = errors.New("the SCRAM message is not valid")
	ErrBinding   = errors.New("the channel binding does not match")
	ErrDowngrade = errors.New("the client does not know that the server can bind to the channel")
	ErrNoBinding = errors.New("the client asks for a kind of channel binding that the connection does not have")
)

// Config says what a Server works on.
type Config struct {
	// Plus says that the client chose SCRAM-SHA-256-PLUS.
	Plus bool
	// Offered says that the server's list of mechanisms had it.
	Offered bool
	// Binding returns the connection's data for a kind of channel binding; none
	// if it has not that kind. Nil means that it has none at all.
	Binding func(kind string) []byte
}

// Server is one exchange with a client: First, Challenge, Final, Success.
type Server struct {
	Name string // who the client says that it is; after First
	As   string // whom it wants to act for; often empty

	conf    Config
	bound   []byte // what the client's c= must hold
	message string // client-first-bare, then AuthMessage as far as it goes
	nonce   string
}

// NewServer begins an exchange.
func NewServer(c Config) *Server { return &Server{conf: c} }

// First reads the client's first message.
func (s *Server) First(message []byte) error {
	m, err := parseFirst(message)
	if err != nil {
		return err
	}
	switch {
	case m.flag != 'p' && s.conf.Plus, m.flag == 'p' && !s.conf.Plus:
		return ErrMessage
	case m.flag == 'y' && s.conf.Offered:
		return ErrDowngrade // RFC 5802, section 6
	}
	s.bound = []byte(m.header)
	if m.flag == 'p' {
		if s.conf.Binding == nil {
			return ErrNoBinding
		}
		data := s.conf.Binding(m.kind)
		if len(data) == 0 {
			return ErrNoBinding
		}
		s.bound = append(s.bound, data...)
	}
	s.Name, s.As, s.nonce, s.message = m.name, m.as, m.nonce+rand.Text(), m.bare

	return nil
}

// Challenge returns the server's first message.
func (s *Server) Challenge(salt []byte, iterations int) []byte {
	m := "r=" + s.nonce + ",s=" + base64.StdEncoding.EncodeToString(salt) + ",i=" + strconv.Itoa(iterations)
	s.message += "," + m

	return []byte(m)
}

// Final reads the client's final message.
func (s *Server) Final(message []byte) (*Proof, error) {
	m, err := parseFinal(message)
	switch {
	case err != nil:
		return nil, err
	case m.nonce != s.nonce:
		return nil, ErrMessage
	case !bytes.Equal(m.bound, s.bound):
		return nil, ErrBinding
	}

	return &Proof{message: s.message + "," + m.without, proof: m.proof}, nil
}

// Success returns the server's final message to a client whose proof matches keys.
func (p *Proof) Success(k *Keys) []byte {
	return []byte("v=" + base64.StdEncoding.EncodeToString(mac(k.Server, p.message)))
}
