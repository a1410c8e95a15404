package scram_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	peer "github.com/xdg-go/scram"
	"pgregory.net/rapid"

	"pillarbox/appliance/scram"
)

const few = 4096 // iterations, the fewest that are allowed

var salt = []byte("sixteen octets..")

func derive(t testing.TB, password string) scram.Keys {
	t.Helper()
	k, err := scram.Derive(password, salt, few)
	if err != nil {
		t.Fatal(err)
	}
	if !k.Valid() {
		t.Fatalf("derived keys are not valid: %+v", k)
	}
	return k
}

// TestKeysAreThoseOfThePeer compares with an independent implementation.
func TestKeysAreThoseOfThePeer(t *testing.T) {
	for _, password := range []string{"pencil", "jürgen und müller", "I\u00adX", "\u2168 nine", "a b", "with, comma = and"} {
		c, err := peer.SHA256.NewClient("anna", password, "")
		if err != nil {
			t.Fatal(err)
		}
		want, err := c.GetStoredCredentialsWithError(peer.KeyFactors{Salt: string(salt), Iters: few})
		if err != nil {
			t.Fatal(err)
		}
		k := derive(t, password)
		if string(k.Stored) != string(want.StoredKey) || string(k.Server) != string(want.ServerKey) {
			t.Errorf("%q: other keys", password)
		}
	}
}

// exchange lets the peer's client sign in.
func exchange(c *peer.ClientConversation, s *scram.Server, keys ...scram.Keys) error {
	first, err := c.Step("")
	if err != nil {
		return err
	}
	if err := s.First([]byte(first)); err != nil {
		return err
	}
	final, err := c.Step(string(s.Challenge(salt, few)))
	if err != nil {
		return err
	}
	proof, err := s.Final([]byte(final))
	if err != nil {
		return err
	}
	for i := range keys {
		if proof.Matches(&keys[i]) {
			_, err := c.Step(string(proof.Success(&keys[i])))
			return err
		}
	}
	return errWrong
}

var errWrong = errors.New("the password is wrong")

