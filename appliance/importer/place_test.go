package importer_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/importer"
	"pillarbox/storage"
)

// TestWhereMailboxesGo moves one message from each of many oddly named mailboxes.
func TestWhereMailboxesGo(t *testing.T) {
	for _, tt := range []struct {
		name    string
		caps    string
		from    []string // "attributes|name" as LIST has them
		options importer.Options
		want    []string
	}{
		{"special folders by name, by attribute and both", "", []string{
			`|INBOX`, `|Sent Items`, `\Sent|Versandt`, `|Gel&APY-scht`, `\Junk|Ungewollt`, `|Entw&APw-rfe`, `\All|All Mail`, `\Flagged|Starred`, `|Archive/2020`,
		}, importer.Options{}, []string{"INBOX", "Archive/2020", "Drafts", "Junk", "Sent", "Sent", "Trash"}},
		{"everything below INBOX", "", []string{`|INBOX`, `|INBOX/Sent`, `|INBOX/Kunden`, `|INBOX/Kunden/A`},
			importer.Options{}, []string{"INBOX", "Kunden", "Kunden/A", "Sent"}},
		{"names that cannot be", "", []string{`|a//b`, `|..`, `|x/./y`, `|inbox/Sub`, `|Kunden`, `\Noselect|Nothing`},
			importer.Options{}, []string{"INBOX/Sub", "_..", "a/_/b", "x/_./y", "Kunden"}},
		{"a part of it", "", []string{`|INBOX`, `|Kunden`, `|Kunden/A`, `|Kunden/B`, `|Kundendienst`},
			importer.Options{Only: []string{"Kunden"}, Except: []string{"Kunden/B*"}, Into: "Alt"}, []string{"Alt/Kunden", "Alt/Kunden/A"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &standIn{caps: "IMAP4rev1 AUTH=PLAIN SASL-IR SPECIAL-USE " + tt.caps}
			for i, from := range tt.from {
				attrs, name, _ := strings.Cut(from, "|")
				s.boxes = append(s.boxes, &standBox{name: name, attrs: attrs, validity: 3, msgs: []standMessage{{uid: 1, body: fmt.Sprintf("Subject: %d\r\n\r\n", i)}}})
			}
			h := newHere(t)
			src := s.start(t).source(t)
			h.move(src, tt.options)
			got := map[string]int{}
			want := map[string]int{}
			for _, name := range tt.want {
				want[name]++
			}
			for _, mb := range h.account.Mailboxes() {
				if mb.NumMessages > 0 {
					got[mb.Name] = int(mb.NumMessages)
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			h.verify(src, tt.options)
		})
	}
}

func TestARenamedMailboxStaysTheSame(t *testing.T) {
	box := &standBox{name: "Kunden", validity: 3, msgs: []standMessage{{uid: 1, body: "Subject: 1\r\n\r\n"}}}
	s := (&standIn{caps: "IMAP4rev1 AUTH=PLAIN SASL-IR", boxes: []*standBox{box}}).start(t)
	h := newHere(t)
	h.move(s.source(t), importer.Options{})
	if err := h.account.RenameMailbox(t.Context(), "Kunden", "Customers"); err != nil {
		t.Fatal(err)
	}
	box.msgs = append(box.msgs, standMessage{uid: 2, body: "Subject: 2\r\n\r\n"})
	h.move(s.source(t), importer.Options{})
	if got := h.names(); got != "INBOX 0\nCustomers 2\n" {
		t.Errorf("there are\n%s", got)
	}
	// Whoever deletes it here does not want it back; what is new comes.
	if err := h.account.DeleteMailbox(t.Context(), "Customers"); err != nil {
		t.Fatal(err)
	}
	box.msgs = append(box.msgs, standMessage{uid: 3, body: "Subject: 3\r\n\r\n"})
	h.move(s.source(t), importer.Options{})
	if got := h.names(); got != "INBOX 0\nKunden 1\n" {
		t.Errorf("there are\n%s", got)
	}
}

// TestAFullDiskOrQuotaEndsAMove says why at once.
func TestAFullQuotaEndsAMove(t *testing.T) {
	box := &standBox{name: "INBOX", validity: 3, msgs: []standMessage{{uid: 1, body: "Subject: 1\r\n\r\n" + strings.Repeat("x", 5000)}}}
	s := (&standIn{caps: "IMAP4rev1 AUTH=PLAIN SASL-IR", boxes: []*standBox{box}}).start(t)
	h := newHere(t)
	if err := h.account.SetQuota(t.Context(), 100); err != nil {
		t.Fatal(err)
	}
	_, err := h.engine.Run(t.Context(), h.task(s.source(t), importer.Options{}))
	if err == nil || !strings.Contains(err.Error(), storage.ErrOverQuota.Error()) {
		t.Error(err)
	}
}
