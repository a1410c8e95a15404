package web_test

import (
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pillarbox/appliance/integration/rig"
)

// tool is what the tests fetch by npm: it is no part of the product.
type tool struct {
	name, version, integrity string // the integrity is the SHA-512 of its package
	file                     string // what is wanted of it

	once sync.Once
	dir  string
	err  error
}

var (
	// axeCore looks for what keeps people from using a page.
	axeCore = tool{
		name: "axe-core", version: "4.10.3", file: "package/axe.min.js",
		integrity: "Xm7bpRXnDSX2YE2YFfBk2FnF0ep6tmG7xPh8iHee8MIcrgq762Nkce856dYtJYLkuIoYZvGfTs/PbZhideTcEg==",
	}
	// checker is the HTML checker of the W3C.
	checker = tool{
		name: "vnu-jar", version: "26.9.27", file: "package/build/dist/vnu.jar",
		integrity: "TkQd5DFfOaWC9ebtvozTsrH2Vaod3jYg+vrOeREzIXxBexLz9+rS2DNtjn7+RPUiZhgli0SghgBX6RJRNea0KA==",
	}
)

// path fetches the tool, once for all tests, unless a variable of the
// environment names a file.
func (f *tool) path(t *testing.T, variable string) string {
	t.Helper()
	if file := os.Getenv(variable); file != "" {
		return file
	}
	npm := rig.Tool(t, "npm", "npm")
	f.once.Do(func() { f.err = f.fetch(npm) })
	if f.err != nil {
		t.Fatal(f.err)
	}

	return filepath.Join(f.dir, f.file)
}

func (f *tool) fetch(npm string) (err error) {
	if f.dir, err = os.MkdirTemp(toolDir, f.name); err != nil {
		return err
	}
	archive := f.name + "-" + f.version + ".tgz"
	for _, args := range [][]string{{npm, "pack", "--silent", f.name + "@" + f.version}, {"tar", "xzf", archive}} {
		if args[0] == "tar" {
			packed, err := os.ReadFile(filepath.Join(f.dir, archive))
			if err != nil {
				return err
			}
			sum := sha512.Sum512(packed)
			if got := base64.StdEncoding.EncodeToString(sum[:]); got != f.integrity {
				return fmt.Errorf("%s %s is not the one that was tried: its SHA-512 is %s", f.name, f.version, got)
			}
		}
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = f.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}

	return nil
}

// validate has the checker read pages, by what they are called.
func validate(t *testing.T, pages map[string]string) []string {
	t.Helper()
	java := rig.Tool(t, "java", "default-jre-headless")
	dir := t.TempDir()
	names := map[string]string{}
	args := []string{"-Xss8m", "-jar", checker.path(t, "PILLARBOX_VNU"), "--errors-only", "--format", "json", "--exit-zero-always", "--stdout"}
	for name, text := range pages {
		file := fmt.Sprintf("%d.html", len(names))
		names[file] = name
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	out := (&rig.Command{Path: java, Args: args, Dir: dir}).MustRun(t)
	var told struct {
		Messages []struct {
			Type    string `json:"type"`
			URL     string `json:"url"`
			Message string `json:"message"`
			Extract string `json:"extract"`
		} `json:"messages"`
	}
	if err := json.Unmarshal(out.Stdout, &told); err != nil {
		t.Fatalf("read what the HTML checker says: %v\n%s", err, out.All())
	}
	var bad []string
	for _, m := range told.Messages {
		bad = append(bad, fmt.Sprintf("%s: %s: %s\n%s", names[filepath.Base(m.URL)], m.Type, m.Message, m.Extract))
	}

	return bad
}
