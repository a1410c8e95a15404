package audit

import (
	"time"
)

// Kind names what happened. Names are stable: exports and scripts rely on them.
type Kind string

// The kinds.
const (
	SignInOK        Kind = "signin.ok"
	SignInFailed    Kind = "signin.failed"
	HandshakeDone   Kind = "handshake.done"
	HandshakeFailed Kind = "handshake.failed"
	BanMade         Kind = "ban.made" // by the box
	BanAdded        Kind = "ban.added"
	BanLifted       Kind = "ban.lifted"

	NetworkAllowed    Kind = "network.allowed"
	NetworkDisallowed Kind = "network.disallowed"

	AccountAdded    Kind = "account.added"
	AccountRemoved  Kind = "account.removed"
	AccountPassword Kind = "account.password"
	DeviceAdded     Kind = "device.added"
	DeviceRevoked   Kind = "device.revoked"
	AliasAdded      Kind = "alias.added"
	AliasRemoved    Kind = "alias.removed"
	AliasChanged    Kind = "alias.changed"
	AdminPassword   Kind = "admin.password"

	AccountName      Kind = "account.name"
	AccountQuota     Kind = "account.quota"
	AccountSuspended Kind = "account.suspended"
	BoxClaimed       Kind = "box.claimed"
	RoleSet          Kind = "role.set"
	FactorSet        Kind = "factor.set"
	FactorRemoved    Kind = "factor.removed"
	SessionsEnded    Kind = "sessions.ended"
	TokenMade        Kind = "token.made"
	TokenRevoked     Kind = "token.revoked"
	OfficeChanged    Kind = "office.changed"

	MetricsToken    Kind = "metrics.token"
	PortForCA       Kind = "firewall.acme"
	MessagesPut     Kind = "messages.put"
	MailExported    Kind = "mail.exported"
	ExportStarted   Kind = "export.started"
	ExportChanged   Kind = "export.changed"
	ExportEnded     Kind = "export.ended"
	ImportStarted   Kind = "import.started"
	ImportChanged   Kind = "import.changed"
	ImportEnded     Kind = "import.ended"
	DoctorAsked     Kind = "doctor.asked"
	StorageChecked  Kind = "storage.checked"
	StorageRepaired Kind = "storage.repaired"

	ConfigProposed  Kind = "config.proposed"
	ConfigApplied   Kind = "config.applied"
	ConfigConfirmed Kind = "config.confirmed"
	ConfigReverted  Kind = "config.reverted"
	ConfigRestored  Kind = "config.restored"
	Port990Override Kind = "port990.override"

	PlanMade       Kind = "plan.made"
	PlanStarted    Kind = "plan.started"
	PlanMoved      Kind = "plan.moved"
	PlanPaused     Kind = "plan.paused"
	PlanResumed    Kind = "plan.resumed"
	PlanRolledBack Kind = "plan.rolled-back"
	PlanAccepted   Kind = "plan.accepted"
	PlanBrownout   Kind = "plan.brownout"
	PlanEnded      Kind = "plan.ended"
	PlanReported   Kind = "plan.reported"
	Port990Owner   Kind = "port990.owner"
	Port990Review  Kind = "port990.review"

	CertificateMade    Kind = "certificate.made"
	CertificateRenewed Kind = "certificate.renewed"
	CertificateLoaded  Kind = "certificate.loaded"

	ServerStarted  Kind = "server.started"
	ServerStopped  Kind = "server.stopped"
	PowerOrdered   Kind = "power.ordered"
	FactoryReset   Kind = "factory.reset"
	UpdateApplied  Kind = "update.applied"
	UpdateReverted Kind = "update.reverted"

	SupportBundled Kind = "support.bundled"
	AuditExported  Kind = "audit.exported"
	AuditVerified  Kind = "audit.verified"
	AuditKey       Kind = "audit.key"
	AuditRetention Kind = "audit.retention"
	AuditTorn      Kind = "audit.torn"
	AuditDamaged   Kind = "audit.damaged"
)

