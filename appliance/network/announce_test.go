package network_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"pillarbox/appliance/network"
	"pillarbox/netcfg/mdns"
	"pillarbox/netcfg/netlab"
)

// ask asks the box's responder as plain DNS does; nil means that there was no
// answer.
func ask(t *testing.T, peer *netlab.Peer, box, name string) (answers []dnsmessage.Resource) {
	t.Helper()
	peer.Do(func() error {
		c, err := net.Dial("udp", box)
		if err != nil {
			return err
		}
		defer c.Close()
		question := dnsmessage.Message{Questions: []dnsmessage.Question{
			{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeALL, Class: dnsmessage.ClassINET},
		}}
		b, err := question.Pack()
		if err != nil {
			return err
		}
		if _, err := c.Write(b); err != nil {
			return err
		}
		if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		buf := make([]byte, 9000)
		n, err := c.Read(buf)
		if timeout := net.Error(nil); err != nil {
			if errors.As(err, &timeout) { // or nobody has the port yet
				return nil
			}
			return err
		}
		var m dnsmessage.Message
		err = m.Unpack(buf[:n])
		answers = m.Answers
		return err
	})
	return answers
}

func TestTheBoxIsFoundByNameWithWhatListens(t *testing.T) {
	peer := netlab.NewPeer(t)
	peer.Plug("eth0", "192.0.2.1/24")
	s := &service{}
	s.config = network.Config{
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Clock: clock{}, Settings: filepath.Join(t.TempDir(), "settings.json"),
		StatusFile: filepath.Join(t.TempDir(), "status.json"), Built: time.Now().Add(-2000 * time.Hour),
		Services: []mdns.Service{
			{Instance: "Pillarbox", Type: "_imaps._tcp", Port: 993},
			{Instance: "Pillarbox", Type: "_http._tcp", Port: 80},
		},
	}
	s.write(t, `{"version":1,"interfaces":[{"name":"eth0","ipv4":{"method":"static","addresses":["192.0.2.2/24"]}}]}`)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = network.Run(ctx, &s.config)
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	listener, err := net.Listen("tcp", ":993")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	inside, err := net.Listen("tcp", "127.0.0.1:80") // nobody else can reach it
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	name := s.until(t, "the name is told", func(s *network.Status) bool { return s.Name != "" }).Name
	if !strings.HasSuffix(name, ".local") {
		t.Errorf("the name is %q", name)
	}
	if got := ask(t, peer, "192.0.2.2:5353", name+"."); len(got) == 0 {
		t.Errorf("nobody answers for %s", name)
	}
	netlab.Until(t, "the service is announced", func() bool { return len(ask(t, peer, "192.0.2.2:5353", "_imaps._tcp.local.")) == 1 })
	if got := ask(t, peer, "192.0.2.2:5353", "_http._tcp.local."); len(got) > 0 {
		t.Errorf("what listens for this machine alone is announced: %v", got)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	netlab.Until(t, "the service is taken back", func() bool { return len(ask(t, peer, "192.0.2.2:5353", "_imaps._tcp.local.")) == 0 })
	stop()
	<-done
}
