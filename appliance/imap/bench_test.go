package imap_test

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"testing"

	"pillarbox/storage"
)

// newBenchOffice opens an office in whose INBOX alice has n messages of
// several kinds.
func newBenchOffice(b *testing.B, n int) *office {
	b.Helper()
	o := newOffice(b)
	ctx := context.Background()
	var staged []*storage.Staged
	for _, text := range benchMails() {
		body, err := o.store.Stage(ctx, strings.NewReader(text))
		if err != nil {
			b.Fatal(err)
		}
		defer body.Close()
		staged = append(staged, body)
	}
	a := o.account("alice")
	box := a.Mailbox("INBOX")
	for done := 0; done < n; {
		var msgs []storage.AppendMessage
		for ; done < n && len(msgs) < 1000; done++ {
			prefix := fmt.Sprintf("Return-Path: <a%d@example.com>\r\n", done)
			msgs = append(msgs, storage.AppendMessage{Body: staged[done%len(staged)], Prefix: []byte(prefix)})
		}
		if _, err := a.Append(ctx, box.ID, msgs); err != nil {
			b.Fatal(err)
		}
	}
	return o
}

// benchMails are a plain mail, one in HTML and text, and one with an
// attachment of 100 KiB.
func benchMails() []string {
	header := "Return-Path: <anna@example.com>\r\nReceived: from mail.example.com by mx.example.org; Mon, 6 Jan 2025 10:00:00 +0100\r\n" +
		"From: =?UTF-8?Q?Anna_M=C3=BCller?= <anna@example.com>\r\nTo: Bob <bob@example.org>, Carla <carla@example.org>\r\n" +
		"Subject: Angebot zum Projekt\r\nDate: Mon, 6 Jan 2025 10:00:00 +0100\r\nMessage-ID: <1234567890@example.com>\r\nMIME-Version: 1.0\r\n"
	text := strings.Repeat("Sehr geehrte Damen und Herren, anbei das Angebot.\r\n", 40)
	return []string{
		header + "Content-Type: text/plain; charset=utf-8\r\n\r\n" + text,
		header + "Content-Type: multipart/alternative; boundary=xyz\r\n\r\n--xyz\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + text +
			"\r\n--xyz\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html>" + text + text + "</html>\r\n--xyz--\r\n",
		header + "Content-Type: multipart/mixed; boundary=abc\r\n\r\n--abc\r\nContent-Type: text/plain\r\n\r\n" + text +
			"\r\n--abc\r\nContent-Type: application/pdf; name=angebot.pdf\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=angebot.pdf\r\n\r\n" +
			strings.Repeat("JVBERi0xLjQKJcOkw7zDtsOfCjIgMCBvYmoKPDwvTGVuZ3RoIDMgMCBSL0ZpbHRlci9GbGF0\r\n", 1365) + "--abc--\r\n",
	}
}

// drain sends a command and throws its answer away; it returns the answer's
// octets.
func (c *client) drain(command string) int64 {
	c.t.Helper()
	tag, _ := c.send(command)
	var n int64
	for {
		line, err := c.br.ReadSlice('\n')
		n += int64(len(line))
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil {
			c.t.Fatalf("read: %v", err)
		}
		if strings.HasPrefix(string(line[:min(len(line), len(tag)+1)]), tag+" ") {
			if !strings.HasPrefix(string(line[len(tag)+1:]), "OK ") {
				c.t.Fatalf("%.60q was answered %q", command, line)
			}
			return n
		}
	}
}
