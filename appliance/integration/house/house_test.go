package house_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module   = "pillarbox"
	maxLines = 800 // a file is one noun; a longer one holds several
	root     = "../../.."
)

// source is one Go file of the repository.
type source struct {
	path    string // slash-separated, from the root
	text    []byte
	file    *ast.File
	imports []string
}

func (s *source) room() string { return path.Dir(s.path) }
func (s *source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// within tells whether a folder or import path is room or lies below it.
func within(p, room string) bool { return p == room || strings.HasPrefix(p, room+"/") }

// walk calls f for each regular file that belongs to the repository.
func walk(t *testing.T, f func(name string)) {
	t.Helper()
	ignored := []string{".git", "bin", "data", ".cache"}
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(ignored, name):
			return filepath.SkipDir
		case d.Type().IsRegular():
			f(name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func sources(t *testing.T) []*source {
	t.Helper()
	var all []*source
	walk(t, func(name string) {
		if path.Ext(name) != ".go" || strings.Contains(name, "/testdata/") {
			return
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments)
		if err != nil {
			t.Errorf("%v", err)
			return
		}
		s := &source{path: name, text: text, file: file}
		for _, spec := range file.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			s.imports = append(s.imports, p)
		}
		all = append(all, s)
	})
	if len(all) == 0 {
		t.Fatal("no source found: the test runs in the wrong folder")
	}
	return all
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	said := map[string]bool{}
	for _, s := range sources(t) {
		external := strings.HasSuffix(s.file.Name.Name, "_test")
		comment := s.file.Doc.Text()
		said[s.room()] = said[s.room()] || !external && len(comment) > 40
		if external || comment == "" {
			continue
		}
		want := "Package " + s.file.Name.Name + " "
		if s.file.Name.Name == "main" {
			want = "Command " + path.Base(s.room()) + " "
		}
		if !strings.HasPrefix(comment, want) {
			t.Errorf("%s: the package comment must begin with %q", s.path, want)
		}
	}
	for room, ok := range said {
		if !ok {
			t.Errorf("%s: no package comment (put one into doc.go)", room)
		}
	}
}

func TestOnlyTheOwningRoomImportsALibrary(t *testing.T) {
	owners := []struct {
		library string
		room    string // or several, with spaces between them
	}{
		{"go.etcd.io/bbolt", "storage"},
		{"github.com/vishvananda/netlink", "netcfg"},
		{"github.com/mdlayher/netlink", "netcfg"},
		{"github.com/google/nftables", "netcfg"},
		{"github.com/insomniacslk/dhcp", "netcfg"},
		{"github.com/mdlayher/packet", "netcfg"},
		{"github.com/miekg/dns", "netcfg/mdns appliance/certs"},
		{"github.com/mholt/acmez/v3", "appliance/certs"},
		{"github.com/go-acme/lego/v5", "appliance/certs"},
		{"software.sslmate.com/src/go-pkcs12", "appliance/certs appliance/integration"},
		{"github.com/coreos/go-oidc/v3", "appliance/bearer"},
		{"github.com/zitadel/oidc/v3", "appliance/integration/openid"},
		{"github.com/prometheus/client_golang", "appliance/metrics"},
		{"github.com/beevik/ntp", "appliance/timesync appliance/doctor"},
		{"github.com/xdg-go/stringprep", "appliance/scram"},
		{"github.com/smallstep/pkcs7", "appliance/certs"},
		{"github.com/go-webauthn/webauthn", "webui"},
		{"github.com/pquerna/otp", "webui appliance/integration"},
		{"github.com/chromedp/chromedp", "appliance/integration"},
	}
	for _, s := range sources(t) {
		for _, o := range owners {
			for _, imp := range s.imports {
				inRoom := func(room string) bool { return within(s.room(), room) }
				if within(imp, o.library) && !slices.ContainsFunc(strings.Fields(o.room), inRoom) {
					t.Errorf("%s imports %s, which belongs to %s", s.path, imp, o.room)
				}
			}
		}
	}
}

// TestArrowsPointInward checks the directions of the rooms. Tests may reach
// further: the rule is about what the binary is made of.
func TestArrowsPointInward(t *testing.T) {
	// A room that is listed imports, of ours, only itself and what is listed.
	closed := map[string][]string{
		"storage":            {},
		"netcfg":             {},
		"buildroot":          {},
		"webui":              {},
		"appliance/imap":     {"storage"},
		"appliance/access":   {},
		"appliance/certs":    {"appliance/profile"}, // as what devices are given its certificates
		"appliance/profile":  {},
		"appliance/setup":    {"appliance/profile"},
		"appliance/delivery": {"storage"},
		"appliance/audit":    {"storage/ledger"},
		"appliance/scram":    {},
		"appliance/ports":    {},
		"appliance/doctor":   {},
		"appliance/importer": {"storage", "appliance/mailfile", "appliance/imap/wire"}, // mail goes straight to storage: it was delivered long ago
		"appliance/timesync": {},
		"appliance/network":  {"appliance/peer", "appliance/timesync", "netcfg"},
		"appliance/config":   {"netcfg"},
	}
	// A room that is listed is imported only from itself and from those listed.
	hidden := map[string][]string{
		"cmd":                   {},
		"buildroot":             {"cmd/mkimage"},
		"netcfg":                {"appliance/network", "cmd"},
		"netcfg/netlab":         {},
		"netcfg/rehearsal":      {"appliance/network"},
		"appliance/integration": {},
	}
	// A part of a hidden room that is data alone, and who may know it.
	shown := map[string][]string{
		"netcfg/state":  {"appliance/config"},
		"netcfg/policy": {"appliance/config"},
	}
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		for _, imp := range s.imports {
			target, ours := strings.CutPrefix(imp, module+"/")
			if !ours {
				continue
			}
			for room, allowed := range closed {
				if !within(s.room(), room) || within(target, room) {
					continue
				}
				if !slices.ContainsFunc(allowed, func(a string) bool { return within(target, a) }) {
					t.Errorf("%s imports %s: %s may import only %q", s.path, target, room, allowed)
				}
			}
			for room, users := range hidden {
				if !within(target, room) || within(s.room(), room) {
					continue
				}
				if slices.ContainsFunc(shown[target], func(u string) bool { return within(s.room(), u) }) {
					continue
				}
				if !slices.ContainsFunc(users, func(u string) bool { return within(s.room(), u) }) {
					t.Errorf("%s imports %s: only %q may", s.path, target, users)
				}
			}
			if target == "appliance" && !within(s.room(), "cmd") {
				t.Errorf("%s imports the composition root: only cmd may", s.path)
			}
		}
	}
}

func TestTheProtocolEngineKnowsOnlyItsProtocol(t *testing.T) {
	foreign := []string{"crypto/tls", "net/http"}
	for _, s := range sources(t) {
		if s.isTest() || !within(s.room(), "appliance/imap") {
			continue
		}
		for _, imp := range s.imports {
			if slices.Contains(foreign, imp) {
				t.Errorf("%s imports %s: IMAP sessions get a net.Conn and know nothing below it", s.path, imp)
			}
		}
	}
}

func TestAFileIsOneNoun(t *testing.T) {
	suffixes := []string{"_test", "_linux", "_unix", "_windows", "_darwin", "_amd64", "_arm64", "_other"}
	for _, s := range sources(t) {
		if n := bytes.Count(s.text, []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines; split it before it passes %d", s.path, n, maxLines)
		}
		name := strings.TrimSuffix(path.Base(s.path), ".go")
		for _, suffix := range suffixes {
			name = strings.TrimSuffix(name, suffix)
		}
		if strings.Contains(name, "_") {
			t.Errorf("%s: no underscore in a file's name but for _test and platforms", s.path)
		}
		for _, vague := range []string{"util", "utils", "helpers", "common", "misc"} {
			if name == vague || s.file.Name.Name == vague {
				t.Errorf("%s: %q says nothing; name the thing", s.path, vague)
			}
		}
	}
}

func TestNothingRunsBeforeMain(t *testing.T) {
	for _, s := range sources(t) {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function", s.path)
			}
		}
		if s.isTest() {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 {
				return true
			}
			f, isIdent := call.Fun.(*ast.Ident)
			lit, isLit := call.Args[0].(*ast.BasicLit)
			if isIdent && isLit && f.Name == "panic" && strings.Contains(strings.ToLower(lit.Value), "todo") {
				t.Errorf("%s has an unfinished function: panic(%s)", s.path, lit.Value)
			}
			return true
		})
	}
}

