package doctor

import (
	"cmp"
	"strconv"
	"strings"
)

// place fills the places of a command that shows a finding.
type place struct {
	host    string
	port    uint16
	address string
	domain  string
	dir     string
	start   string // what openssl's -starttls wants; "" means none
}

func (p place) fill(command string) string {
	start := ""
	if !validHost(p.host) {
		p.host = "HOST" // it may come from the DNS, and a person runs the command
	}
	if p.start != "" {
		start = " -starttls " + p.start
	}
	// A host of IPv6 stands in brackets where a port follows.
	connect := p.host
	if strings.Contains(connect, ":") {
		connect = "[" + connect + "]"
	}
	connect += ":" + strconv.Itoa(int(p.port))

	return strings.NewReplacer("{connect}", connect, "{host}", p.host, "{port}", strconv.Itoa(int(p.port)),
		"{address}", cmp.Or(p.address, p.host), "{domain}", p.domain, "{starttls}", start,
		"{dir}", "'"+strings.ReplaceAll(p.dir, "'", `'\\''`)+"'").Replace(command)
}

// kind is what findings of one ID have in common.
type kind struct {
	id       string
	severity Severity
	why      string
	do       string
	see      string
}

const (
	seeChain = "openssl s_client -connect {connect}{starttls} -showcerts </dev/null"
	seeLeaf  = "openssl s_client -connect {connect}{starttls} </dev/null | openssl x509 -noout -subject -issuer -dates -ext subjectAltName"
	seeTalk  = "openssl s_client -quiet -crlf -connect {connect}{starttls}"
	seeClear = "nc {host} {port}"
	seePorts = "ss -tlnp"
)

// kindOf returns the kind of an ID.
func kindOf(id string) kind {
	for _, k := range kinds() {
		if k.id == id {
			return k
		}
	}

	return kind{id: id, severity: Warning}
}

// kinds are all findings that there are. Scripts rely on the IDs.
func kinds() []kind {
	return append(serverKinds(), append(domainKinds(), boxKinds()...)...)
}

