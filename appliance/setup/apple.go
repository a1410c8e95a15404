package setup

import (
	"pillarbox/appliance/profile"
)

// account is a person's mail account, as Apple's Mail has it. The password is
// not in it: the device asks. Where only a certificate lets people in, it asks
// for none.
func (f *Facts) account(p *Person) profile.Payload {
	out := f.Outgoing
	if out == nil {
		out = f.unset() // the keys must be there
	}
	keys := map[string]any{
		"EmailAccountType": "EmailTypeIMAP", "EmailAccountDescription": p.Address, "EmailAddress": p.Address,
		"IncomingMailServerHostName": f.IMAP.Host, "IncomingMailServerPortNumber": int(f.IMAP.Port),
		"IncomingMailServerUseSSL": true, "IncomingMailServerUsername": p.Address,
		"IncomingMailServerAuthentication": "EmailAuthPassword",
		"OutgoingMailServerHostName":       out.Host, "OutgoingMailServerPortNumber": int(out.Port),
		"OutgoingMailServerUseSSL": true, "OutgoingMailServerAuthentication": "EmailAuthPassword",
	}
	if p.Name != "" {
		keys["EmailAccountName"] = p.Name
	}
	if !f.has("PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS") && f.has("EXTERNAL") {
		keys["IncomingMailServerAuthentication"] = "EmailAuthNone"
	}
	switch out.Login {
	case SameLogin:
		keys["OutgoingMailServerUsername"], keys["OutgoingPasswordSameAsIncomingPassword"] = p.Address, true
	case NoLogin:
		keys["OutgoingMailServerAuthentication"] = "EmailAuthNone"
	}
	id := profile.UUID([]byte(p.Address), "account")

	return profile.Payload{
		Type: "com.apple.mail.managed", Name: p.Address, ID: "pillarbox.mail." + id, UUID: id, Keys: keys,
	}
}

func (s *Service) signedProfile(f *Facts, p *Person) ([]byte, error) {
	var payloads []profile.Payload
	text := "Sets up the office's mail on this device. It asks for the password of the mailbox."
	if f.Private {
		payloads = append(payloads, s.trust.RootPayload())
		text += " After it is installed: Settings, General, About, Certificate Trust Settings, and switch the office's authority on."
	}
	id := profile.UUID([]byte(p.Address), "profile")
	made := profile.Profile{
		Name: "Mail of " + p.Address, Organization: f.Office, Description: text, ID: "pillarbox.person." + id, UUID: id,
		Payloads: append(payloads, f.account(p)),
	}

	return s.trust.Sign(made.Encode())
}
