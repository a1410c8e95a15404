package wire_test

import (
	"io"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/wire"
)

// BenchmarkAppendFetchLine appends what a flag resync sends for a message.
func BenchmarkAppendFetchLine(b *testing.B) {
	w := wire.NewWriter(io.Discard)
	w.Acquire()
	defer w.Release()
	flags := []imap.Flag{imap.FlagSeen, imap.FlagAnswered}
	now := time.Now().Unix()
	b.ReportAllocs()
	for n := range b.N {
		w.Buf = append(w.Buf, "* "...)
		w.Buf = wire.AppendUint(w.Buf, uint32(n))
		w.Buf = append(w.Buf, " FETCH (UID "...)
		w.Buf = wire.AppendUint(w.Buf, uint32(n))
		w.Buf = append(w.Buf, " FLAGS "...)
		w.Buf = wire.AppendFlags(w.Buf, flags)
		w.Buf = append(w.Buf, " INTERNALDATE "...)
		w.Buf = wire.AppendUnixDate(w.Buf, now, 120)
		w.Buf = append(w.Buf, ")\r\n"...)
		if err := w.Spill(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendMailboxUTF7(b *testing.B) {
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		buf = wire.AppendMailbox(buf[:0], "Projekte/Entwürfe/2024", false)
	}
}

func BenchmarkDecodeUTF7(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.DecodeUTF7("Projekte/Entw&APw-rfe/2024"); err != nil {
			b.Fatal(err)
		}
	}
}