func TestAnyPasswordAndNameOfThePeer(t *testing.T) {
	other := derive(t, "some other password")
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-zA-Z0-9,=@. äöü€-]{1,40}`)
		password, name, as := text.Draw(t, "password"), text.Draw(t, "name"), text.Draw(t, "as")
		keys, err := scram.Derive(password, salt, few)
		if err != nil {
			t.Fatal(err)
		}
		c, err := peer.SHA256.NewClient(name, password, as)
		if err != nil {
			t.Skip("the peer refuses the text")
		}
		s := scram.NewServer(scram.Config{})
		if err := exchange(c.NewConversation(), s, other, keys); err != nil {
			t.Fatal(err)
		}
		// The peer sends what SASLprep makes of the name.
		if s.As != as || strings.Trim(s.Name, " ") == "" && strings.Trim(name, " ") != "" {
			t.Fatalf("%q for %q, want %q for %q", s.Name, s.As, name, as)
		}
		if err := exchange(c.NewConversation(), scram.NewServer(scram.Config{}), other); !errors.Is(err, errWrong) {
			t.Fatalf("a wrong password: %v", err)
		}
	})
}

func TestChannelBinding(t *testing.T) {
	keys := derive(t, "pencil")
	client, err := peer.SHA256.NewClient("anna", "pencil", "")
	if err != nil {
		t.Fatal(err)
	}
	exporter := func(data string) peer.ChannelBinding {
		return peer.ChannelBinding{Type: peer.ChannelBindingTLSExporter, Data: []byte(data)}
	}
	here := func(kind string) []byte {
		if kind == "tls-exporter" {
			return []byte("this connection")
		}
		return nil
	}
	for _, tt := range []struct {
		name   string
		client *peer.ClientConversation
		server scram.Config
		want   error
	}{
		{"bound", client.NewConversationWithChannelBinding(exporter("this connection")),
			scram.Config{Plus: true, Offered: true, Binding: here}, nil},
		{"bound to another connection", client.NewConversationWithChannelBinding(exporter("that connection")),
			scram.Config{Plus: true, Offered: true, Binding: here}, scram.ErrBinding},
		{"another kind", client.NewConversationWithChannelBinding(peer.NewTLSUniqueBinding([]byte("this connection"))),
			scram.Config{Plus: true, Offered: true, Binding: here}, scram.ErrNoBinding},
		{"a connection without any", client.NewConversationWithChannelBinding(exporter("this connection")),
			scram.Config{Plus: true}, scram.ErrNoBinding},
		{"not bound, and it could be", client.NewConversation(), scram.Config{Offered: true, Binding: here}, nil},
		{"a client that was not told", client.NewConversationAdvertisingChannelBinding(),
			scram.Config{Offered: true, Binding: here}, scram.ErrDowngrade},
		{"a client that could, and a server that cannot", client.NewConversationAdvertisingChannelBinding(), scram.Config{}, nil},
		{"bound by the mechanism that does not bind", client.NewConversationWithChannelBinding(exporter("this connection")),
			scram.Config{Offered: true, Binding: here}, scram.ErrMessage},
		{"not bound by the mechanism that binds", client.NewConversation(),
			scram.Config{Plus: true, Offered: true, Binding: here}, scram.ErrMessage},
	} {
		if err := exchange(tt.client, scram.NewServer(tt.server), keys); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestMessagesThatAreNotValid(t *testing.T) {
	for _, first := range []string{
		"", "n", "n,", "n,,", "n,,n=anna", "n,,n=anna,", "n,,n=,r=abc", "n,,n=anna,r=", "n,,r=abc,n=anna", "n,,m=x,n=anna,r=abc",
		"x,,n=anna,r=abc", "p=,,n=anna,r=abc", "p,,n=anna,r=abc", "n,b=ben,n=anna,r=abc", "n,a=,n=anna,r=abc", "n,,n=an=na,r=abc",
		"n,,n=anna=2,r=abc", "n,,n=an\x00na,r=abc", "n,,n=anna\xff,r=abc", "n,,n=anna,r=a b", "n,,n=anna,r=abc,", "n,,n=anna,r=abc,1=2",
		"n,,n=anna,r=" + strings.Repeat("x", 1025), "n,,n=" + strings.Repeat("a", 513) + ",r=abc", "n,,n=anna,r=abc,x=" + strings.Repeat("y", 4096),
	} {
		if err := scram.NewServer(scram.Config{}).First([]byte(first)); !errors.Is(err, scram.ErrMessage) {
			t.Errorf("%.60q: %v", first, err)
		}
	}
	s := scram.NewServer(scram.Config{})
	if err := s.First([]byte("n,a=b=2Cen,n=anna=3D,r=abc,x=y")); err != nil {
		t.Fatal(err)
	}
	if s.Name != "anna=" || s.As != "b,en" {
		t.Errorf("%q for %q", s.Name, s.As)
	}
	challenge := string(s.Challenge(salt, few))
	nonce, _, _ := strings.Cut(challenge, ",")
	proof := base64.StdEncoding.EncodeToString(make([]byte, 32))
	header := "c=" + base64.StdEncoding.EncodeToString([]byte("n,a=b=2Cen,"))
	for final, want := range map[string]error{
		header + "," + nonce + ",p=" + proof:                     nil,
		header + "," + nonce + ",x=y,p=" + proof:                 nil,
		"c=biws," + nonce + ",p=" + proof:                        scram.ErrBinding,
		header + ",r=abc,p=" + proof:                             scram.ErrMessage,
		header + "," + nonce + "x,p=" + proof:                    scram.ErrMessage,
		header + "," + nonce:                                     scram.ErrMessage,
		header + "," + nonce + ",p=":                             scram.ErrMessage,
		header + "," + nonce + ",p=" + proof[:40]:                scram.ErrMessage,
		header + "," + nonce + ",p=" + proof + ",p=AAAA":         scram.ErrMessage,
		header + ",p=" + proof:                                   scram.ErrMessage,
		"c=%," + nonce + ",p=" + proof:                           scram.ErrMessage,
		nonce + "," + header + ",p=" + proof:                     scram.ErrMessage,
		header + "," + nonce + ",,p=" + proof:                    scram.ErrMessage,
		header + "," + nonce + ",\xff=1,p=" + proof:              scram.ErrMessage,
		header + "," + nonce + ",p=" + strings.Repeat("A", 5000): scram.ErrMessage,
	} {
		if _, err := s.Final([]byte(final)); !errors.Is(err, want) {
			t.Errorf("%.80q: %v, want %v", final, err, want)
		}
	}
}

func TestDamagedKeysAreNotValid(t *testing.T) {
	good := derive(t, "pencil")
	for name, damage := range map[string]func(*scram.Keys){
		"no salt":         func(k *scram.Keys) { k.Salt = nil },
		"a short key":     func(k *scram.Keys) { k.Stored = k.Stored[:8] },
		"no server key":   func(k *scram.Keys) { k.Server = nil },
		"few iterations":  func(k *scram.Keys) { k.Iterations = 1 },
		"many iterations": func(k *scram.Keys) { k.Iterations = 1 << 40 },
	} {
		k := good
		if damage(&k); k.Valid() {
			t.Errorf("%s: valid", name)
		}
	}
}

func FuzzScram(f *testing.F) {
	f.Add("n,,n=anna,r=abc", "c=biws,r=abc,p=AAAA")
	f.Add("p=tls-exporter,a=ben,n=an=2Cna,r=abc,x=y", "c=cD10bHM=,r=abc,x=y,p=AAAA")
	f.Add("y,,n=anna,r=abc", "c=eSws,r=abc,p=")
	keys := scram.Keys{Salt: salt, Iterations: few, Stored: make([]byte, 32), Server: make([]byte, 32)}
	f.Fuzz(func(t *testing.T, first, final string) {
		for _, plus := range []bool{false, true} {
			s := scram.NewServer(scram.Config{Plus: plus, Offered: plus, Binding: func(string) []byte { return []byte("here") }})
			if err := s.First([]byte(first)); err != nil {
				continue
			}
			if s.Name == "" || len(s.Name) > 512 || strings.ContainsRune(s.Name, 0) {
				t.Errorf("%q is let through as a name", s.Name)
			}
			challenge := string(s.Challenge(salt, few))
			if strings.ContainsAny(challenge, "\r\n\x00") || strings.Count(challenge, ",") != 2 {
				t.Errorf("the challenge is %q", challenge)
			}
			// A client cannot know the nonce before; put it in for it.
			nonce, _, _ := strings.Cut(challenge, ",")
			for _, m := range []string{final, strings.Replace(final, "r=abc", nonce, 1)} {
				if proof, err := s.Final([]byte(m)); err == nil && proof.Matches(&keys) {
					t.Errorf("%q is let in", m)
				}
			}
		}
	})
}

func BenchmarkDerive(b *testing.B) {
	for b.Loop() {
		if _, err := scram.Derive("pencil", salt, scram.Iterations); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMatches(b *testing.B) {
	keys := derive(b, "pencil")
	s := scram.NewServer(scram.Config{})
	if err := s.First([]byte("n,,n=anna@office.example,r=rOprNGfwEbeRWgbNEkqO")); err != nil {
		b.Fatal(err)
	}
	nonce, _, _ := strings.Cut(string(s.Challenge(salt, few)), ",")
	proof, err := s.Final([]byte("c=biws," + nonce + ",p=" + base64.StdEncoding.EncodeToString(make([]byte, 32))))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if proof.Matches(&keys) {
			b.Fatal("matches")
		}
	}
}
