package message_test

import (
	"testing"

	"pillarbox/storage/message"
)

func TestDecodeHeader(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "hello", "hello"},
		{"Q", "=?utf-8?Q?Gr=C3=BC=C3=9Fe?= an alle", "Grüße an alle"},
		{"B", "=?UTF-8?b?R3LDvMOfZQ==?=", "Grüße"},
		{"B without padding", "=?UTF-8?b?R3LDvMOfZQ?=", "Grüße"},
		{"underscore", "=?us-ascii?q?a_b?=", "a b"},
		{"blank between words", "=?utf-8?q?a?= \t =?utf-8?q?b?= c", "ab c"},
		{"blank after a word", "=?utf-8?q?a?=  b", "a  b"},
		{"no blank around a word", "x=?utf-8?q?a?=y", "xay"},
		{"character split between words", "=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "ü"},
		{"two charsets", "=?iso-8859-1?q?=FC?= =?utf-8?q?=C3=BC?=", "üü"},
		{"Windows-1252 called ISO-8859-1", "=?iso-8859-1?q?=93x=94?=", "“x”"},
		{"ISO-2022-JP", "=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=", "日本"},
		{"GB2312 means GBK", "=?gb2312?B?1tDOxA==?=", "中文"},
		{"KOI8-R", "=?koi8-r?B?8NLJ18XU?=", "Привет"},
		{"language", "=?iso-8859-1*de?q?=FC?=", "ü"},
		{"blanks within", "=?utf-8?q?a b c?=", "a b c"},
		{"unknown charset", "=?x-none?q?=FCa?=", "üa"},
		{"bad escape", "=?utf-8?q?a=ZZ?=", "a=ZZ"},
		{"unknown encoding", "=?utf-8?x?a?=", "=?utf-8?x?a?="},
		{"not closed", "=?utf-8?q?abc", "=?utf-8?q?abc"},
		{"empty text", "a =?utf-8?q??= b", "a  b"},
		{"raw UTF-8", "Grüße", "Grüße"},
		{"raw octets", "Gr\xfc\xdfe", "Grüße"},
		{"raw octets beside a word", "\xfc =?utf-8?q?a?=", "ü a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := message.DecodeHeader(tt.in); got != tt.want {
				t.Errorf("DecodeHeader(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}
