package message_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"pillarbox/storage/message"
)

// officeMail is a message as offices send them: text, HTML and an attachment, of 24 KB.
func officeMail() []byte {
	var b bytes.Buffer
	b.WriteString(crlf(`Return-Path: <ann@example.org>
Received: from mx.example.org (mx.example.org [192.0.2.1]) by box.example.net
 with ESMTPS id 4Z1 for <bob@example.net>; Fri, 21 Nov 2025 09:55:08 +0100
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=s1;
 h=from:to:subject:date; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;
 b=` + strings.Repeat("Zm9v", 80) + `
From: "Smith, Ann" <ann@example.org>
To: Bob <bob@example.net>, =?utf-8?Q?J=C3=B6rg?= <joerg@example.net>
Cc: team@example.net
Subject: =?utf-8?Q?Angebot_f=C3=BCr_die_n=C3=A4chste?= Woche
Date: Fri, 21 Nov 2025 09:55:06 +0100
Message-ID: <abc.def@example.org>
In-Reply-To: <123@example.net>
References: <120@example.net> <123@example.net>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="----=_Part_1"

------=_Part_1
Content-Type: multipart/alternative; boundary="----=_Part_2"

------=_Part_2
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

` + strings.Repeat("Sehr geehrte Damen und Herren, anbei das Angebot f=C3=BCr n=C3=A4chste Woche.\n", 30) + `
------=_Part_2
Content-Type: text/html; charset=utf-8

` + strings.Repeat("<p>Sehr geehrte Damen und Herren, anbei das Angebot.</p>\n", 60) + `
------=_Part_2--
------=_Part_1
Content-Type: application/pdf; name="angebot.pdf"
Content-Disposition: attachment; filename="angebot.pdf"
Content-Transfer-Encoding: base64

`))
	for range 220 {
		b.WriteString(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xa5}, 57)) + "\r\n")
	}
	b.WriteString("------=_Part_1--\r\n")
	return b.Bytes()
}

func BenchmarkParse(b *testing.B) {
	for _, bb := range []struct {
		name string
		body []byte
	}{
		{"office mail of 24 KB", officeMail()},
		{"attachment of 20 MB", append(officeMail(), bytes.Repeat([]byte(strings.Repeat("QUJD", 19)+"\r\n"), 270_000)...)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(int64(len(bb.body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := message.Parse(bytes.NewReader(bb.body), message.Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	m := parse(b, officeMail())
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		buf = m.Append(buf[:0])
	}
	b.ReportMetric(float64(len(buf)), "octets")
}

func BenchmarkView(b *testing.B) {
	record := parse(b, officeMail()).Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := message.View(record); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSearchBody(b *testing.B) {
	plain := []byte("Content-Type: text/plain; charset=utf-8\r\n\r\n" +
		strings.Repeat("Sehr geehrte Damen und Herren, anbei das Angebot für nächste Woche.\r\n", 350))
	for _, bb := range []struct {
		name   string
		body   []byte
		needle string
	}{
		{"ASCII in 24 KB of text", plain, "nowhere"},
		{"Unicode in 24 KB of text", plain, "nirgendwö"},
		{"ASCII in office mail of 24 KB", officeMail(), "nowhere"},
		{"Unicode in office mail of 24 KB", officeMail(), "nirgendwö"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			m := parse(b, bb.body)
			r := bytes.NewReader(bb.body)
			s := message.NewSearcher()
			ms := []*message.Matcher{message.NewMatcher(bb.needle)}
			found := make([]bool, 1)
			b.SetBytes(int64(len(bb.body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Search(r, 0, m.Parts, message.ScopeBody, ms, found); err != nil || found[0] {
					b.Fatal(found, err)
				}
			}
		})
	}
}
