package unpack_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/importer/unpack"
)

var when = time.Date(2019, 5, 4, 3, 2, 2, 0, time.UTC)

// packed is one thing of an archive.
type packed struct {
	name, text string
	kind       byte // of a tar; 0 is a file
}

func tarOf(t testing.TB, all ...packed) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, p := range all {
		h := &tar.Header{Name: p.name, Size: int64(len(p.text)), Mode: 0o777, ModTime: when, Typeflag: tar.TypeReg}
		if p.kind != 0 {
			h.Typeflag, h.Size, h.Linkname, p.text = p.kind, 0, p.text, ""
		}
		if err := errors.Join(w.WriteHeader(h), write(w, p.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}

	return b.Bytes()
}

func write(w io.Writer, text string) error {
	_, err := io.WriteString(w, text)

	return err
}

func zipOf(t testing.TB, all ...packed) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, p := range all {
		h := &zip.FileHeader{Name: p.name, Method: zip.Deflate, Modified: when}
		if p.kind == tar.TypeSymlink {
			h.SetMode(fs.ModeSymlink | 0o777)
		}
		w, err := z.CreateHeader(h)
		if err == nil {
			err = write(w, p.text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}

	return b.Bytes()
}

func gzipOf(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}

	return b.Bytes()
}

// open unpacks, and returns what is there: names and what the files say.
func open(t testing.TB, ctx context.Context, data []byte, name string, l unpack.Limits) (map[string]string, unpack.Result, error) {
	t.Helper()
	above := t.TempDir()
	archive, dir := filepath.Join(above, "archive"), filepath.Join(above, "out")
	if err := errors.Join(os.WriteFile(archive, data, 0o600), os.Mkdir(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	r, err := unpack.File(ctx, archive, name, dir, l)
	there := map[string]string{}
	if err := filepath.WalkDir(above, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == archive || path == above || path == dir {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || strings.HasPrefix(rel, "..") {
			t.Errorf("%s lies outside", path)
			return err
		}
		if e.IsDir() {
			there[rel+"/"] = ""
			return nil
		}
		b, err := os.ReadFile(path)
		there[rel] = string(b)
		fi, _ := e.Info()
		if !e.Type().IsRegular() || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s is %v", rel, fi.Mode())
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}

	return there, r, err
}

const mbox = "From ada@office.example Sat May  4 03:02:01 2019\nSubject: x\n\ntext\n"

func TestArchivesAreLaidOut(t *testing.T) {
	mail := []packed{{name: "ada/cur/1:2,S", text: "Subject: one\n\n1"}, {name: "ada/cur/2:2,", text: "Subject: two\n\n2"}, {name: "__MACOSX/x", text: "no"}, {name: "ada/.DS_Store", text: "no"}}
	withFolders := append([]packed{{name: "./", kind: tar.TypeDir}, {name: "ada/new/", kind: tar.TypeDir}}, mail...)
	for name, data := range map[string][]byte{
		"mail.zip": zipOf(t, mail...), "mail.tar": tarOf(t, withFolders...), "mail.tgz": gzipOf(t, tarOf(t, withFolders...)), "misnamed.mbox": zipOf(t, mail...),
	} {
		there, r, err := open(t, t.Context(), data, name, unpack.Limits{})
		if err != nil || r.Files != 2 || there["ada/cur/1:2,S"] != "Subject: one\n\n1" || there["ada/cur/2:2,"] != "Subject: two\n\n2" {
			t.Errorf("%s: %v %+v %v", name, there, r, err)
		}
		for n := range there {
			if strings.Contains(n, "MACOSX") || strings.Contains(n, "DS_Store") {
				t.Errorf("%s: %s is there", name, n)
			}
		}
	}
	for name, want := range map[string]string{"Old.mbox": "Old.mbox", `C:\Mail\..\Old.mbox`: "Old.mbox", "../../x": "x", "": "INBOX", "..": "INBOX", "a\x00b": "a_b", strings.Repeat("é", 300): strings.Repeat("é", 100)} {
		there, _, err := open(t, t.Context(), []byte(mbox), name, unpack.Limits{})
		if err != nil || there[want] != mbox {
			t.Errorf("%q: %v %v", name, there, err)
		}
	}
	if there, _, err := open(t, t.Context(), gzipOf(t, []byte(mbox)), "Old.mbox.gz", unpack.Limits{}); err != nil || there["Old.mbox"] != mbox {
		t.Errorf("%v %v", there, err)
	}
}

func TestTimesAreKept(t *testing.T) {
	for name, data := range map[string][]byte{"a.zip": zipOf(t, packed{name: "x", text: "y"}), "a.tar": tarOf(t, packed{name: "x", text: "y"})} {
		dir := t.TempDir()
		archive := filepath.Join(t.TempDir(), "a")
		if err := os.WriteFile(archive, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := unpack.File(t.Context(), archive, name, dir, unpack.Limits{}); err != nil {
			t.Fatal(err)
		}
		fi, err := os.Stat(filepath.Join(dir, "x"))
		if err != nil || !fi.ModTime().Equal(when) {
			t.Errorf("%s: %v %v", name, fi.ModTime(), err)
		}
	}
}

func TestNothingLeadsOut(t *testing.T) {
	for _, name := range []string{"../evil", "/etc/evil", "a/../../evil", "..", "a\x00b", `..\evil`} {
		kinds := map[string][]byte{"zip": zipOf(t, packed{name: name, text: "x"})}
		if !strings.Contains(name, "\x00") { // a tar's name ends there
			kinds["tar"] = tarOf(t, packed{name: name, text: "x"})
		}
		for kind, data := range kinds {
			there, _, err := open(t, t.Context(), data, "a."+kind, unpack.Limits{})
			var wrong *unpack.Error
			if !errors.As(err, &wrong) || len(there) > 0 {
				t.Errorf("%q in a %s: %v %v", name, kind, there, err)
			}
		}
	}
	// A link that leads out, and a file that would go through it.
	for kind, data := range map[string][]byte{
		"tar": tarOf(t, packed{"a", "..", tar.TypeSymlink}, packed{name: "a/evil", text: "x"}, packed{"b", "/etc/passwd", tar.TypeLink}, packed{"c", "", tar.TypeFifo}),
		"zip": zipOf(t, packed{"a", "..", tar.TypeSymlink}, packed{name: "a/evil", text: "x"}),
	} {
		there, r, err := open(t, t.Context(), data, "a."+kind, unpack.Limits{})
		if err != nil || r.LeftOut == 0 || there["a/evil"] != "x" || len(there) != 2 {
			t.Errorf("%s: %v %+v %v", kind, there, r, err)
		}
	}
}

func TestBombsAreDefused(t *testing.T) {
	if testing.Short() {
		t.Skip("short: hundreds of megabytes are packed")
	}
	zeros := strings.Repeat("\x00", 100<<20)
	many := make([]packed, 300)
	for i := range many {
		many[i] = packed{name: "f" + strings.Repeat("x", i%50) + string(rune('a'+i%26)) + string(rune('a'+i/26))}
	}
	// A zip that says that it has four thousand million files.
	liar := zipOf(t, packed{name: "x", text: "y"})
	end := bytes.LastIndex(liar, []byte("PK\x05\x06"))
	record := make([]byte, 56+20)
	copy(record, "PK\x06\x06")
	binary.LittleEndian.PutUint64(record[4:], 44)
	binary.LittleEndian.PutUint64(record[24:], 1<<32)
	binary.LittleEndian.PutUint64(record[32:], 1<<32)
	copy(record[56:], "PK\x06\x07")
	binary.LittleEndian.PutUint64(record[64:], uint64(end))
	last := bytes.Clone(liar[end:])
	binary.LittleEndian.PutUint16(last[8:], 0xffff)
	binary.LittleEndian.PutUint16(last[10:], 0xffff)
	liar = append(append(liar[:end:end], record...), last...)
	full := errors.New("the disk would be full")

	for name, c := range map[string]struct {
		data []byte
		l    unpack.Limits
		want string
	}{
		"zeros in a zip":         {zipOf(t, packed{name: "x", text: zeros}), unpack.Limits{}, "100 times"},
		"zeros in a gzip":        {gzipOf(t, tarOf(t, packed{name: "x", text: zeros})), unpack.Limits{}, "100 times"},
		"zeros that are no file": {gzipOf(t, unknownTar(t, zeros)), unpack.Limits{}, "100 times"},
		"zeros behind a tar":     {gzipOf(t, append(tarOf(t, packed{name: "x", text: "y"}), zeros...)), unpack.Limits{}, "100 times"},
		"too much":               {tarOf(t, packed{name: "x", text: zeros}), unpack.Limits{Octets: 50e6}, "more than 50 MB"},
		"too many files":         {tarOf(t, many...), unpack.Limits{Files: 200}, "more than 200 files"},
		"too many files, zip":    {zipOf(t, many...), unpack.Limits{Files: 200}, "says that it holds more than 200 files"},
		"empty files take room":  {tarOf(t, many...), unpack.Limits{Octets: 1e6}, "more than 1 MB"},
		"a zip that lies":        {liar, unpack.Limits{}, "more than 1000000 files"},
		"no room":                {tarOf(t, packed{name: "x", text: "y"}), unpack.Limits{Room: func(int64) error { return full }}, full.Error()},
		"too deep":               {tarOf(t, packed{name: strings.Repeat("a/", 70) + "x"}), unpack.Limits{}, "deep"},
		"too long a name":        {tarOf(t, packed{name: strings.Repeat("a", 300)}), unpack.Limits{}, "longer than"},
		"twice":                  {tarOf(t, packed{name: "x"}, packed{name: "x"}), unpack.Limits{}, "twice"},
		"a folder and a file":    {tarOf(t, packed{name: "x"}, packed{name: "x/y"}), unpack.Limits{}, "twice"},
		"cut off":                {gzipOf(t, tarOf(t, packed{name: "x", text: mbox}))[:60], unpack.Limits{}, "cut off"},
		"a zip that is cut off":  {zipOf(t, packed{name: "x", text: mbox})[:60], unpack.Limits{}, "damaged"},
		"Outlook's":              {[]byte("!BDN and more"), unpack.Limits{}, "PST"},
		"something else":         {[]byte("%PDF-1.4"), unpack.Limits{}, "neither"},
		"nothing":                {nil, unpack.Limits{}, "empty"},
		"something else in gzip": {gzipOf(t, []byte("%PDF")), unpack.Limits{}, "neither"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := open(t, t.Context(), c.data, "mail", c.l)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Error(err)
			}
			var wrong *unpack.Error
			if !errors.As(err, &wrong) && !errors.Is(err, full) {
				t.Errorf("%v is the archive's fault", err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := open(t, ctx, tarOf(t, many...), "mail", unpack.Limits{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// unknownTar has what is passed over: a thing of no kind that is known.
func unknownTar(t *testing.T, text string) []byte {
	t.Helper()
	data := tarOf(t, packed{name: "x", text: text})
	sum := 0
	data[156] = 'Z'
	copy(data[148:156], "        ")
	for _, b := range data[:512] {
		sum += int(b)
	}
	copy(data[148:156], fmt.Sprintf("%06o\x00 ", sum))

	return data
}

func TestPasswordsOfZipsAreTold(t *testing.T) {
	data := zipOf(t, packed{name: "x", text: "y"})
	for _, mark := range []string{"PK\x03\x04", "PK\x01\x02"} {
		at := bytes.Index(data, []byte(mark))
		data[at+map[byte]int{3: 6, 1: 8}[mark[2]]] |= 1
	}
	if _, _, err := open(t, t.Context(), data, "a.zip", unpack.Limits{}); err == nil || !strings.Contains(err.Error(), "password") {
		t.Error(err)
	}
}

// FuzzUnpack lays out what nobody packed.
func FuzzUnpack(f *testing.F) {
	f.Add(zipOf(f, packed{name: "ada/cur/1:2,S", text: "Subject: one\n\n1"}))
	f.Add(tarOf(f, packed{name: "a/", kind: tar.TypeDir}, packed{name: "a/b", text: mbox}, packed{"c", "..", tar.TypeSymlink}))
	f.Add(gzipOf(f, tarOf(f, packed{name: "a", text: mbox})))
	f.Add([]byte(mbox))
	f.Fuzz(func(t *testing.T, data []byte) {
		const most = 1 << 20
		there, r, err := open(t, t.Context(), data, "mail", unpack.Limits{Octets: most, Files: 50})
		if len(there) > 50 || r.Octets > most {
			t.Errorf("%d files, %d octets", len(there), r.Octets)
		}
		if err == nil && r.Octets > int64(len(data)) && r.Octets > most {
			t.Error(r)
		}
	})
}

// TestATarThatIsCutOffIsTold cuts one wherever that looks like an end.
func TestATarThatIsCutOffIsTold(t *testing.T) {
	whole := tarOf(t, packed{name: "cur/1.a", text: strings.Repeat("a", 600)}, packed{name: "cur/2.a", text: strings.Repeat("b", 600)})
	for n := 512; n < len(whole)-1024; n += 100 {
		if _, _, err := open(t, t.Context(), whole[:n], "mail.tar", unpack.Limits{}); err == nil || !strings.Contains(err.Error(), "cut off") {
			t.Errorf("cut at %d of %d: %v", n, len(whole), err)
		}
	}
	if _, _, err := open(t, t.Context(), whole, "mail.tar", unpack.Limits{}); err != nil {
		t.Error(err)
	}
}

// TestAMessageInTwoMailboxesComesTwice has it as Dovecot keeps it, and tar packs it.
func TestAMessageInTwoMailboxesComesTwice(t *testing.T) {
	data := tarOf(t, packed{name: "cur/1.a:2,", text: mbox}, packed{name: ".Sent/cur/1.a:2,S", text: "cur/1.a:2,", kind: tar.TypeLink}, packed{name: "new/x", text: "../../etc/passwd", kind: tar.TypeLink})
	there, r, err := open(t, t.Context(), data, "mail.tar", unpack.Limits{})
	if err != nil || r.Files != 2 || r.LeftOut != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, name := range []string{"cur/1.a:2,", ".Sent/cur/1.a:2,S"} {
		if !slices.Contains(slices.Collect(maps.Values(there)), mbox) || len(there[name]) == 0 && len(there["out/"+name]) == 0 {
			t.Errorf("%s is not there: %q", name, there)
		}
	}
}
