package images_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"pillarbox/images/machine"
)

// timeServer speaks SNTP (RFC 4330) on this host, once it is told to.
type timeServer struct {
	socket net.PacketConn
	now    time.Time
	talks  atomic.Bool
}

func startTimeServer(t *testing.T, now time.Time) *timeServer {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &timeServer{socket: socket, now: now}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.serve()
	}()
	t.Cleanup(func() {
		_ = socket.Close()
		<-done
	})

	return s
}

func (s *timeServer) port() int { return s.socket.LocalAddr().(*net.UDPAddr).Port }

func (s *timeServer) serve() {
	const size, since1900 = 48, 2208988800
	question := make([]byte, 512)
	for {
		n, from, err := s.socket.ReadFrom(question)
		if err != nil {
			return
		}
		if n < size || !s.talks.Load() {
			continue
		}
		answer := make([]byte, size)
		answer[0] = 4<<3 | 4 // version 4, server
		answer[1] = 1        // stratum
		copy(answer[12:], "TEST")
		seconds := uint32(s.now.Unix() + since1900)
		binary.BigEndian.PutUint32(answer[16:], seconds) // set
		copy(answer[24:32], question[40:48])             // originate: what the client sent
		binary.BigEndian.PutUint32(answer[32:], seconds) // received
		binary.BigEndian.PutUint32(answer[40:], seconds) // sent
		_, _ = s.socket.WriteTo(answer, from)            // the client asks again
	}
}

// TestAClockThatNobodySetIsTold keeps the time server silent at first. What it
// says then is noted at once: it holds after a power cut.
func TestAClockThatNobodySetIsTold(t *testing.T) {
	requireImageTest(t, "qemu-amd64")
	b := newBox(t, "qemu-amd64", machine.Q35)
	server := startTimeServer(t, time.Now().AddDate(1, 0, 0))
	year := server.now.UTC().Format("2006-01")
	// QEMU's network leads to this host by that address.
	b.provision(fmt.Sprintf("ntp = [\"10.0.2.2:%d\"]\n", server.port()))
	notSet := regexp.MustCompile(`Attention +No time server has set the clock \(medium\)`)
	b.on()
	b.untilGreeting(b.Started)
	b.read(notSet)

	server.talks.Store(true)
	b.untilScreen(`on pillarbox, ` + year + `.*?Health +all is well`)
	server.talks.Store(false)
	b.Cut()
	b.on()
	b.untilGreeting(b.Started)
	b.say("")
	b.read(regexp.MustCompile(`on pillarbox, ` + year))
	b.read(notSet)
	b.off()
}

// untilScreen looks at the screen again and again until it shows what is
// wanted.
func (b *box) untilScreen(pattern string) {
	b.t.Helper()
	wanted := regexp.MustCompile("(?s)" + pattern)
	for from := time.Now(); time.Since(from) < bootTime; time.Sleep(time.Second) {
		b.say("")
		if wanted.MatchString(b.read(regexp.MustCompile(`(?s)Pillarbox .*?Number, or Enter to look again: `))[0]) {
			return
		}
	}
	b.t.Fatalf("the screen does not show %s", pattern)
}
