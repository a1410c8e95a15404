package importer_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"context"

	"pillarbox/appliance/importer"
	"pillarbox/appliance/integration/rig"
)

// TestNamesThatAreNotModifiedUTF7 moves mailboxes that older servers let people
// make, in each way that a server may say their names.
func TestNamesThatAreNotModifiedUTF7(t *testing.T) {
	for _, how := range []string{"quoted", "literals", "UTF-8 as it is announced"} {
		t.Run(how, func(t *testing.T) {
			s := &standIn{caps: plainCaps + " ACL", boxes: []*standBox{plainBox(1)}, subs: []string{"INBOX", "R&D", "Stra\xdfe"}}
			for i, name := range []string{
				"R&D", "Gr\xf6\xdfe", "Gr\xc3\xb6\xc3\x9fe", "Stra\xdfe", "Stra&AN8-e", "&Jjo!", "a&AGE-", "Pr\xe9/vu", "private &94A-",
			} {
				b := plainBox(uint32(i + 2))
				b.name = name
				s.boxes = append(s.boxes, b)
			}
			if how == "UTF-8 as it is announced" {
				s.caps += " IMAP4rev2"
			}
			if how == "literals" {
				s.answer = func(_ int, command string) (string, bool) {
					if !strings.HasPrefix(command, "LIST") {
						return "", false
					}
					var out strings.Builder
					for _, b := range s.boxes {
						fmt.Fprintf(&out, "* LIST () \"/\" {%d}\r\n%s\r\n", len(b.name), b.name)
					}
					return out.String() + "TAG OK\r\n", false
				}
			}
			s.start(t)
			h := newHere(t)
			src := s.source(t)
			r := h.move(src, importer.Options{})
			want := "INBOX 1\n&Jjo! 7\nGröße 3\nGröße (2) 4\nPré\nPré/vu 9\nR&D 2\nStraße 6\nStraße (2) 5\na&AGE- 8\nprivate &94A- 10\n"
			got := strings.ReplaceAll(h.names(), "Pré 0", "Pré")
			if sorted(got) != sorted(want) {
				t.Errorf("there are\n%s", got)
			}
			if r.Total.Quarantined != 0 || !strings.Contains(strings.Join(r.Remarks, " "), `"R&D" is not in the alphabet of IMAP`) {
				t.Errorf("%+v %q", r.Total, r.Remarks)
			}
			if subs := h.account.Subscriptions(); how == "quoted" && (!slices.Contains(subs, "R&D") || slices.Contains(subs, "Größe")) {
				t.Errorf("subscribed are %q", subs)
			}
			h.verify(src, importer.Options{})
			if r := h.move(s.source(t), importer.Options{}); r.Total.Taken != 0 || r.Total.Claimed != 0 {
				t.Errorf("again: %+v", r.Total)
			}
		})
	}
}

func sorted(lines string) string {
	return strings.Join(slices.Sorted(strings.Lines(lines)), "")
}

// TestANameWithALineEnd is left out and told, and all else moves.
func TestANameWithALineEnd(t *testing.T) {
	s := &standIn{caps: plainCaps, boxes: []*standBox{plainBox(3)}}
	s.answer = func(_ int, command string) (string, bool) {
		if strings.HasPrefix(command, "LIST") {
			return "* LIST () \"/\" INBOX\r\n* LIST () \"/\" {5}\r\na\r\nb&\r\nTAG OK\r\n", false
		}
		return "", false
	}
	s.start(t)
	h := newHere(t)
	r := h.move(s.source(t), importer.Options{})
	at := slices.IndexFunc(r.Mailboxes, func(m importer.MailboxReport) bool { return strings.Contains(m.Skipped, "line end") })
	if r.Total.Taken != 3 || at < 0 {
		t.Errorf("%+v", r)
	}
}

// TestSubscriptionsWithoutListExtended asks real servers by LSUB, since they
// are made to conceal that they know better.
func TestSubscriptionsWithoutListExtended(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: the race detector sees enough of it elsewhere")
	}
	t.Parallel()
	for _, tt := range []struct {
		name, prefix string
		server       func(t *testing.T) *rig.OldServer
	}{
		{"Dovecot", "", func(t *testing.T) *rig.OldServer { return rig.Dovecot(t, []string{"ada"}) }},
		{"Cyrus", "INBOX.", func(t *testing.T) *rig.OldServer {
			return rig.Cyrus(t, []string{"ada"}, "altnamespace: no", "unixhierarchysep: no")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.server(t)
			c := s.Client(t, "ada")
			corpus := rig.Corpus(t, 3)
			rig.Put(t, c, "INBOX", corpus[0])
			rig.Put(t, c, tt.prefix+"Größe & Gewicht", corpus[1])
			rig.Put(t, c, tt.prefix+"Alt", corpus[2])
			for _, name := range []string{"Größe & Gewicht", "Alt"} {
				_ = c.Unsubscribe(tt.prefix + name).Wait() // where making it subscribed it
			}
			if err := c.Subscribe(tt.prefix + "Größe & Gewicht").Wait(); err != nil {
				t.Fatal(err)
			}
			hidden := &concealer{}
			conf := importer.Server{Host: s.Host, Port: 993, Security: importer.Plain, User: "ada", Secret: rig.OldPassword}
			src, err := importer.NewIMAP(&importer.IMAPConfig{Server: conf, Way: importer.Way{Dial: hidden.dial(s.CA)}, Logger: testLog(t)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { src.Close() })
			h := newHere(t)
			h.move(src, importer.Options{})
			if subs := h.account.Subscriptions(); !slices.Contains(subs, "Größe & Gewicht") || slices.Contains(subs, "Alt") {
				t.Errorf("subscribed are %q", subs)
			}
			if sent := hidden.sent.String(); !strings.Contains(sent, ` LSUB "" "*"`) || strings.Contains(sent, "RETURN") {
				t.Error("it was not asked by LSUB")
			}
		})
	}
}

// concealer encrypts a connection, and lets a server's LIST-EXTENDED and
// IMAP4rev2 not be seen.
type concealer struct{ sent bytes.Buffer }

func (c *concealer) dial(ca []byte) func(ctx context.Context, network, address string) (net.Conn, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	first := true
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: roots}}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		out := &concealed{Conn: conn}
		if first { // that which lists
			out.sent, first = &c.sent, false
		}
		return out, nil
	}
}

type concealed struct {
	net.Conn

	sent *bytes.Buffer
}

func (c *concealed) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	for _, word := range []string{"LIST-EXTENDED", "IMAP4rev2", "IMAP4REV2"} {
		copy(p, bytes.ReplaceAll(p[:n], []byte(word), []byte("X"+word[1:])))
	}
	return n, err
}

func (c *concealed) Write(p []byte) (int, error) {
	if c.sent != nil {
		c.sent.Write(p)
	}
	return c.Conn.Write(p)
}