// serverKinds are about the host and its ports.
func serverKinds() []kind {
	return []kind{
		{"name-unknown", Broken, "Nobody finds the server by this name.", "Add an A and, where the server has IPv6, an AAAA record for it, or correct the name.", "dig {host} A; dig {host} AAAA"},
		{"dns-silent", Broken, "Without the DNS neither this examination nor other servers find what they look for.", "See that the name server runs and can be reached from here, and that the domain's servers answer.", "dig {host}"},
		{"port-closed", Broken, "Mail programs cannot connect.", "Start the mail server, or let it listen on this port and address.", seePorts + " 'sport = :{port}'   # on the server"},
		{"port-silent", Broken, "Mail programs wait and then give up.", "Open the port in the firewall on the way and forward it to the server, and see that the machine is on.", "nc -vz -w 5 {host} {port}"},
		{"no-route", Broken, "Nothing from here reaches the server.", "See that this machine has a network and a default route.", "ip route get {host}"},
		{"imaps-closed", Broken, "Mail programs look for IMAP on port 993 (RFC 8314) and find nothing.", "Let the server listen on 993 with TLS.", "nc -vz -w 5 {host} 993"},
		{"imaps-990", Note, "990 is registered for FTP over TLS; no mail program proposes it, and firewalls may treat it as FTP.", "Move programs that use it to 993.", "openssl s_client -connect {connect} </dev/null"},
		{"ipv4-silent", Broken, "Programs that take this address wait or fail.", "Let the server listen there and open the firewall, or take the address out of the DNS.", "nc -4 -vz -w 5 {host} {port}"},
		{"ipv6-silent", Warning, "Programs with IPv6 try this address first and wait.", "Let the server listen on IPv6 and open the firewall, or take the AAAA record away.", "nc -6 -vz -w 5 {host} {port}"},
		{"reverse-missing", Warning, "Many servers take no mail from an address without a name.", "Ask whoever gave you the address (the provider) to enter the server's name for it.", "dig -x {address}"},
		{"reverse-mismatch", Warning, "Many servers take no mail from an address whose name does not lead back.", "Let the reverse name and the server's A or AAAA record agree.", "dig -x {address}"},
		{"reverse-missing-note", Note, "It matters only where the server sends mail itself.", "Nothing, unless it sends mail.", "dig -x {address}"},
		{"reverse-mismatch-note", Note, "It matters only where the server sends mail itself.", "Nothing, unless it sends mail.", "dig -x {address}"},
		{"not-mail", Broken, "A mail program cannot use this port.", "See which program holds the port, and that it is the mail server with the right protocol.", seePorts + " 'sport = :{port}'   # on the server"},
		{"tls-fails", Broken, "No mail program can connect with encryption.", "See that the server has a certificate and its key and that TLS is on for this port; its log says why a handshake failed.", "openssl s_client -connect {connect}{starttls} </dev/null"},
		{"tls-no-modern", Broken, "Today's programs refuse anything older than TLS 1.2.", "Switch TLS 1.2 and 1.3 on, or renew the server's software.", "openssl s_client -tls1_2 -connect {connect}{starttls} </dev/null"},
		{"tls-no-13", Note, "TLS 1.3 is faster and safer; 1.2 is still good enough.", "Renew the server's TLS library, or allow 1.3.", "openssl s_client -tls1_3 -connect {connect}{starttls} </dev/null"},
		{"tls-old", Warning, "Versions older than TLS 1.2 have known weaknesses and must not be offered (RFC 8996).", "Set the lowest version to TLS 1.2, once no device needs an older one (Dovecot: ssl_min_protocol; Postfix: smtpd_tls_mandatory_protocols; Cyrus: tls_versions).", "openssl s_client -tls1_1 -cipher ALL@SECLEVEL=0 -connect {connect}{starttls} </dev/null"},
		{"tls-weak-cipher", Warning, "Whoever listens can break this cipher, or is not kept out at all.", "Allow only ciphers with ECDHE and AEAD (RFC 9325).", "openssl s_client -tls1_2 -cipher 'aNULL:eNULL:3DES:RC4@SECLEVEL=0' -connect {connect}{starttls} </dev/null"},
		{"tls-no-secrecy", Note, "Who records the connection and gets the key one day can read it then. Only a program that knows nothing better chooses this.", "Leave out ciphers with plain RSA key exchange.", "openssl s_client -tls1_2 -cipher kRSA -connect {connect}{starttls} </dev/null"},
		{"tls-weak-group", Warning, "Groups below 2048 bits can be broken, and newer programs refuse them.", "Make parameters of 2048 bits or more, or leave DHE out.", "openssl s_client -tls1_2 -cipher kDHE -connect {connect}{starttls} </dev/null | grep 'Temp Key'"},
		{"cert-expired", Broken, "Mail programs refuse the connection or warn every time.", "Renew the certificate and let the server load it; find out why the renewal did not happen by itself.", seeLeaf},
		{"cert-not-yet", Broken, "Mail programs refuse the connection.", "Set the clock of the server, or wait until the certificate is valid.", seeLeaf},
		{"cert-ends-soon", Warning, "When it has expired, mail programs refuse the connection.", "Renew it now, and see whether the renewal works by itself. If a new one is there already, let the server load it.", seeLeaf},
		{"cert-no-names", Broken, "Mail programs look only at the subject alternative names.", "Get a certificate with the server's name as subject alternative name.", seeLeaf},
		{"cert-name", Broken, "Mail programs refuse the connection or warn: it could be another server.", "Use a name that the certificate holds, or get a certificate for this one.", seeLeaf},
		{"cert-weak-key", Broken, "Programs refuse keys this short, and they can be broken.", "Make a new key (ECDSA P-256, or RSA with 2048 bits or more) and a certificate for it.", "openssl s_client -connect {connect}{starttls} </dev/null | openssl x509 -noout -text | grep Public-Key"},
		{"cert-weak-signature", Broken, "Such signatures can be forged, and programs refuse them.", "Get a certificate signed by SHA-256 or better.", "openssl s_client -connect {connect}{starttls} </dev/null | openssl x509 -noout -text | grep Signature"},
		{"cert-not-for-servers", Broken, "Programs refuse a certificate whose extended key usage lacks serverAuth.", "Get a certificate for servers.", "openssl s_client -connect {connect}{starttls} </dev/null | openssl x509 -noout -ext extendedKeyUsage"},
		{"chain-order", Warning, "Older programs need each certificate to be followed by its issuer's (RFC 5246, section 7.4.2), and fail otherwise.", "Put the server's certificate first and then each issuer's in turn into the file.", seeChain},
		{"chain-unneeded", Note, "It makes every handshake larger, and nothing else.", "Leave it out of the file.", seeChain},
		{"chain-incomplete", Broken, "Phones and mail programs do not fetch what is missing; browsers often do, so it looks well there.", "Append the CA's intermediate certificate to the server's (often called fullchain or bundle).", seeChain},
		{"cert-self-signed", Broken, "No program trusts it without an exception, and nobody can tell it from a forgery.", "Get a certificate from a CA, or make a CA of your own and install it on the devices.", seeLeaf},
		{"cert-unknown-ca", Warning, "Every device has to be told to trust that CA first.", "Install the CA's certificate on the devices (and name it here by --ca), or get a certificate from a public CA.", seeChain},
		{"cert-revoked", Broken, "The key may be in the wrong hands; programs that ask the CA refuse it.", "Make a new key, get a new certificate, and find out why the CA revoked this one.", "openssl ocsp -issuer issuer.pem -cert cert.pem -url $(openssl x509 -in cert.pem -noout -ocsp_uri)   # both from: " + seeChain},
		{"revocation-unknown", Note, "Programs that ask get no answer either; most go on then.", "See whether the CA's service can be reached.", "openssl s_client -status -connect {connect}{starttls} </dev/null"},
		{"staple-missing", Broken, "Programs that follow the certificate (RFC 7633) refuse the connection.", "Switch OCSP stapling on, or get a certificate without that demand.", "openssl s_client -status -connect {connect}{starttls} </dev/null"},
		{"staple-wrong", Warning, "Programs may refuse the connection.", "Let the server fetch the CA's word anew.", "openssl s_client -status -connect {connect}{starttls} </dev/null"},
		{"starttls-missing", Broken, "Passwords and mail go over this port without encryption.", "Switch TLS on for this port, or close it: 993 and 465 speak TLS from the start.", seeClear},
		{"starttls-missing-smtp", Warning, "Mail from other servers arrives without encryption, and anybody on the way can read it.", "Give the server a certificate and switch STARTTLS on.", seeClear},
		{"starttls-stripped", Broken, "Whoever does that reads the mail and the passwords of programs that go on without encryption.", "Find the firewall or proxy that inspects SMTP or IMAP (Cisco: “fixup”, “inspect esmtp”) and switch that off; use 993 and 465.", seeClear},
		{"starttls-injection", Broken, "Somebody on the way can put commands in front of a session, and see the password (CVE-2011-0411).", "Renew the server's software.", "openssl s_client{starttls} -connect {connect}"},
		{"plain-login", Broken, "A program that is set wrong sends the password for everybody to read.", "Let the server refuse log-ins before TLS (Dovecot: disable_plaintext_auth = yes; Postfix: smtpd_tls_auth_only = yes; Cyrus: allowplaintext: 0).", seeClear},
		{"greeting-fails", Broken, "The port is open, but there is no service.", "See the server's log: it may be overloaded, at its limit, or refuse this address.", seeTalk},
		{"imap-preauth", Broken, "Everybody on the network reads the mail.", "Switch that off.", seeTalk},
		{"imap-fails", Broken, "Mail programs cannot work with it.", "See the server's log.", seeTalk},
		{"imap-no-inbox", Broken, "New mail is in INBOX; a program does not find it.", "See that the account's mail is there and readable by the server, and its log.", seeTalk},
		{"fetch-fails", Broken, "Mail programs show an error or wrong text.", "See the server's log; let it check the mailbox (Dovecot: doveadm force-resync; Cyrus: reconstruct; Pillarbox: pillarbox check).", seeTalk},
		{"append-fails", Broken, "Programs cannot store sent mail and drafts.", "See the server's log, the disk's room and the account's quota.", seeTalk},
		{"no-login", Broken, "Nobody can sign in.", "Switch a mechanism on (PLAIN within TLS).", seeTalk},
		{"login-refused", Broken, "The person cannot read or send mail.", "Try the password in a mail program; set a new one. If it is right, see the server's log.", seeTalk},
		{"login-fails", Broken, "Nobody can sign in, whatever the password.", "See the log of the server and of what it asks for passwords.", seeTalk},
		{"idle-missing", Warning, "Programs learn of new mail only when they ask every few minutes.", "Switch IDLE on, or renew the server's software.", seeTalk},
		{"idle-fails", Broken, "Programs do not learn of new mail.", "See the server's log.", seeTalk},
		{"idle-silent", Warning, "Programs show new mail late, or only when they ask.", "See whether the server watches its mailboxes (Dovecot: inotify limits; Cyrus: idled runs).", seeTalk},
		{"slow", Warning, "People wait, and programs give up.", "See what the server waits for: the disk, the DNS, the password database, or too much to do.", "time openssl s_client -connect {connect}{starttls} </dev/null"},
		{"smtp-fails", Broken, "No mail goes over this port.", "See the server's log.", seeTalk},
		{"rcpt-refused", Broken, "Mail to this person is returned.", "See that the account or alias exists, that the domain is one of the server's, and its log.", seeTalk},
		{"rcpt-later", Warning, "Mail to this person waits at its sender.", "Wait a few minutes and try again (greylisting); otherwise see the server's log and the disk's room.", seeTalk},
		{"lmtp-lacks", Note, "LMTP demands it (RFC 2033); it works without, more slowly.", "Renew the server's software.", seeClear},
		{"lmtp-public", Warning, "LMTP takes mail without asking who sends it.", "Let it listen on a socket or on 127.0.0.1.", seePorts + " 'sport = :{port}'"},
	}
}

