package control

import (
	"pillarbox/appliance/access"
	"pillarbox/appliance/audit"
	"pillarbox/appliance/certs"
	"pillarbox/appliance/config"
	"pillarbox/appliance/directory"
	"pillarbox/appliance/doctor"
	"pillarbox/appliance/exporter"
	"pillarbox/appliance/importer"
	"pillarbox/appliance/ports"
	"pillarbox/appliance/ports/sunset"
	"pillarbox/appliance/support"
)

// operations describes all requests. A room that adds some describes them here:
// without that only an administrator may ask by the network, and a test fails.
func operations() map[string]operation {
	chosen := []string{"port", "account", "address", "since"}
	of := []string{"since", "until", "kind", "account", "book"}

	return map[string]operation{
		"GET /v1/status": {summary: "How the box is", role: roleAuditor, out: Status{}},
		"GET /v1/pulse":  {summary: "What the box did in the last day", role: roleAuditor, out: Pulse{}},
		"GET /v1/log":    {summary: "The newest lines of the log that are chosen; all=yes looks through all that is kept", role: roleAuditor, query: []string{"lines", "find", "least", "service", "since", "until", "all"}, out: []string{}},

		"GET /v1/accounts":                     {summary: "All accounts, with what they use", role: roleAuditor, out: []Account{}},
		"POST /v1/accounts":                    {summary: "Make an account", role: roleOperator, in: NewAccount{}, out: Account{}},
		"DELETE /v1/accounts/{address}":        {summary: "Delete an account with its mail", role: roleAdministrator},
		"PUT /v1/accounts/{address}/password":  {summary: "Set an account's password", role: roleOperator, in: passwordChange{}},
		"PUT /v1/accounts/{address}/name":      {summary: "Change how a person is called", role: roleOperator, in: NewName{}},
		"PUT /v1/accounts/{address}/quota":     {summary: "Change how much mail an account may keep", role: roleOperator, in: NewQuota{}},
		"PUT /v1/accounts/{address}/suspended": {summary: "Keep everybody from signing in to an account, or let them again", role: roleOperator, in: Suspension{}},
		"PUT /v1/admin/password":               {summary: "Set the administrator's password", role: roleAdministrator, in: passwordChange{}},

		"GET /v1/accounts/{address}/web":         {summary: "A person's role, second factor, passkeys and sessions on the web page", role: roleAuditor, out: PageUser{}},
		"PUT /v1/accounts/{address}/role":        {summary: "Give a person another role on the web page; it signs them out there", role: roleAdministrator, in: RoleChange{}},
		"DELETE /v1/accounts/{address}/factor":   {summary: "Take a person's second factor, recovery codes and passkeys away; it signs them out of the web page", role: roleAdministrator, out: FactorReset{}},
		"DELETE /v1/accounts/{address}/sessions": {summary: "Sign a person out of the web page, everywhere or of one session", role: roleOperator, query: []string{"session"}, out: EndedSessions{}},

		"GET /v1/admin/web":         {summary: "The administrator's second factor, passkeys and sessions on the web page", role: roleAuditor, out: PageUser{}},
		"DELETE /v1/admin/factor":   {summary: "Take the administrator's second factor, recovery codes and passkeys away", role: roleAdministrator, out: FactorReset{}},
		"DELETE /v1/admin/sessions": {summary: "Sign the administrator out of the web page, everywhere or of one session", role: roleAdministrator, query: []string{"session"}, out: EndedSessions{}},

		"GET /v1/tokens":         {summary: "The tokens that open this API", role: roleAdministrator, out: []Token{}},
		"POST /v1/tokens":        {summary: "Make a token; its secret is told this once", role: roleAdministrator, in: NewToken{}, out: AddedToken{}},
		"DELETE /v1/tokens/{id}": {summary: "Revoke a token", role: roleAdministrator, out: Token{}},

		"GET /v1/accounts/{address}/devices":              {summary: "An account's devices", role: roleAuditor, out: []directory.Device{}},
		"POST /v1/accounts/{address}/devices":             {summary: "Make a password for a device", role: roleOperator, in: NewDevice{}, out: AddedDevice{}},
		"DELETE /v1/accounts/{address}/devices":           {summary: "Revoke a device", role: roleOperator, query: []string{"device"}, out: directory.Device{}},
		"POST /v1/accounts/{address}/devices/certificate": {summary: "Make a certificate for a device", role: roleOperator, in: NewCertificate{}, out: AddedCertificate{}},

		"GET /v1/aliases":              {summary: "All aliases", role: roleAuditor, out: []directory.Alias{}},
		"POST /v1/aliases":             {summary: "Make an alias, or add targets to one", role: roleOperator, in: directory.Alias{}},
		"GET /v1/aliases/{address}":    {summary: "One alias", role: roleAuditor, out: directory.Alias{}},
		"PUT /v1/aliases/{address}":    {summary: "Make a group or alias, or replace its members, description and who may write to it", role: roleOperator, in: AliasChange{}, out: directory.Alias{}},
		"DELETE /v1/aliases/{address}": {summary: "Remove an alias, or targets of one", role: roleOperator, query: []string{"target"}},

		"POST /v1/messages": {
			summary: "Put messages into a mailbox: a row of frames, each a line of JSON and then the octets of a message",
			role:    roleAdministrator, query: []string{"to", "mailbox", "from"}, kind: "application/json",
		},

		"GET /v1/certificate":         {summary: "The certificate, and what is wrong with it", role: roleAuditor, out: certs.State{}},
		"PUT /v1/certificate":         {summary: "Take another source of certificates into use, or check it", role: roleAdministrator, in: CertificateChange{}, out: certs.Report{}},
		"POST /v1/certificate/upload": {summary: "Check a certificate's files, or use them", role: roleAdministrator, in: CertificateUpload{}, out: certs.Report{}},
		"POST /v1/certificate/renew":  {summary: "Renew the certificate now", role: roleOperator, out: certs.State{}},
		"POST /v1/certificate/new-ca": {summary: "Make another certificate authority; every device has to trust it anew", role: roleAdministrator, out: certs.State{}},
		"GET /v1/certificate/root": {
			summary: "The certificate authority's own certificate, for devices to trust", role: roleAuditor, query: []string{"form"},
			kind: "application/x-x509-ca-cert",
		},

		"GET /v1/bans":       {summary: "The bans that hold", role: roleAuditor, out: []access.Ban{}},
		"POST /v1/bans":      {summary: "Ban a network", role: roleOperator, in: NewBan{}, out: access.Ban{}},
		"DELETE /v1/bans":    {summary: "Lift the bans of a network", role: roleOperator, query: []string{"network", "account"}, out: []access.Ban{}},
		"GET /v1/allowed":    {summary: "Networks that are never banned", role: roleAuditor, out: []access.Allowed{}},
		"POST /v1/allowed":   {summary: "Keep a network from being banned", role: roleOperator, in: NewAllowed{}, out: access.Allowed{}},
		"DELETE /v1/allowed": {summary: "Let a network be banned again", role: roleOperator, query: []string{"network"}},

		"GET /v1/settings":                   {summary: "The settings, and a change that is on its way", role: roleAuditor, out: Settings{}},
		"GET /v1/settings/versions":          {summary: "All versions of the settings that are kept", role: roleAuditor, out: []config.Version{}},
		"GET /v1/settings/versions/{number}": {summary: "One version of the settings", role: roleAuditor, out: config.Version{}},
		"PATCH /v1/settings":                 {summary: "Change some settings: at once what keeps nobody out and loses nothing, such as the office's name; anything else to be confirmed", role: roleAdministrator, in: AmendSettings{}, out: Amended{}},
		"POST /v1/settings/plan":             {summary: "What other settings would change; it changes nothing", role: roleOperator, in: config.Document{}, out: Plan{}},
		"POST /v1/settings/proposals":        {summary: "Apply other settings, to be confirmed", role: roleAdministrator, in: ProposeSettings{}, out: Proposed{}},
		"POST /v1/settings/confirm":          {summary: "Keep the change that is applied; by a connection that is newer than it", role: roleOperator, in: endSettings{}, out: config.Version{}},
		"POST /v1/settings/revert":           {summary: "Take the change that is applied back", role: roleOperator, in: endSettings{}},

		"GET /v1/power":          {summary: "What there is to know before the box is started anew or switched off", role: roleAuditor, out: PowerState{}},
		"POST /v1/power/{order}": {summary: "Start the box anew (restart) or switch it off (off); answered when it is under way", role: roleAdministrator},

		"GET /v1/support":  {summary: "What a support bundle holds", role: roleAdministrator, out: []support.Part{}},
		"POST /v1/support": {summary: "Make a support bundle: a ZIP archive without secrets, and without names unless they are to be kept", role: roleAdministrator, in: SupportRequest{}, kind: "application/zip"},

		"GET /v1/network":          {summary: "The interfaces and addresses that are found", role: roleAuditor, kind: "application/json"},
		"GET /v1/firewall":         {summary: "The firewall's rules, in words too", role: roleAuditor, out: FirewallRules{}},
		"GET /v1/firewall/explain": {summary: "Whether an address would get in", role: roleAuditor, query: []string{"source", "port"}, out: FirewallDecision{}},

		"POST /v1/check":  {summary: "Read all stored mail and say what is damaged, or mend it", role: roleAdministrator, query: []string{"repair"}, kind: "application/x-ndjson"},
		"POST /v1/doctor": {summary: "Examine this box or another server", role: roleOperator, in: ExamineRequest{}, out: doctor.Report{}},

		"GET /v1/doctor/rounds": {summary: "What was examined on the web page, and found", role: roleAuditor, kind: "application/json"},

		"GET /v1/metrics":          {summary: "What was counted, as Prometheus reads it", role: roleAuditor, kind: "text/plain"},
		"POST /v1/metrics/token":   {summary: "Make another token for the metrics", role: roleAdministrator, out: MetricsToken{}},
		"DELETE /v1/metrics/token": {summary: "Take the metrics' token away", role: roleAdministrator},

		"GET /v1/ports":              {summary: "What is known of each port for mail", role: roleAuditor, out: []ports.Port{}},
		"GET /v1/ports/clients":      {summary: "Who uses which port, and by what program", role: roleAuditor, query: chosen, out: []ports.Client{}},
		"GET /v1/ports/clients/{id}": {summary: "One client of them", role: roleAuditor, out: ports.Client{}},
		"GET /v1/ports/strangers":    {summary: "Who connected without signing in", role: roleAuditor, query: chosen, out: []ports.Stranger{}},
		"GET /v1/ports/simulate":     {summary: "What closing a port, or another rule, would have broken", role: roleAuditor, query: []string{"change", "port"}, out: ports.Forecast{}},

		"GET /v1/plans":        {summary: "The plans to leave a port or an old way of signing in", role: roleAuditor, out: []sunset.Plan{}},
		"POST /v1/plans":       {summary: "Make a plan; it does nothing before it is started", role: roleAdministrator, in: sunset.Spec{}, out: sunset.Status{}},
		"GET /v1/plans/{kind}": {summary: "One plan: where it stands, and what keeps it from its next step", role: roleAuditor, out: sunset.Status{}},

		"POST /v1/plans/{kind}/start":    {summary: "Approve a plan and start it", role: roleAdministrator, in: PlanAct{}, out: sunset.Status{}},
		"POST /v1/plans/{kind}/next":     {summary: "Go to a plan's next step", role: roleAdministrator, in: PlanAct{}, out: sunset.Status{}},
		"POST /v1/plans/{kind}/pause":    {summary: "Stop a plan for now", role: roleOperator, in: PlanAct{}, out: sunset.Status{}},
		"POST /v1/plans/{kind}/resume":   {summary: "Go on with a plan", role: roleAdministrator, in: PlanAct{}, out: sunset.Status{}},
		"POST /v1/plans/{kind}/rollback": {summary: "Take a plan back", role: roleOperator, in: PlanAct{}, out: sunset.Status{}},
		"POST /v1/plans/{kind}/accept":   {summary: "Accept that a plan cuts some people off", role: roleAdministrator, in: PlanAct{}, out: sunset.Status{}},
		"POST /v1/plans/{kind}/brownout": {summary: "Plan a brown-out, or end it", role: roleAdministrator, in: PlanAct{}, out: sunset.Status{}},
		"POST /v1/plans/{kind}/drop":     {summary: "Drop a plan", role: roleAdministrator, in: PlanAct{}, out: sunset.Status{}},

		"POST /v1/plans-report": {summary: "What was found, decided and done about the plans, for an auditor", role: roleAuditor, query: []string{"form"}, out: sunset.Report{}},
		"GET /v1/port-990":      {summary: "Why port 990 is open, and who answers for it", role: roleAuditor, out: sunset.Ownership{}},
		"PUT /v1/port-990":      {summary: "Say why port 990 is open, and who answers for it", role: roleAdministrator, in: sunset.Ownership{}, out: sunset.Ownership{}},

		"GET /v1/imports":        {summary: "The moves of mail to the box", role: roleAuditor, out: []importer.Job{}},
		"POST /v1/imports":       {summary: "Begin to move mail in", role: roleAdministrator, in: importer.NewJob{}, out: importer.Job{}},
		"POST /v1/imports/try":   {summary: "What would move; it changes nothing", role: roleAdministrator, in: TryImport{}, out: importer.Report{}},
		"POST /v1/imports/files": {summary: "Move in what the caller reads from files", role: roleAdministrator, query: []string{"account", "options"}, kind: "application/octet-stream"},
		"POST /v1/imports/archive": {
			summary: "Begin to move in the mail of a file, which is the body: a zip, a tar (also with gzip) or an mbox; size is how many octets come", role: roleAdministrator,
			query: []string{"account", "name", "size", "owner", "keep_uids"}, takes: "application/octet-stream", out: importer.Job{},
		},
		"GET /v1/imports/{id}":           {summary: "One move; it waits for something new if asked to", role: roleAuditor, query: []string{"after", "wait"}, out: importer.Job{}},
		"DELETE /v1/imports/{id}":        {summary: "Forget a move that has ended", role: roleAdministrator},
		"GET /v1/imports/{id}/report":    {summary: "What became of one person's mail", role: roleAuditor, query: []string{"person"}, out: importer.Report{}},
		"POST /v1/imports/{id}/resume":   {summary: "Go on with a move", role: roleAdministrator, in: ResumeJob{}, out: importer.Job{}},
		"POST /v1/imports/{id}/verify":   {summary: "Compare what came with the source", role: roleAdministrator, in: VerifyImport{}, out: importer.Report{}},
		"POST /v1/imports/{id}/bad":      {summary: "A quarantined message of a person's report, as it came", role: roleAdministrator, query: []string{"person", "message"}, kind: "message/rfc822"},
		"POST /v1/imports/{id}/pause":    {summary: "Stop a move for now", role: roleOperator, out: importer.Job{}},
		"POST /v1/imports/{id}/cancel":   {summary: "End a move; what came stays", role: roleAdministrator, out: importer.Job{}},
		"POST /v1/imports/{id}/cut-over": {summary: "Take the newest and end a move that follows its source", role: roleAdministrator, out: importer.Job{}},

		"GET /v1/setup":                             {summary: "How mail programs connect", role: roleAuditor, kind: "application/json"},
		"GET /v1/setup/people/{address}/sheet":      {summary: "A person's page with what to type into mail programs", role: roleAuditor, kind: "text/html"},
		"GET /v1/setup/people/{address}/profile":    {summary: "A person's profile for Apple's devices", role: roleAuditor, kind: "application/x-apple-aspen-config"},
		"GET /v1/setup/domains/{domain}/records":    {summary: "The DNS records by which mail programs find the box", role: roleAuditor, kind: "application/json"},
		"GET /v1/setup/domains/{domain}/autoconfig": {summary: "What Thunderbird asks for", role: roleAuditor, kind: "text/xml"},

		"POST /v1/accounts/{address}/archive":               {summary: "An account's mail as one file: form=mbox for a zip, form=maildir for a tar", role: roleAdministrator, query: []string{"form"}, kind: "application/octet-stream"},
		"GET /v1/exports":                                   {summary: "The moves of mail out of the box", role: roleAuditor, out: []exporter.Move{}},
		"POST /v1/exports":                                  {summary: "Begin to move mail out", role: roleAdministrator, in: exporter.NewMove{}, out: exporter.Move{}},
		"POST /v1/exports/now":                              {summary: "Export an account while the caller waits", role: roleAdministrator, in: exporter.Request{}, kind: "application/x-ndjson"},
		"GET /v1/exports/{id}":                              {summary: "One move out; it waits for something new if asked to", role: roleAuditor, query: []string{"after", "wait"}, out: exporter.Move{}},
		"DELETE /v1/exports/{id}":                           {summary: "Forget a move out that has ended", role: roleAdministrator},
		"GET /v1/exports/{id}/report":                       {summary: "What became of one person's mail", role: roleAuditor, query: []string{"person"}, out: exporter.Report{}},
		"POST /v1/exports/{id}/pause":                       {summary: "Stop a move out for now", role: roleOperator, out: exporter.Move{}},
		"POST /v1/exports/{id}/cancel":                      {summary: "End a move out; what is at its target stays", role: roleAdministrator, out: exporter.Move{}},
		"POST /v1/exports/{id}/resume":                      {summary: "Go on with a move out", role: roleAdministrator, in: ResumeJob{}, out: exporter.Move{}},
		"POST /v1/exports/readings":                         {summary: "Begin to read an account's mail", role: roleAdministrator, kind: "application/json"},
		"DELETE /v1/exports/readings/{id}":                  {summary: "End reading it", role: roleAdministrator},
		"GET /v1/exports/readings/{id}/mailboxes":           {summary: "Its mailboxes", role: roleAdministrator, kind: "application/json"},
		"GET /v1/exports/readings/{id}/mailboxes/{mailbox}": {summary: "The messages of one of them", role: roleAdministrator, kind: "application/x-ndjson"},
		"POST /v1/exports/readings/{id}/bodies":             {summary: "What messages say", role: roleAdministrator, kind: "application/octet-stream"},

		"GET /v1/audit/kinds":       {summary: "What can be recorded, and how long it is kept", role: roleAuditor, out: []AuditKind{}},
		"GET /v1/audit/records":     {summary: "The newest records of who did what; with before=acts:120,access:4500, of each book those before a number", role: roleAuditor, query: append(of, "limit", "before"), out: []audit.Entry{}},
		"POST /v1/audit/export":     {summary: "All records, as CSV or JSON lines", role: roleAuditor, query: append(of, "format"), kind: "text/csv"},
		"POST /v1/audit/verify":     {summary: "Verify that nobody changed the record", role: roleAuditor, in: verification{}, out: audit.Report{}},
		"POST /v1/audit/checkpoint": {summary: "Sign how far the record has come", role: roleAuditor, out: AuditCheckpoint{}},
	}
}
