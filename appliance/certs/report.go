package certs

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Report is what a check found.
type Report struct {
	// Certificate is the one that was checked; nil where there is none yet.
	Certificate *Summary  `json:"certificate,omitempty"`
	Findings    []Finding `json:"findings"`
}

// Finding is something to know about a certificate or a source.
type Finding struct {
	Code string `json:"code"` // stable
	// Blocking says that it cannot be used like that.
	Blocking bool   `json:"blocking"`
	Text     string `json:"text"`
	// URL is where the missing certificate can be fetched.
	URL string `json:"url,omitempty"`
}

// Summary describes a certificate.
type Summary struct {
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	Names     []string  `json:"names"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Key       string    `json:"key"`
	SHA256    string    `json:"sha256"`
	Chain     []string  `json:"chain,omitempty"` // subjects of what is sent with it
}

// OK tells whether nothing blocks.
func (r *Report) OK() bool {
	for _, f := range r.Findings {
		if f.Blocking {
			return false
		}
	}
	return true
}

func (r *Report) block(code, text string, args ...any) {
	r.Findings = append(r.Findings, Finding{Code: code, Blocking: true, Text: fmt.Sprintf(text, args...)})
}

func (r *Report) note(code, text string, args ...any) {
	r.Findings = append(r.Findings, Finding{Code: code, Text: fmt.Sprintf(text, args...)})
}

// ReportError says that something cannot be used, and why.
type ReportError struct{ Report *Report }

func (e *ReportError) Error() string {
	var texts []string
	for _, f := range e.Report.Findings {
		if f.Blocking {
			texts = append(texts, f.Text)
		}
	}
	return strings.Join(texts, "; ")
}

// Summarise describes the first certificate of a chain.
func Summarise(chain []*x509.Certificate) *Summary {
	leaf := chain[0]
	s := &Summary{
		Subject: leaf.Subject.String(), Issuer: leaf.Issuer.String(), Names: sans(leaf),
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, Key: keyKind(leaf.PublicKey), SHA256: fingerprint(leaf),
	}
	for _, c := range chain[1:] {
		s.Chain = append(s.Chain, c.Subject.String())
	}
	return s
}

func one(c *x509.Certificate) []*x509.Certificate { return []*x509.Certificate{c} }

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

func keyKind(public any) string {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return "unknown"
}
