package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// fetchIMAP reads a message, or with uid 0 a listing, by an independent client.
func fetchIMAP(ctx context.Context, addr, data, user, password, mailbox, uid string) ([]byte, error) {
	pem, err := os.ReadFile(filepath.Join(data, "certs", "ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	dialer := tls.Dialer{NetDialer: &net.Dialer{}, Config: &tls.Config{RootCAs: pool}}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	c := imapclient.New(conn, nil)
	defer c.Close()
	if err := c.Login(user, password).Wait(); err != nil {
		return nil, err
	}
	if _, err := c.Select(mailbox, &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(uid, 10, 32)
	if err != nil {
		return nil, err
	}
	if n > 0 {
		section := &imap.FetchItemBodySection{Peek: true}
		msgs, err := c.Fetch(imap.UIDSetNum(imap.UID(n)), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{section}}).Collect()
		if err != nil {
			return nil, err
		}
		if len(msgs) != 1 {
			return nil, fmt.Errorf("UID %d yields %d messages", n, len(msgs))
		}
		return msgs[0].FindBodySection(section), nil
	}
	msgs, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{UID: true, Flags: true, InternalDate: true}).Collect()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, m := range msgs {
		flags := slices.DeleteFunc(m.Flags, func(f imap.Flag) bool { return f == "\\Recent" })
		slices.Sort(flags)
		fmt.Fprintf(&b, "%d %v %s\n", m.UID, flags, m.InternalDate.UTC().Format(time.DateTime))
	}

	return b.Bytes(), nil
}
