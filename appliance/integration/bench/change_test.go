package bench_test

import "testing"

// storeAll sets and clears a flag on all messages in turn.
func (o *office) storeAll(b *testing.B) {
	w := o.filled(b)
	sign := "+-"
	i := 0
	for b.Loop() {
		must(b, w, `UID STORE 1:* %cFLAGS.SILENT (\Flagged)`, sign[i%2])
		i++
	}
	b.StopTimer()
	must(b, w, `UID STORE 1:* -FLAGS.SILENT (\Flagged)`)
	b.ReportMetric(archiveSize*float64(i)/b.Elapsed().Seconds(), "msg/s")
}

// storeOne changes one message after the other, each by a command of its own,
// as a person who reads does.
func (o *office) storeOne(b *testing.B) {
	w := o.filled(b)
	sign := "+-"
	i := 0
	for b.Loop() {
		must(b, w, `UID STORE %d %cFLAGS.SILENT (\Answered)`, 1+i%archiveSize, sign[i/archiveSize%2])
		i++
	}
	perSecond(b, 1, "op")
	must(b, w, `UID STORE 1:* -FLAGS.SILENT (\Answered)`)
}

// copyAll copies the whole archive to a mailbox that is empty.
func (o *office) copyAll(b *testing.B) {
	w := o.filled(b)
	for b.Loop() {
		b.StopTimer()
		must(b, w, "CREATE Copy")
		b.StartTimer()
		must(b, w, "UID COPY 1:* Copy")
		b.StopTimer()
		must(b, w, "DELETE Copy")
		b.StartTimer()
	}
	perSecond(b, archiveSize, "msg")
}

// move moves 1,000 messages from one mailbox of 1,000 to another.
func (o *office) move(b *testing.B) {
	w := o.filled(b)
	for b.Loop() {
		b.StopTimer()
		must(b, w, "CREATE From")
		must(b, w, "CREATE To")
		must(b, w, "COPY 1:1000 From")
		must(b, w, "SELECT From")
		b.StartTimer()
		must(b, w, "UID MOVE 1:* To")
		b.StopTimer()
		must(b, w, "SELECT %s", inbox)
		must(b, w, "DELETE From")
		must(b, w, "DELETE To")
		b.StartTimer()
	}
	perSecond(b, 1000, "msg")
}

// expunge removes 1,000 messages for good.
func (o *office) expunge(b *testing.B) {
	w := o.filled(b)
	for b.Loop() {
		b.StopTimer()
		must(b, w, "CREATE Expunge")
		must(b, w, "COPY 1:1000 Expunge")
		must(b, w, "SELECT Expunge")
		must(b, w, `STORE 1:* +FLAGS.SILENT (\Deleted)`)
		b.StartTimer()
		must(b, w, "EXPUNGE")
		b.StopTimer()
		must(b, w, "SELECT %s", inbox)
		must(b, w, "DELETE Expunge")
		b.StartTimer()
	}
	perSecond(b, 1000, "msg")
}
