// Package control lets the command line work on a data folder that a running
// server holds: an HTTP API in JSON on the unix socket control.sock in that
// folder. Where no server runs, the command opens the folder itself and speaks
// with the same [Handler] over a listener in memory ([Local]), so that there is
// one way for every act.
//
//	GET    /v1/status                          → Status
//	GET    /v1/pulse                           → Pulse
//	GET    /v1/log?lines=…                     → [line…], the newest last; find, least, service, since, until and all choose
//	GET    /v1/accounts                        → [Account…]
//	POST   /v1/accounts                        {address, name, password, quota} → Account
//	DELETE /v1/accounts/{address}
//	PUT    /v1/accounts/{address}/password     {password}
//	PUT    /v1/accounts/{address}/name         {name}
//	PUT    /v1/accounts/{address}/quota        {quota}
//	PUT    /v1/accounts/{address}/suspended    {suspended}
//	GET    /v1/accounts/{address}/devices      → [device…]
//	POST   /v1/accounts/{address}/devices      {name, no_sending} → AddedDevice
//	DELETE /v1/accounts/{address}/devices?device=… → device
//	GET    /v1/accounts/{address}/web          → PageUser: role, second factor, passkeys, sessions of the web page
//	PUT    /v1/accounts/{address}/role         {role}
//	DELETE /v1/accounts/{address}/factor       → {had}; recovery codes and passkeys go, too
//	DELETE /v1/accounts/{address}/sessions?session=… → {ended}
//	GET    /v1/admin/web                       → PageUser, of the administrator
//	DELETE /v1/admin/factor, /v1/admin/sessions as of an account
//	GET    /v1/tokens                          → [Token…]
//	POST   /v1/tokens                          {name, role, days} → AddedToken
//	DELETE /v1/tokens/{id}                     → Token
//	GET    /v1/aliases                         → [alias…]
//	POST   /v1/aliases                         {address, targets}
//	GET    /v1/aliases/{address}               → alias
//	PUT    /v1/aliases/{address}               AliasChange → alias
//	DELETE /v1/aliases/{address}?target=…
//	GET    /v1/certificate                     → certs.State
//	PUT    /v1/certificate                     {settings, check} → certs.Report
//	POST   /v1/certificate/upload              {files, password, fetch, use} → certs.Report
//	POST   /v1/certificate/renew               → certs.State
//	POST   /v1/certificate/new-ca              → certs.State
//	GET    /v1/certificate/root?form=profile   → the CA's certificate in PEM, or Apple's profile
//	GET    /v1/setup                           → setup.Facts
//	GET    /v1/setup/people/{address}/sheet    → a page to be printed, in HTML
//	GET    /v1/setup/people/{address}/profile  → Apple's profile, signed
//	GET    /v1/setup/domains/{domain}/records?form=zone → [setup.Record…], or lines of a zone file
//	GET    /v1/setup/domains/{domain}/autoconfig → Thunderbird's file
//	GET    /v1/bans                            → [ban…]
//	POST   /v1/bans                            {network, account, reason, seconds} → ban
//	DELETE /v1/bans?network=…&account=…        → [ban…], those that it ended
//	GET    /v1/allowed                         → [allowed…]
//	POST   /v1/allowed                         {network, note} → allowed
//	DELETE /v1/allowed?network=…
//	GET    /v1/plans                           → [sunset.Status…]
//	POST   /v1/plans                           sunset.Spec → sunset.Status
//	GET    /v1/plans/{kind}                    → sunset.Status
//	POST   /v1/plans/{kind}/{act}              PlanAct → sunset.Status; start, next, pause, resume, rollback, accept, brownout, drop
//	POST   /v1/plans-report?form=…             → sunset.Report, or as html or csv
//	GET    /v1/port-990                        → sunset.Ownership
//	PUT    /v1/port-990                        sunset.Ownership → sunset.Ownership
//	GET    /v1/ports                           → [ports.Port…]
//	GET    /v1/ports/clients?port=&account=&address=&since= → [ports.Client…]
//	GET    /v1/ports/clients/{id}              → ports.Client
//	GET    /v1/ports/strangers?port=&account=&address=&since= → [ports.Stranger…]
//	GET    /v1/ports/simulate?change=&port=    → ports.Forecast
//	POST   /v1/messages?to=…&mailbox=…&from=…  frames → [Result…]
//	GET    /v1/imports                         → [importer.Job…]
//	POST   /v1/imports                         importer.NewJob → Job; it signs in once before it answers
//	POST   /v1/imports/files?account=&options= the connection becomes one on which the command answers for files (package files)
//	POST   /v1/imports/try                     TryImport → importer.Report, with an estimate; nothing is changed
//	GET    /v1/imports/{id}?after=&wait=…      → Job, when its version is above after, or after so many seconds
//	POST   /v1/imports/{id}/pause|cancel|cut-over → Job
//	POST   /v1/imports/{id}/resume             ResumeJob → Job
//	POST   /v1/imports/{id}/verify             VerifyImport → importer.Report
//	GET    /v1/imports/{id}/report?person=…    → importer.Report
//	POST   /v1/imports/{id}/bad?person=&message=… → a message of the report's Bad, counted from 0, as it came
//	DELETE /v1/imports/{id}                    takes one that has ended off the list
//	GET    /v1/settings                        → Settings
//	GET    /v1/settings/versions[/{number}]    → [config.Version…]
//	POST   /v1/settings/plan                   document → Plan
//	POST   /v1/settings/proposals              ProposeSettings → Proposed
//	POST   /v1/settings/confirm                {id} → config.Version; by a new connection
//	POST   /v1/settings/revert                 {id}
//	GET    /v1/support                         → [support.Part…]
//	POST   /v1/support                         {keep_names} → a ZIP archive
//	GET    /v1/power                           → PowerState
//	POST   /v1/power/{order}                   restart or off; answered when it is under way
//	GET    /v1/network                         → the interfaces and addresses that are found
//	GET    /v1/firewall                        → FirewallRules
//	GET    /v1/firewall/explain?source=…&port=… → FirewallDecision
//	POST   /v1/check?repair=…                  → a Finding a line, the Report last
//	POST   /v1/accounts/{address}/archive?form=… → the mail as a zip (mbox) or a tar (maildir)
//	GET    /v1/exports                         → [exporter.Move…]
//	POST   /v1/exports                         exporter.NewMove → Move; it tries the target before it answers
//	POST   /v1/exports/now                     exporter.Request → an ExportLine a line, while the caller waits
//	GET    /v1/exports/{id}?after=&wait=…      → Move, when its version is above after, or after so many seconds
//	POST   /v1/exports/{id}/pause|cancel       → Move
//	POST   /v1/exports/{id}/resume             ResumeJob → Move
//	GET    /v1/exports/{id}/report?person=…    → exporter.Report
//	DELETE /v1/exports/{id}                    takes one that has ended off the list
//	POST   /v1/exports/readings                {account, target} → Reading, to export from another process
//	GET    /v1/exports/readings/{id}/mailboxes[/{mailbox}] → [mailbox…], a message a line
//	POST   /v1/exports/readings/{id}/bodies    [data…] → frames
//	DELETE /v1/exports/readings/{id}
//	POST   /v1/doctor                          ExamineRequest → doctor.Report
//	GET    /v1/doctor/rounds                   → what was examined on the web page, the newest first
//	GET    /v1/audit/records?since=&until=&kind=&account=&book=&limit=&before= → [audit.Entry…]
//	POST   /v1/audit/export?format=&…          → jsonl or csv; the trailers tell how many, or what failed
//	POST   /v1/audit/verify                    {kept: [checkpoint…]} → audit.Report
//	POST   /v1/audit/checkpoint                → {checkpoint, public_key}
//
// An error is {code, message}; codes are stable, see [Error].
//
// A body of /v1/messages is a row of frames, each a line of JSON and then as
// many octets of message as the line says; a size of -1 means all that
// follow. The messages of a body are received side by side and then appended
// together, in their order, with one commit for all.
//
// What changes something is recorded (package audit) before it is answered,
// with the user at the other end of the socket.
//
// # Threats
//
// Whoever can speak on the socket is the administrator. It has mode 0600, and
// on Linux the peer's user must also be root or the server's own. Bodies are
// bounded nevertheless, and no state changes on GET.
package control