// TestTheTopLevelHasWhatTheLayoutNames wants nothing beside the rooms, but what is
// made there and git leaves out.
func TestTheTopLevelHasWhatTheLayoutNames(t *testing.T) {
	layout := []string{"appliance", "bin", "buildroot", "cmd", "data", "go.mod", "go.sum", "images", "Makefile", "netcfg", "README.md", "storage", "webui"}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); !strings.HasPrefix(name, ".") && !slices.Contains(layout, name) {
			t.Errorf("the top level holds %s, which the layout does not name", name)
		}
	}
}

// TestTheRepositoryStandsOnItsOwn finds what ties the tree to one machine or
// network: the path of this checkout, a module proxy, a package registry.
func TestTheRepositoryStandsOnItsOwn(t *testing.T) {
	checkout, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	places := []string{checkout}
	if parent := filepath.Dir(checkout); parent != "/" && parent != filepath.Clean(os.TempDir()) {
		places = append(places, parent)
	}
	var quoted []string
	for _, p := range places {
		quoted = append(quoted, regexp.QuoteMeta(filepath.ToSlash(p)))
	}
	rules := []struct {
		what string
		re   *regexp.Regexp
	}{
		{"a path of this machine", regexp.MustCompile(`(^|[^\w.~-])(` + strings.Join(quoted, "|") + `)/`)},
		{"a package registry or proxy", regexp.MustCompile(`\b(proxy|registry|mirror|mirrors|sum|index|deb|pypi|crates)\.[a-z0-9-]+\.(org|com|io|net)\b`)},
		{"a setting of the module proxy", regexp.MustCompile(`\b(GOPROXY|GOSUMDB|GONOSUMDB)=`)},
	}
	walk(t, func(name string) {
		if path.Base(name) == "go.sum" || strings.Contains(name, "testdata/") {
			return
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(text, 0) >= 0 {
			return
		}
		for i, line := range bytes.Split(text, []byte("\n")) {
			for _, rule := range rules {
				if found := rule.re.Find(line); found != nil {
					t.Errorf("%s:%d names %s: %s", name, i+1, rule.what, found)
				}
			}
		}
	})
}