// domainKinds are about the domain's records and the clock.
func domainKinds() []kind {
	return []kind{
		{"domain-unknown", Broken, "Other servers return all mail for the domain.", "See that the domain is paid for and its name servers know it, and add an MX record.", "dig {domain} MX"},
		{"mx-missing", Warning, "Other servers then try the domain's own address, which is often a web server.", "Add an MX record that names the mail server.", "dig {domain} MX"},
		{"mx-none", Note, "Other servers return mail for it at once.", "Nothing, if that is meant (RFC 7505).", "dig {domain} MX"},
		{"mx-dangling", Broken, "Mail for the domain does not arrive.", "Add an address for that name, or correct the MX record.", "dig {host} A; dig {host} AAAA"},
		{"spf-missing", Warning, "Others cannot tell which servers may send for the domain, and may refuse its mail.", "Add a TXT record such as: v=spf1 mx -all", "dig {domain} TXT"},
		{"spf-wrong", Warning, "Others ignore the record or refuse the domain's mail.", "Correct the record; there must be exactly one that begins with v=spf1.", "dig {domain} TXT"},
		{"spf-all", Warning, "Anybody can send in the domain's name, and it looks right.", "Replace +all by -all or ~all.", "dig {domain} TXT"},
		{"spf-open", Warning, "For servers that are not named, nothing holds: forged mail is not told apart.", "End the record with -all or ~all.", "dig {domain} TXT"},
		{"dkim-missing", Warning, "What is signed with this selector is taken for forged.", "Publish the key, or sign with another selector.", "dig {host} TXT"},
		{"dkim-wrong", Warning, "Signatures cannot be verified, and mail is taken for forged.", "Publish the key anew; a long one has to be given in several strings of at most 255 characters.", "dig {host} TXT"},
		{"dkim-weak", Warning, "Keys below 1024 bits are ignored (RFC 8301).", "Make a key of 2048 bits and publish it under a new selector.", "dig {host} TXT"},
		{"dmarc-missing", Warning, "Large providers demand it, and without it nobody turns forged mail away.", "Add a TXT record, at first: v=DMARC1; p=none; rua=mailto:postmaster@{domain}", "dig {host} TXT"},
		{"dmarc-wrong", Warning, "Others ignore it.", "Correct the record; there must be exactly one that begins with v=DMARC1.", "dig {host} TXT"},
		{"dmarc-none", Note, "It is right for the beginning, while reports are watched.", "Once the reports show only your own servers: p=quarantine, then p=reject.", "dig {host} TXT"},
		{"mta-sts-missing", Note, "Others send encrypted if they can, but an attacker on the way can prevent it.", "Publish a policy once the MX servers have certificates for their names (RFC 8461).", "dig _mta-sts.{domain} TXT"},
		{"mta-sts-wrong", Warning, "Others cannot use the policy; those who remember an older one may not deliver.", "Correct it, and give the record another id.", "curl -v https://mta-sts.{domain}/.well-known/mta-sts.txt; dig _mta-sts.{domain} TXT"},
		{"mta-sts-mx", Broken, "Servers that follow the policy do not deliver there.", "Name the server in the policy (mx:) and give the record another id, or correct the MX record.", "curl https://mta-sts.{domain}/.well-known/mta-sts.txt; dig {domain} MX"},
		{"srv-missing", Note, "Some programs set themselves up by it (RFC 6186); others do without.", "Add SRV records for _imaps._tcp (993) and, for where mail is sent, _submissions._tcp (465). pillarbox setup records shows those of a Pillarbox.", "dig {host} SRV"},
		{"srv-wrong", Warning, "Programs that set themselves up by it fail.", "Correct the record's target and port.", "dig {host} SRV"},
		{"srv-990", Warning, "990 is registered for FTP over TLS, and firewalls may not let IMAP through.", "Let it lead to 993.", "dig {host} SRV"},
		{"autoconfig-wrong", Warning, "Thunderbird and other programs that set themselves up by it fail.", "Correct the file, or where {host} leads. A Pillarbox writes it by itself.", "curl -L 'http://{host}/mail/config-v1.1.xml?emailaddress=postmaster@{domain}'"},
		{"autoconfig-plain", Broken, "Programs set themselves up so that passwords go over the network in clear text.", "Let its socketType be SSL and its port 993.", "curl -L 'http://{host}/mail/config-v1.1.xml?emailaddress=postmaster@{domain}'"},
		{"autoconfig-990", Warning, "990 is registered for FTP over TLS, and firewalls may not let IMAP through.", "Let it name port 993.", "curl -L 'http://{host}/mail/config-v1.1.xml?emailaddress=postmaster@{domain}'"},
		{"clock-wrong", Broken, "Certificates look expired or not yet valid, one-time codes fail, and mail is dated wrongly.", "Let an NTP client set the clock.", "date -u; chronyc tracking"},
		{"clock-off", Warning, "Mail is not in order, and one-time codes may fail soon.", "Let an NTP client keep the clock.", "date -u; chronyc tracking"},
		{"clock-unknown", Warning, "Nobody notices when the clock goes wrong.", "See that time servers can be reached (UDP port 123), or name others.", "chronyd -Q 'server {host} iburst'"},
	}
}
