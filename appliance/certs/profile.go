package certs

import (
	"bytes"
	"crypto/sha256"
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
	var name, data strings.Builder
	_ = xml.EscapeText(&name, []byte(ca.Subject.CommonName)) // a Builder takes all
	encoded := base64.StdEncoding.EncodeToString(ca.Raw)
	for line := range slicesOf(encoded, 64) {
		data.WriteString("\t\t\t" + line + "\n")
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>PayloadContent</key>
	<array>
		<dict>
			<key>PayloadCertificateFileName</key>
			<string>ca.crt</string>
			<key>PayloadContent</key>
			<data>
%[1]s			</data>
			<key>PayloadDisplayName</key>
			<string>%[2]s</string>
			<key>PayloadIdentifier</key>
			<string>pillarbox.ca.%[3]s.root</string>
			<key>PayloadType</key>
			<string>com.apple.security.root</string>
			<key>PayloadUUID</key>
			<string>%[4]s</string>
			<key>PayloadVersion</key>
			<integer>1</integer>
		</dict>
	</array>
	<key>PayloadDescription</key>
	<string>Lets this device trust the office's mail box. After it is installed: Settings, General, About, Certificate Trust Settings.</string>
	<key>PayloadDisplayName</key>
	<string>%[2]s</string>
	<key>PayloadIdentifier</key>
	<string>pillarbox.ca.%[3]s</string>
	<key>PayloadRemovalDisallowed</key>
	<false/>
	<key>PayloadType</key>
	<string>Configuration</string>
	<key>PayloadUUID</key>
	<string>%[5]s</string>
	<key>PayloadVersion</key>
	<integer>1</integer>
</dict>
</plist>
`, data.String(), name.String(), fingerprint(ca)[:16], uuidOf(ca.Raw, "root"), uuidOf(ca.Raw, "profile"))
	return b.Bytes()
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
