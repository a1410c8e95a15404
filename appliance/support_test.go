package appliance_test

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pillarbox/appliance/control"
	"pillarbox/appliance/logbook"
	"pillarbox/storage"
)

// bundle returns the files of a support bundle.
func bundle(t *testing.T, c *control.Client, keep bool) map[string]string {
	t.Helper()
	var b bytes.Buffer
	if err := c.SupportBundle(t.Context(), &b, control.SupportRequest{KeepNames: keep}); err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(text)
	}

	return files
}

// TestASupportBundleTellsNoSecrets looks for all secrets of a box that runs in
// what it hands out, and for who works there.
func TestASupportBundleTellsNoSecrets(t *testing.T) {
	book, err := logbook.Open(&logbook.Config{})
	if err != nil {
		t.Fatal(err)
	}
	c := config(filepath.Join(t.TempDir(), "data"))
	c.Logger, c.Log, c.LogAll = slog.New(slog.NewTextHandler(book, nil)), book.Tail, book.Copy
	c.HTTPS = []string{"127.0.0.1:0"}
	r := start(t, c)
	secrets := map[string]string{"a password": "correct-Horse-7", "a typed password": "wrong-Horse-8", "a message": "quarterly figures in confidence"}
	planted := "planted-Secret-9"
	var files, kept map[string]string
	withClient(t, c.Dir, false, func(client *control.Client) {
		ctx := t.Context()
		if _, err := client.AddAccount(ctx, control.NewAccount{Address: "anna@office.example", Name: "Anna Ullrich", Password: secrets["a password"]}); err != nil {
			t.Fatal(err)
		}
		device, err := client.AddDevice(ctx, "anna@office.example", control.NewDevice{Name: "Brunhilde"})
		if err != nil {
			t.Fatal(err)
		}
		token, err := client.AddToken(ctx, control.NewToken{Name: "monitor", Role: "auditor", Days: 3})
		if err != nil {
			t.Fatal(err)
		}
		metrics, err := client.NewMetricsToken(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, office := range []string{`{"name": "Zuckmayer & Nephews", "domain": "zuckmayer.example"}`, `{"name": "Quill-Drivers", "domain": null}`} {
			if _, err := client.AmendSettings(ctx, &control.AmendSettings{Set: json.RawMessage(`{"office": ` + office + `}`)}); err != nil {
				t.Fatal(err)
			}
		}
		secrets["a device's password"], secrets["a token"], secrets["the metrics' token"] = device.Password, token.Secret, metrics.Token

		imap := r.connect(t, "imaps")
		imap.say("a LOGIN anna@office.example "+secrets["a typed password"], "a NO")
		imap.say("b LOGIN anna@office.example "+secrets["a password"], "b OK")
		imap.say("c CREATE \"Ullrich and partners\"", "c OK")
		// What our own lines never do.
		c.Logger.Warn("a careless line", "password", planted, "err", "refused: token="+planted+" of anna@office.example at 203.0.113.77")
		files, kept = bundle(t, client, false), bundle(t, client, true)
	})
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	withClient(t, c.Dir, false, func(client *control.Client) {
		for name, text := range bundle(t, client, false) {
			files["without a server: "+name] = text
		}
	})
	secrets["what a line of the log had"] = planted
	for name, value := range stored(t, c.Dir) {
		secrets[name] = value
	}

	for _, want := range []string{"README.txt", "log.txt", "status.json", "settings.json", "audit.json", "audit-check.json", "system.txt", "goroutines.txt", "heap.pprof", "metrics.txt", "ports.json", "certificate.json"} {
		if len(files[want]) < 20 {
			t.Errorf("%s is %q", want, files[want])
		}
		if want != "README.txt" && !strings.Contains(files["README.txt"], want) {
			t.Errorf("the page that explains it does not name %s", want)
		}
	}
	if !strings.Contains(files["log.txt"], "a careless line") || !strings.Contains(files["audit.json"], "device.added") {
		t.Error("what happened is not in it")
	}
	for name, value := range secrets {
		for file, text := range files {
			for form, v := range map[string]string{
				"": value, "in base64 ": base64.StdEncoding.EncodeToString([]byte(value)), "in hexadecimal ": hex.EncodeToString([]byte(value)),
			} {
				if strings.Contains(text, v) || strings.Contains(kept[file], v) {
					t.Errorf("%s: %s stands %sin it: %q", file, name, form, v)
				}
			}
		}
	}
	if len(secrets) < 15 {
		t.Errorf("only %d secrets were looked for", len(secrets))
	}
	for file, text := range files {
		if strings.HasSuffix(file, "goroutines.txt") || strings.HasSuffix(file, "heap.pprof") {
			continue
		}
		for _, told := range []string{"anna", "Ullrich", "office.example", "Zuckmayer", "Nephews", "Drivers", "Brunhilde", "203.0.113.77"} {
			if i := strings.Index(strings.ToLower(text), strings.ToLower(told)); i >= 0 {
				t.Errorf("%s tells %s: …%s…", file, told, text[max(0, i-60):min(len(text), i+60)])
			}
		}
	}
	if !strings.Contains(kept["accounts.json"], "anna@office.example") {
		t.Errorf("names that were to be kept: %s", kept["accounts.json"])
	}
}

// stored returns what a data folder keeps that may open something: long words
// of the sections for secrets, and the lines of private keys.
func stored(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	store, err := storage.Open(t.Context(), &storage.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	word := regexp.MustCompile(`[A-Za-z0-9+/=_-]{20,}`)
	err = store.System().View(func(tx *storage.SystemTx) error {
		for _, section := range []string{"directory/credentials", "directory/admin", "web/sessions", "web/users", "web/tokens", "metrics"} {
			err := tx.All(section, func(_ string, value []byte) error {
				for _, w := range word.FindAllString(string(value), -1) {
					all["of "+section+": "+w[:8]] = w
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	keys := 0
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(text, []byte("PRIVATE KEY-----")) || !strings.HasPrefix(string(text), "-----") {
			return err
		}
		keys++
		lines := slices.DeleteFunc(strings.Split(string(text), "\n"), func(l string) bool { return len(l) < 20 || strings.HasPrefix(l, "-----") })
		for _, l := range lines {
			all["of "+filepath.Base(path)+": "+l[:8]] = l
		}
		return nil
	})
	if err != nil || keys == 0 {
		t.Errorf("%d private keys were found, %v", keys, err)
	}

	return all
}
