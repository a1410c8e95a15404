// Package setup tells mail programs, and people, how to connect to the box. It
// answers the questions that programs ask before anybody has signed in, and
// writes what an administrator gives out:
//
//	Thunderbird and others   GET  http(s)://autoconfig.DOMAIN/mail/config-v1.1.xml?emailaddress=…
//	                         GET  http(s)://DOMAIN/.well-known/autoconfig/mail/config-v1.1.xml
//	Outlook (classic)        POST https://[autodiscover.]DOMAIN/autodiscover/autodiscover.xml, in any case of
//	                              letters; by plain HTTP it is sent on to there
//	                         GET  https://[autodiscover.]DOMAIN/autodiscover/autodiscover.json, which leads to it
//	anybody                  GET  http(s)://…/connect, a page with the CA's certificate and Apple's profile
//	an administrator         records for the DNS (RFC 6186; RFC 8314, section 5.1), a printed page for each person
//
// All of them name port 993 first, and one server for all domains: that which
// the certificate holds and the office's DNS knows. Port 990 is named nowhere but
// on the printed page, and there only while it is open, with the reason.
//
// # Sending
//
// The box may not take mail for sending. Then programs are told of the server
// that the office has for it, if the settings name one. Where there is none,
// Outlook is told of none; but Thunderbird refuses a configuration without one
// (readFromXML: "Need proper <outgoingServer>"), and Apple demands its keys: they
// are told of the box at port 465, where nothing answers until the box sends.
// Reading is set up by itself; sending fails, and the printed page says what to
// do.
//
// # Threats
//
// Whoever asks is a stranger, and is told only what every person of the office
// gets on paper. What is answered follows from the domain alone, and the address
// is given back as it came: whether there is such an account shows nowhere. It is
// answered only for the office's domains and by the box's names: by any other
// Host a page elsewhere could ask in its visitor's name (DNS rebinding). Bodies
// have a bound, entities in XML are not expanded, and passwords are never asked
// for. Who sits on the way can forge what comes by plain HTTP, as these protocols
// have it; so the paper shows the CA's fingerprint, to be compared.
//
// The package knows nothing of storage, sign-in or listeners: an [Office] gives
// it the facts.
package setup
