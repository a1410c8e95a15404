package message_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/google/go-cmp/cmp"

	"pillarbox/storage/message"
)

// fetcher is a server that answers every FETCH with the message it was given
// last, and go-imap's client of it: the client is what decodes.
type fetcher struct {
	client *imapclient.Client
	next   *message.Message
}

func newFetcher(t testing.TB) *fetcher {
	t.Helper()
	ours, theirs := net.Pipe()
	f := &fetcher{}
	go func() {
		in := bufio.NewScanner(theirs)
		io.WriteString(theirs, "* PREAUTH [CAPABILITY IMAP4rev1] ready\r\n")
		for in.Scan() {
			tag, command, _ := strings.Cut(in.Text(), " ")
			if strings.HasPrefix(command, "FETCH") {
				theirs.Write(f.answer())
			}
			fmt.Fprintf(theirs, "%s OK done\r\n", tag)
		}
	}()
	f.client = imapclient.New(ours, nil)
	t.Cleanup(func() { f.client.Close(); theirs.Close() })
	if err := f.client.WaitGreeting(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.client.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fetcher) answer() []byte {
	b := []byte("* 1 FETCH (ENVELOPE ")
	b = append(b, f.next.Envelope...)
	b = append(b, " BODYSTRUCTURE "...)
	b = append(b, f.next.Structure...)
	return append(b, ")\r\n"...)
}

func (f *fetcher) fetch(m *message.Message) (*imapclient.FetchMessageBuffer, error) {
	f.next = m
	msgs, err := f.client.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{
		Envelope:      true,
		BodyStructure: &imap.FetchItemBodyStructure{Extended: true},
	}).Collect()
	if err != nil {
		return nil, err
	}
	if len(msgs) != 1 || msgs[0].Envelope == nil || msgs[0].BodyStructure == nil {
		return nil, fmt.Errorf("the client got %d messages", len(msgs))
	}
	return msgs[0], nil
}

// TestClientReadsWhatIsSent has another IMAP implementation read envelope and
// structure, and compares the parts that it sees with ours.
func TestClientReadsWhatIsSent(t *testing.T) {
	f := newFetcher(t)
	for _, name := range goldenNames(t) {
		m := parse(t, readTestdata(t, name+".eml"))
		got, err := f.fetch(m)
		if err != nil {
			t.Fatalf("%s: %v\nenvelope:  %q\nstructure: %q", name, err, m.Envelope, m.Structure)
		}
		if diff := cmp.Diff(partTypes(m), clientTypes(got.BodyStructure)); diff != "" {
			t.Errorf("%s: the client sees other parts (-want +got):\n%s", name, diff)
		}
	}
}

func TestClientReadsAddresses(t *testing.T) {
	m := parse(t, readTestdata(t, "addresses.eml"))
	got, err := newFetcher(t).fetch(m)
	if err != nil {
		t.Fatal(err)
	}
	want := []imap.Address{
		{Name: "only a comment"},
		{Mailbox: "John Doe"},
		{Mailbox: "root"},
		{Name: "Foo, Bar", Mailbox: "fb", Host: "example.org"},
		{Mailbox: "a", Host: "b.test"},
		{Mailbox: "c", Host: "d.test"},
		{Name: "no end", Mailbox: "x", Host: "y.test"},
	}
	if diff := cmp.Diff(want, got.Envelope.Cc); diff != "" {
		t.Errorf("Cc (-want +got):\n%s", diff)
	}
}

func partTypes(m *message.Message) []string {
	var types []string
	for _, p := range m.Parts {
		types = append(types, fmt.Sprintf("%s %d", p.Type, p.End-p.BodyStart))
	}
	for i, p := range m.Parts {
		if p.Kind == message.Multipart {
			types[i] = p.Type
		}
	}
	return types
}

func clientTypes(bs imap.BodyStructure) []string {
	switch bs := bs.(type) {
	case *imap.BodyStructureMultiPart:
		types := []string{bs.MediaType()}
		for _, child := range bs.Children {
			types = append(types, clientTypes(child)...)
		}
		return types
	case *imap.BodyStructureSinglePart:
		types := []string{fmt.Sprintf("%s %d", bs.MediaType(), bs.Size)}
		if bs.MessageRFC822 != nil {
			types = append(types, clientTypes(bs.MessageRFC822.BodyStructure)...)
		}
		return types
	}
	return nil
}

// checkWithClient parses a message and has the client read it, too.
func checkWithClient(t *testing.T, f *fetcher, name string, body []byte) {
	t.Helper()
	m, err := message.Parse(bytes.NewReader(body), message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := check(m, body); err != nil {
		t.Errorf("%s: %v\nenvelope:  %q\nstructure: %q", name, err, m.Envelope, m.Structure)
	}
	got, err := f.fetch(m)
	if err != nil {
		t.Fatalf("%s: %v\nenvelope:  %q\nstructure: %q", name, err, m.Envelope, m.Structure)
	}
	if diff := cmp.Diff(partTypes(m), clientTypes(got.BodyStructure)); diff != "" {
		t.Errorf("%s: the client sees other parts (-want +got):\n%s", name, diff)
	}
}
