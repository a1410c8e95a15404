package web_test

import (
	"context"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// TestSignInByAPasskey makes a passkey with Chromium's own authenticator and
// signs in by it.
func TestSignInByAPasskey(t *testing.T) {
	long(t)
	_, b := busyOffice(t)
	b.do("plug an authenticator in", chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		if _, err := cdp.Call(ctx, tab, webauthn.Enable, webauthn.EnableParams{}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, tab, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{
			Options: &webauthn.VirtualAuthenticatorOptions{
				Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
				HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
			},
		})
		return err
	}))
	b.open("/passkey")
	b.do("make a passkey", click("Make the passkey"), chromedp.WaitVisible(chromedp.Search(`//h2[contains(., "Your passkeys")]`)))
	b.do("sign out", chromedp.Click(chromedp.Search(`//header//button[contains(., "Sign out")]`)), sees("Sign in"))
	b.do("sign in", click("Use a passkey"), sees("Overview"))
	b.open("/me")
	b.do("remove it", pushed(`form[action="/passkey/remove"] button`, "h1"))
	b.do("sign out again", chromedp.Click(chromedp.Search(`//header//button[contains(., "Sign out")]`)), sees("Sign in"))
	b.do("be refused", click("Use a passkey"), chromedp.WaitVisible(chromedp.Search(`//p[@id="passkey-problem"][contains(., "not known here")]`)))
}
