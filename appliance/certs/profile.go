package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"strings"
)

// Root returns the private CA's certificate in PEM, as devices install it.
func (m *Manager) Root() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: m.ca.cert.Raw})
}

// Profile returns the CA's certificate as a configuration profile of Apple's,
// which an iPhone, iPad or Mac offers to install. Its identifiers follow from
// the certificate, so that a second one takes the place of the first.
func (m *Manager) Profile() []byte {
	m.mu.Lock()
	ca := m.ca.cert
	m.mu.Unlock()

	return writeProfile(&profile{
		name:        ca.Subject.CommonName,
		description: "Lets this device trust the office's mail box. After it is installed: Settings, General, About, Certificate Trust Settings.",
		id:          "pillarbox.ca." + fingerprint(ca)[:16], uuid: uuidOf(ca.Raw, "profile"),
		payloads: []payload{rootPayload(ca)},
	})
}

// rootPayload has a device trust the CA, after its owner has switched that on.
func rootPayload(ca *x509.Certificate) payload {
	return payload{
		kind: "com.apple.security.root", file: caCert, data: ca.Raw, name: ca.Subject.CommonName,
		id: "pillarbox.ca." + fingerprint(ca)[:16] + ".root", uuid: uuidOf(ca.Raw, "root"),
	}
}

// profile is a configuration profile of Apple's.
type profile struct {
	name, description, id, uuid string
	payloads                    []payload
}

// payload is a file that a profile brings.
type payload struct {
	kind, file, name, id, uuid string
	data                       []byte
}

func writeProfile(p *profile) []byte {
	var b bytes.Buffer
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>PayloadContent</key>
	<array>
`)
	for _, load := range p.payloads {
		var data strings.Builder
		for line := range slicesOf(base64.StdEncoding.EncodeToString(load.data), 64) {
			data.WriteString("\t\t\t" + line + "\n")
		}
		fmt.Fprintf(&b, `		<dict>
			<key>PayloadCertificateFileName</key>
			<string>%s</string>
			<key>PayloadContent</key>
			<data>
%s			</data>
			<key>PayloadDisplayName</key>
			<string>%s</string>
			<key>PayloadIdentifier</key>
			<string>%s</string>
			<key>PayloadType</key>
			<string>%s</string>
			<key>PayloadUUID</key>
			<string>%s</string>
			<key>PayloadVersion</key>
			<integer>1</integer>
		</dict>
`, load.file, data.String(), inXML(load.name), load.id, load.kind, load.uuid)
	}
	fmt.Fprintf(&b, `	</array>
	<key>PayloadDescription</key>
	<string>%s</string>
	<key>PayloadDisplayName</key>
	<string>%s</string>
	<key>PayloadIdentifier</key>
	<string>%s</string>
	<key>PayloadRemovalDisallowed</key>
	<false/>
	<key>PayloadType</key>
	<string>Configuration</string>
	<key>PayloadUUID</key>
	<string>%s</string>
	<key>PayloadVersion</key>
	<integer>1</integer>
</dict>
</plist>
`, inXML(p.description), inXML(p.name), p.id, p.uuid)

	return b.Bytes()
}

func inXML(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes all

	return b.String()
}

// slicesOf cuts a text into pieces of n octets.
func slicesOf(s string, n int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for len(s) > 0 {
			piece := s[:min(n, len(s))]
			s = s[len(piece):]
			if !yield(piece) {
				return
			}
		}
	}
}

// uuidOf makes a UUID from data (RFC 9562, section 5.8).
func uuidOf(data []byte, purpose string) string {
	sum := sha256.Sum256(append([]byte(purpose), data...))
	id := sum[:16]
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	h := strings.ToUpper(hex.EncodeToString(id))
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// State tells what is in use and how it is.
type State struct {
	Settings    Settings    `json:"settings"`    // without secrets
	Presented   []Summary   `json:"presented"`   // certificates in use, the first choice first
	CA          Summary     `json:"ca"`          // the private CA
	Constrained []string    `json:"constrained"` // domains that it is limited to; none if it has no limits
	Names       []NameInUse `json:"names"`
	Problems    []string    `json:"problems"` // in words
}

// State returns that.
func (m *Manager) State() State {
	s := State{Settings: m.Settings().Redacted(), Names: m.NamesInUse(), Constrained: m.Constrained(), Presented: []Summary{}, Problems: []string{}}
	for _, leaf := range m.leaves() {
		s.Presented = append(s.Presented, *Summarise(one(leaf)))
	}
	m.mu.Lock()
	s.CA = *Summarise(one(m.ca.cert))
	m.mu.Unlock()
	problems := []error{m.Health(), m.Expiring(), m.NotCovered()}
	if s.Settings.source() == ACME {
		problems = append(problems, m.renewal.lastError())
	}
	for _, err := range problems {
		if err != nil {
			s.Problems = append(s.Problems, err.Error())
		}
	}
	return s
}
