// Package bearer validates bearer tokens (RFC 6750) against the office's OpenID
// provider, and reads the SASL messages in which mail programs send them:
// OAUTHBEARER (RFC 7628) and XOAUTH2, which some know alone.
//
// A token is a JSON web token: an access token (RFC 9068) or an ID token. Opaque
// tokens are not asked the provider about: what it tells of one does not say for
// whom it was given.
//
// # Threats
//
// Whoever connects can send anything as a token. It is bounded in size, the
// algorithms are asymmetric ones, the keys come from the provider alone, by
// HTTPS, and how often they are fetched is bounded whatever tokens name. A
// provider that is down keeps nobody out, nor waiting, whose key is known.
//
// It must not know accounts, mailboxes, or where a token comes from.
package bearer