// Severity says how much a kind is to be minded.
type Severity string

// The severities.
const (
	Info    Severity = "info"
	Notice  Severity = "notice"
	Warning Severity = "warning"
	Alert   Severity = "alert"
)

// Book names one of the two chains.
type Book string

// The books.
const (
	Acts   Book = "acts"
	Access Book = "access"
)

// Spec is what is to be known of a kind.
type Spec struct {
	Kind     Kind     `json:"kind"`
	Book     Book     `json:"book"`
	Severity Severity `json:"severity"`
	Text     string   `json:"text"`
	Values   []string `json:"values"`
	// Personal says that its values are about what a person did or where
	// from, and not only that an administrator kept the box.
	Personal bool `json:"personal"`
	// Window is how long a summarised kind counts before it is written; 0 means that
	// each is written at once.
	Window time.Duration `json:"-"`

	strangers bool // people without a password can make it happen, as often as they like
}

// Kinds returns all kinds, in a fixed order.
func Kinds() []Spec {
	return []Spec{
		{SignInOK, Access, Info, "somebody signed in", []string{"account", "name", "remote", "port", "mechanism", "device", "tls", "count", "since", "others"}, true, time.Hour, false},
		{SignInFailed, Access, Notice, "a sign-in was refused", []string{"account", "name", "remote", "port", "mechanism", "tls", "reason", "count", "since", "others"}, true, 10 * time.Minute, true},
		{HandshakeDone, Access, Info, "a TLS handshake was done", []string{"remote", "port", "sni", "tls", "cipher", "group", "protocol", "resumed", "client", "count", "since", "others"}, true, time.Hour, true},
		{HandshakeFailed, Access, Info, "a TLS handshake failed", []string{"remote", "port", "reason", "sni", "offered", "tls", "count", "since", "others"}, true, 10 * time.Minute, true},
		{BanMade, Access, Notice, "the box banned an address, or an account from there", []string{"account", "remote", "reason", "until", "count", "since", "others"}, true, 10 * time.Minute, true},
		{BanAdded, Access, Notice, "an administrator banned an address or account", []string{"actor", "account", "remote", "reason", "until"}, true, 0, false},
		{BanLifted, Access, Notice, "a ban was lifted", []string{"actor", "account", "remote", "reason"}, true, 0, false},
		{NetworkAllowed, Acts, Notice, "a network is never banned any more", []string{"actor", "remote", "reason"}, true, 0, false},
		{NetworkDisallowed, Acts, Notice, "a network can be banned again", []string{"actor", "remote"}, true, 0, false},

		{AccountAdded, Acts, Notice, "an account was made", []string{"actor", "account", "after"}, true, 0, false},
		{AccountRemoved, Acts, Warning, "an account was deleted with its mail", []string{"actor", "account", "before"}, true, 0, false},
		{AccountPassword, Acts, Notice, "an account got another password", []string{"actor", "account"}, true, 0, false},
		{AccountName, Acts, Notice, "a person got another name", []string{"actor", "account", "before", "after"}, true, 0, false},
		{AccountQuota, Acts, Notice, "how much mail an account may keep was changed", []string{"actor", "account", "before", "after"}, true, 0, false},
		{AccountSuspended, Acts, Warning, "an account was suspended, or let sign in again", []string{"actor", "account", "after"}, true, 0, false},
		{DeviceAdded, Acts, Notice, "a device got a password or a certificate of its own", []string{"actor", "account", "device", "after", "fingerprint"}, true, 0, false},
		{DeviceRevoked, Acts, Notice, "the password of a device was revoked", []string{"actor", "account", "device", "before"}, true, 0, false},
		{AliasAdded, Acts, Notice, "an alias was made or got targets", []string{"actor", "alias", "before", "after"}, true, 0, false},
		{AliasRemoved, Acts, Notice, "an alias or some of its targets were removed", []string{"actor", "alias", "before", "after"}, true, 0, false},
		{AliasChanged, Acts, Notice, "a group or alias was made or changed, with who may write to it", []string{"actor", "alias", "before", "after"}, true, 0, false},
		{MetricsToken, Acts, Notice, "the token that opens the metrics was made or taken away", []string{"actor", "after"}, false, 0, false},
		{PortForCA, Acts, Notice, "the firewall let everybody in for a CA to look, or not any more", []string{"actor", "port", "reason", "after"}, false, 0, false},
		{AdminPassword, Acts, Warning, "the administrator's password was set", []string{"actor"}, false, 0, false},
		{BoxClaimed, Acts, Alert, "somebody became the administrator of the box", []string{"actor", "account", "remote", "port"}, true, 0, false},
		{RoleSet, Acts, Warning, "a person got another role on the web page", []string{"actor", "account", "remote", "port", "before", "after"}, true, 0, false},
		{FactorSet, Acts, Notice, "somebody got a second factor, recovery codes or a passkey", []string{"actor", "account", "remote", "port", "text"}, true, 0, false},
		{FactorRemoved, Acts, Warning, "a second factor or a passkey was removed", []string{"actor", "account", "remote", "port", "text"}, true, 0, false},
		{SessionsEnded, Acts, Notice, "somebody was signed out of the web page by somebody else", []string{"actor", "account", "text"}, true, 0, false},
		{TokenMade, Acts, Warning, "a token for the API was made", []string{"actor", "account", "remote", "port", "text", "after"}, true, 0, false},
		{TokenRevoked, Acts, Notice, "a token for the API was revoked", []string{"actor", "account", "remote", "port", "text"}, true, 0, false},
		{OfficeChanged, Acts, Notice, "the office's name, domain or time zone was changed", []string{"actor", "account", "remote", "port", "before", "after"}, true, 0, false},
		{MessagesPut, Acts, Notice, "an administrator put messages into a mailbox", []string{"actor", "account", "mailbox", "count", "since", "others"}, true, 10 * time.Minute, false},
		{MailExported, Acts, Warning, "an administrator copied the mail of an account out of the box", []string{"actor", "account", "target"}, true, 0, false},
		{ExportStarted, Acts, Notice, "mail began to move out of the box", []string{"actor", "job", "reason"}, true, 0, false},
		{ExportChanged, Acts, Notice, "a move of mail out of the box was paused, resumed, cancelled or taken off the list", []string{"actor", "job", "reason"}, true, 0, false},
		{ExportEnded, Acts, Notice, "a person's mail has moved out, or failed to", []string{"actor", "account", "job", "reason"}, true, 0, false},
		{ImportStarted, Acts, Notice, "mail began to move in from elsewhere", []string{"actor", "job", "reason"}, true, 0, false},
		{ImportChanged, Acts, Notice, "a move of mail was paused, resumed, cancelled or asked for its last run", []string{"actor", "job", "reason"}, true, 0, false},
		{ImportEnded, Acts, Notice, "a person's mail has moved in, or failed to", []string{"actor", "account", "job", "reason"}, true, 0, false},
		{DoctorAsked, Acts, Info, "the doctor was asked to examine this box or another server", []string{"actor", "target", "name"}, true, 0, false},
		{StorageChecked, Acts, Info, "the stored mail was checked", []string{"actor", "problems", "repaired", "left"}, false, 0, false},
		{StorageRepaired, Acts, Warning, "the stored mail was repaired", []string{"actor", "problems", "repaired", "left"}, false, 0, false},

		{ConfigProposed, Acts, Info, "a configuration was proposed", []string{"actor", "version", "reason", "before", "after"}, false, 0, false},
		{ConfigApplied, Acts, Notice, "a configuration was applied, to be confirmed", []string{"actor", "version", "reason", "before", "after"}, false, 0, false},
		{ConfigConfirmed, Acts, Notice, "a configuration was confirmed", []string{"actor", "version", "reason", "after"}, false, 0, false},
		{ConfigReverted, Acts, Warning, "a configuration was taken back", []string{"actor", "version", "reason", "after"}, false, 0, false},
		{ConfigRestored, Acts, Warning, "an earlier configuration was restored", []string{"actor", "version", "reason", "before", "after"}, false, 0, false},
		{Port990Override, Acts, Warning, "port 990 was kept open against the plan", []string{"actor", "reason", "until"}, false, 0, false},

		{PlanMade, Acts, Notice, "a plan to leave an old way behind was made", planValues(), true, 0, false},
		{PlanStarted, Acts, Notice, "a plan was approved and started", planValues(), true, 0, false},
		{PlanMoved, Acts, Warning, "a step of a plan began", planValues(), true, 0, false},
		{PlanPaused, Acts, Warning, "a plan was paused", planValues(), true, 0, false},
		{PlanResumed, Acts, Notice, "a plan goes on", planValues(), true, 0, false},
		{PlanRolledBack, Acts, Warning, "a plan was taken back: both ways are open", planValues(), true, 0, false},
		{PlanAccepted, Acts, Notice, "somebody may be cut off by a plan without having been told", planValues(), true, 0, false},
		{PlanBrownout, Acts, Notice, "a brown-out was planned, began or ended", planValues(), true, 0, false},
		{PlanEnded, Acts, Notice, "a plan is done or was dropped", planValues(), true, 0, false},
		{PlanReported, Acts, Info, "a report of plans was made", []string{"actor"}, false, 0, false},
		{Port990Owner, Acts, Notice, "somebody said who answers for port 990, and why it is open", planValues(), true, 0, false},
		{Port990Review, Acts, Notice, "whoever answers for port 990 was reminded to look at it", planValues(), true, 0, false},

		{CertificateMade, Acts, Notice, "a certificate was made", []string{"actor", "names", "expires", "fingerprint", "issuer"}, false, 0, false},
		{CertificateRenewed, Acts, Notice, "the certificate was renewed", []string{"actor", "names", "expires", "fingerprint", "issuer", "before"}, false, 0, false},
		{CertificateLoaded, Acts, Notice, "a certificate was taken into use from the disk", []string{"actor", "names", "expires", "fingerprint", "issuer", "before"}, false, 0, false},

		{ServerStarted, Acts, Info, "the server started", []string{"version", "fingerprint"}, false, 0, false},
		{ServerStopped, Acts, Info, "the server stopped in order", []string{"version"}, false, 0, false},
		{PowerOrdered, Acts, Warning, "the box was told to start anew or to switch off", []string{"actor", "order", "reason"}, true, 0, false},
		{FactoryReset, Acts, Alert, "the box was reset, with its mail kept or deleted", []string{"actor", "mail", "requested"}, false, 0, false},
		{UpdateApplied, Acts, Warning, "the firmware was updated", []string{"actor", "before", "after"}, false, 0, false},
		{UpdateReverted, Acts, Warning, "an update of the firmware was taken back", []string{"before", "after", "reason"}, false, 0, false},

		{SupportBundled, Acts, Notice, "a support bundle was made", []string{"actor", "names"}, false, 0, false},
		{AuditExported, Acts, Notice, "this record was exported", []string{"actor", "format", "filter", "records"}, false, 0, false},
		{AuditVerified, Acts, Info, "this record was verified", []string{"actor", "records", "findings"}, false, 0, false},
		{AuditKey, Acts, Warning, "the box made a key for signing checkpoints", []string{"key", "text"}, false, 0, false},
		{AuditRetention, "", Info, "old records were removed from this book", []string{"through", "hash", "key", "signature", "why"}, false, 0, false},
		{AuditTorn, "", Warning, "the end of this book was torn, as a power cut does", []string{"file", "offset", "octets"}, false, 0, false},
		{AuditDamaged, "", Alert, "this book was found damaged when it was opened", []string{"file", "offset", "text"}, false, 0, false},
	}
}

// planValues are those of what concerns plans.
func planValues() []string { return []string{"actor", "plan", "before", "after", "reason"} }
