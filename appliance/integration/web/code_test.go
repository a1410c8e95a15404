package web_test

import (
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

// code is what an app for one-time codes shows now.
func code(t *testing.T, secret string) string {
	t.Helper()
	c, err := totp.GenerateCode(secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}

	return c
}
