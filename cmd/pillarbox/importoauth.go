package main

import (
	"errors"

	"pillarbox/appliance/importer"
)

// oauthFlags say where access tokens come from.
type oauthFlags struct {
	OAuth         bool     `name:"oauth" help:"The password is an access token (XOAUTH2), as for Exchange Online. It ends after an hour or so; the flags below have others fetched."`
	OAuthTenant   string   `name:"oauth-tenant" help:"Have Microsoft give tokens for this tenant (Exchange Online)." placeholder:"TENANT" xor:"provider"`
	OAuthEndpoint string   `name:"oauth-endpoint" help:"Have this token endpoint give tokens." placeholder:"URL" xor:"provider"`
	OAuthClient   string   `name:"oauth-client" help:"The application's ID there. The password is the application's secret, and the token opens everybody's mailbox." placeholder:"ID"`
	OAuthScope    []string `name:"oauth-scope" help:"What the token is asked for; Microsoft's are known." placeholder:"SCOPE"`
	OAuthRefresh  bool     `name:"oauth-refresh" help:"The passwords are people's refresh tokens instead."`
}

// byApplication tells whether the password is the application's secret.
func (f *oauthFlags) byApplication() bool { return f.OAuthClient != "" && !f.OAuthRefresh }

// apply puts the flags into a job.
func (f *oauthFlags) apply(n *importer.NewJob) error {
	s := n.From.IMAP
	provider := f.OAuthTenant != "" || f.OAuthEndpoint != ""
	if f.OAuth || provider {
		s.SignIn = importer.ByXOAUTH2
	}
	grant := importer.ByApplication
	if f.OAuthRefresh {
		grant = importer.ByRefreshToken
	}
	switch {
	case provider && f.OAuthClient == "":
		return &usageError{err: errors.New("--oauth-client is wanted, too: the ID under which the provider knows the application")}
	case !provider && (f.OAuthClient != "" || f.OAuthRefresh || len(f.OAuthScope) > 0):
		return &usageError{err: errors.New("where does the token come from? Give --oauth-tenant or --oauth-endpoint, too")}
	case f.OAuthTenant != "":
		s.OAuth = importer.ExchangeOnline(f.OAuthTenant, f.OAuthClient, grant)
	case provider:
		s.OAuth = &importer.OAuth{Endpoint: f.OAuthEndpoint, ClientID: f.OAuthClient, Grant: grant}
	}
	if len(f.OAuthScope) > 0 {
		s.OAuth.Scopes = f.OAuthScope
	}

	return nil
}
