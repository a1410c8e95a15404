package control_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"pillarbox/appliance/control"
	"pillarbox/appliance/exporter"
	"pillarbox/storage"
)

func TestMailIsReadThroughTheSocket(t *testing.T) {
	c := newClient(t)
	texts := []string{"a: 1\r\n\r\nx\r\n", "a: 2\r\n\r\n" + strings.Repeat("0123456789abcde\n", 200_000), "a: 3\n\n\x00"}
	err := c.Deliver(t.Context(), control.Destination{To: "anna@office.example"}, messages(texts...), func(o control.Outcome) {
		if o.Err != nil {
			t.Error(o.Err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	mail, err := c.ReadMail(t.Context(), "anna@office.example", "a test")
	if err != nil {
		t.Fatal(err)
	}
	boxes, err := mail.Mailboxes(t.Context())
	if err != nil || boxes[0].Name != "INBOX" || boxes[0].Messages != 3 {
		t.Fatalf("%v %+v", err, boxes)
	}
	msgs, err := mail.Messages(t.Context(), boxes[0].ID)
	if err != nil || len(msgs) != 3 {
		t.Fatalf("%v %+v", err, msgs)
	}
	ids := []storage.DataID{msgs[2].Data, 999, msgs[1].Data, msgs[0].Data}
	var got []string
	err = mail.Read(t.Context(), ids, func(i int, body io.ReaderAt, size int64, err error) error {
		if i == 1 {
			if !errors.Is(err, storage.ErrNoMessage) {
				t.Errorf("a message that is not there: %v", err)
			}
			return nil
		}
		if err != nil {
			return err
		}
		text, err := io.ReadAll(io.NewSectionReader(body, 0, size))
		got = append(got, string(text))
		return err
	})
	if err != nil || len(got) != 3 {
		t.Fatalf("%d messages, %v", len(got), err)
	}
	for i, want := range []int{2, 1, 0} {
		if len(got[i]) < len(texts[want]) || got[i][:4] != texts[want][:4] || int64(len(got[i])) != msgs[want].Size {
			t.Errorf("message %d has %d octets, want %d", want, len(got[i]), msgs[want].Size)
		}
	}
	if _, err := mail.Messages(t.Context(), 999); !errors.Is(err, storage.ErrNoMailbox) {
		t.Errorf("a mailbox that is not there: %v", err)
	}
	if err := mail.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var answer *control.Error
	if _, err := mail.Mailboxes(t.Context()); !errors.As(err, &answer) || answer.Code != control.CodeRequest {
		t.Errorf("after its end: %v", err)
	}
	if _, err := c.ReadMail(t.Context(), "nobody@office.example", ""); !errors.As(err, &answer) || answer.Code != control.CodeNoAccount {
		t.Errorf("nobody: %v", err)
	}
}

func TestExportsThatCannotBe(t *testing.T) {
	c := newClient(t)
	for name, tc := range map[string]struct {
		ask  exporter.Request
		code string
	}{
		"no kind":                {exporter.Request{Account: "anna@office.example"}, control.CodeRequest},
		"a relative path":        {exporter.Request{Account: "anna@office.example", Kind: exporter.KindMbox, Dir: "x"}, control.CodeRequest},
		"no server":              {exporter.Request{Account: "anna@office.example", Kind: exporter.KindIMAP}, control.CodeRequest},
		"nobody":                 {exporter.Request{Account: "bob@office.example", Kind: exporter.KindMbox, Dir: t.TempDir()}, control.CodeNoAccount},
		"an unknown layout":      {exporter.Request{Account: "anna@office.example", Kind: exporter.KindMaildir, Dir: t.TempDir(), Layout: "x"}, control.CodeRequest},
		"where no folder can be": {exporter.Request{Account: "anna@office.example", Kind: exporter.KindMbox, Dir: "/dev/null/x"}, control.CodeExport},
	} {
		_, err := c.Export(t.Context(), &tc.ask, func(exporter.Progress) {})
		var answer *control.Error
		if !errors.As(err, &answer) || answer.Code != tc.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := t.TempDir()
	r, err := c.Export(t.Context(), &exporter.Request{Account: "Anna@office.example", Kind: exporter.KindMbox, Dir: dir}, func(exporter.Progress) {})
	if err != nil || !r.OK() || r.Account != "anna@office.example" {
		t.Errorf("%v %+v", err, r)
	}
}

func TestMailIsSentAsOneFile(t *testing.T) {
	c := newClient(t)
	err := c.Deliver(t.Context(), control.Destination{To: "anna@office.example"}, messages("a: 1\r\n\r\nx\r\n"), func(o control.Outcome) {
		if o.Err != nil {
			t.Error(o.Err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := c.Archive(t.Context(), "Anna@office.example", exporter.KindMbox, &file); err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Open("anna@office.example/INBOX"); err != nil {
		t.Error(err)
	}
	for what, ask := range map[string][2]string{control.CodeRequest: {"anna@office.example", "paper"}, control.CodeNoAccount: {"bob@office.example", exporter.KindMaildir}} {
		var answer *control.Error
		if err := c.Archive(t.Context(), ask[0], ask[1], io.Discard); !errors.As(err, &answer) || answer.Code != what {
			t.Errorf("%v: %v", ask, err)
		}
	}
}
