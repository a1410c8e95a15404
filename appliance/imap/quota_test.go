package imap_test

import (
	"context"
	"strings"
	"testing"

	imaplib "github.com/emersion/go-imap/v2"

	"pillarbox/storage"
)

func TestGetQuota(t *testing.T) {
	o := newOffice(t)
	o.dial().do(`GETQUOTA ""`, "BAD Log in first")
	c := o.login()
	c.do(`GETQUOTA ""`, "NO [NONEXISTENT] No such quota root")
	o.limit("alice", 100<<10)
	c.do(`GETQUOTA ""`, `* QUOTA "" (STORAGE 0 100)`, "OK GETQUOTA completed")
	o.deliver("alice", "INBOX", "Subject: big\r\n\r\n"+strings.Repeat("x", 20<<10))
	c.do(`GETQUOTA ""`, `* QUOTA "" (STORAGE 21 100)`, "OK GETQUOTA completed")
	c.do(`GETQUOTA "other"`, "NO [NONEXISTENT] No such quota root")
}

func TestGetQuotaRoot(t *testing.T) {
	o := newOffice(t)
	c := o.login()
	c.do("GETQUOTAROOT INBOX", "* QUOTAROOT INBOX", "OK GETQUOTAROOT completed")
	o.limit("alice", 1<<30)
	c.do("GETQUOTAROOT INBOX", `* QUOTAROOT INBOX ""`, `* QUOTA "" (STORAGE 0 1048576)`, "OK GETQUOTAROOT completed")
	c.do("GETQUOTAROOT later", `* QUOTAROOT later ""`, `* QUOTA "" (STORAGE 0 1048576)`, "OK GETQUOTAROOT completed")
}

func TestSetQuota(t *testing.T) {
	newOffice(t).login().do(`SETQUOTA "" (STORAGE 512)`, "NO [NOPERM] Only the administrator sets quotas")
}

func TestQuotaByLibrary(t *testing.T) {
	o := newOffice(t)
	o.limit("alice", 1<<20)
	data, err := o.library(nil).GetQuotaRoot("INBOX").Wait()
	if err != nil {
		t.Fatal(err)
	}
	if len(data) != 1 || data[0].Resources[imaplib.QuotaResourceStorage].Limit != 1024 {
		t.Errorf("got %+v", data)
	}
}

// limit sets an account's quota.
func (o *office) limit(id storage.AccountID, octets int64) {
	o.t.Helper()
	if err := o.account(id).SetQuota(context.Background(), octets); err != nil {
		o.t.Fatal(err)
	}
}
