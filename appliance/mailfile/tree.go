package mailfile

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"pillarbox/appliance/imap/wire"
)

// Layout tells how a person's mailboxes lie in a folder.
type Layout string

// The layouts.
const (
	LayoutMaildirPlus Layout = "maildir++" // ".Archive.2024" beside "cur"
	LayoutMaildirFS   Layout = "maildir"   // "Archive/2024/cur"
	LayoutCyrus       Layout = "cyrus"     // a part of Cyrus's spool
	LayoutMbox        Layout = "mbox"      // files, with those below "Archive" in "Archive.sbd" or "Archive"
	LayoutFile        Layout = "file"      // one file
)

// Bounds of a tree, as storage has them.
const (
	maxFolders = 10_000
	maxDepth   = 50
)

// ErrNoMail says that a folder holds nothing that this package reads.
var ErrNoMail = errors.New("there is no mail in it: neither a Maildir, nor an mbox, nor a spool of Cyrus")

// OwnersError says that a spool holds the mail of several people.
type OwnersError struct{ Owners []string }

func (e *OwnersError) Error() string {
	return "it holds the mail of several people; name one of " + strings.Join(e.Owners, ", ")
}

// Folder is one mailbox of a Tree.
type Folder struct {
	Levels []string // of its name, in UTF-8; {"INBOX"} is INBOX
	Path   string
	Kind   Kind
}

// Name is the folder's name with "/" between the levels, for a person.
func (f *Folder) Name() string { return strings.Join(f.Levels, "/") }

// Tree is a folder with a person's mailboxes, or a file.
type Tree struct {
	Path    string
	Layout  Layout
	Folders []Folder // INBOX first, then by name
	// Subscribed lists the names that the person's program shows; nil if the
	// tree does not tell. Some may not exist.
	Subscribed []string
	// Notes tell a person what was not read.
	Notes []string

	manifest *Manifest
	owner    string
	owners   map[string]bool
}

// OpenTree finds the mailboxes at path. Owner chooses one person of a spool of
// Cyrus, "" the only one.
func OpenTree(path, owner string) (*Tree, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open mail: %w", err)
	}
	t := &Tree{Path: path, owner: owner, owners: map[string]bool{}}
	if !fi.IsDir() {
		s, err := Open(path)
		if err != nil {
			return nil, err
		}
		t.Layout = LayoutFile
		t.Folders = []Folder{{Levels: []string{mboxLevel(filepath.Base(path))}, Path: path, Kind: s.Kind}}

		return t, s.Close()
	}
	if t.manifest, err = ReadManifest(path); err != nil {
		return nil, fmt.Errorf("open mail: %w", err)
	}
	if err := t.walk(path, nil, 0); err != nil {
		return nil, fmt.Errorf("open mail: %s: %w", path, err)
	}
	if len(t.owners) > 1 && owner == "" {
		return nil, fmt.Errorf("open mail: %s: %w", path, &OwnersError{Owners: sortedKeys(t.owners)})
	}
	if len(t.Folders) == 0 {
		return nil, fmt.Errorf("open mail: %s: %w", path, ErrNoMail)
	}
	slices.SortStableFunc(t.Folders, func(a, b Folder) int {
		return cmp.Or(cmp.Compare(notInbox(a), notInbox(b)), slices.Compare(a.Levels, b.Levels))
	})
	t.subscriptions()
	t.missing()

	return t, nil
}

// missing tells what the export's manifest has and the folder has not.
func (t *Tree) missing() {
	if t.manifest == nil {
		return
	}
	if t.manifest.Complete == nil {
		t.note("the export in %s did not come to its end, or found differences: it may lack messages", t.Path)
	}
	there := map[string]bool{}
	for _, f := range t.Folders {
		there[t.relative(f.Path)] = true
	}
	for _, mb := range t.manifest.Mailboxes {
		if path := filepath.FromSlash(mb.Path); mb.Messages > 0 && !there[path] {
			t.note("not there: %s, of which the export says that it holds %q with %d messages", filepath.Join(t.Path, path), mb.Name, mb.Messages)
		}
	}
}

func notInbox(f Folder) int {
	if len(f.Levels) == 1 && f.Levels[0] == inbox {
		return 0
	}

	return 1
}

const inbox = "INBOX"

// walk looks at a folder at levels below the tree's own.
func (t *Tree) walk(dir string, levels []string, depth int) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		if depth == 0 {
			return err
		}
		t.note("not read: %v", err)
		return nil
	}
	if depth > maxDepth {
		t.note("not read: %s: it lies too deep", dir)
		return nil
	}
	here := t.kindOf(dir, list)
	switch here {
	case Maildir:
		t.setLayout(LayoutMaildirFS)
		t.add(dir, levels, Maildir)
	case Cyrus:
		t.setLayout(LayoutCyrus)
		t.addCyrus(dir, levels)
	}
	for _, e := range list {
		if len(t.Folders) > maxFolders {
			return fmt.Errorf("it holds more than %d mailboxes", maxFolders)
		}
		if err := t.entry(dir, e, here, levels, depth); err != nil {
			return err
		}
	}

	return nil
}

func (t *Tree) entry(dir string, e fs.DirEntry, here Kind, levels []string, depth int) error {
	name, path := e.Name(), filepath.Join(dir, e.Name())
	switch {
	case e.Type()&fs.ModeSymlink != 0:
		if !notMail(name) {
			t.note("not read: %s is a symbolic link", path)
		}
	case e.IsDir() && here == Maildir && (name == "cur" || name == "new" || name == "tmp"):
	case e.IsDir() && strings.HasPrefix(name, "."):
		switch {
		case depth > 0:
			if t.isMaildir(path) {
				t.note("not read: %s belongs to the Maildir in %s; give that folder", path, dir)
			}
		case t.maildirPlus(name, path):
			t.Layout = LayoutMaildirPlus
		}
	case e.IsDir() && depth == 0 && here == "" && name == homeMaildir && t.isMaildir(path):
		return t.walk(path, nil, 0)
	case e.IsDir():
		return t.walk(path, append(slices.Clip(levels), t.level(dir, name)), depth+1)
	case e.Type().IsRegular() && here == "":
		t.file(path, name, levels)
	}

	return nil
}

// homeMaildir is where a person's home has their mail: it is their INBOX, with the
// other mailboxes in it.
const homeMaildir = "Maildir"

func (t *Tree) isMaildir(path string) bool {
	list, err := os.ReadDir(path)

	return err == nil && t.kindOf(path, list) == Maildir
}

// kindOf tells what mailbox a folder itself is, if any.
func (t *Tree) kindOf(dir string, list []fs.DirEntry) Kind {
	has := func(name string) bool {
		return slices.ContainsFunc(list, func(e fs.DirEntry) bool { return e.IsDir() && e.Name() == name })
	}
	switch {
	case isCyrus(dir), hasCyrusMessages(list):
		return Cyrus
	case has("cur") && (has("new") || has("tmp")):
		return Maildir
	}

	return ""
}

// maildirPlus adds a folder such as ".Archive.2024".
func (t *Tree) maildirPlus(name, path string) bool {
	if !t.isMaildir(path) {
		return false
	}
	var levels []string
	for level := range strings.SplitSeq(name[1:], ".") {
		if level == "" {
			t.note("not read: %s: a level of its name is empty", path)
			return true
		}
		levels = append(levels, decodeLevel(level))
	}
	t.add(path, levels, Maildir)

	return true
}

// level is a level of a mailbox's name by the name of a folder.
func (t *Tree) level(dir, name string) string {
	if below, ok := strings.CutSuffix(name, ".sbd"); ok && below != "" {
		return latin1(below)
	}
	if t.Layout == LayoutMaildirFS || t.Layout == LayoutMaildirPlus || t.Layout == LayoutCyrus {
		if t.Layout == LayoutCyrus {
			name = strings.ReplaceAll(name, "^", ".")
		}
		return decodeLevel(name)
	}
	// Above the first mailbox the layout is not known yet.
	if list, err := os.ReadDir(filepath.Join(dir, name)); err == nil && t.kindOf(filepath.Join(dir, name), list) != "" {
		return decodeLevel(name)
	}

	return latin1(name)
}

// decodeLevel undoes modified UTF-7; what is none stands for itself.
func decodeLevel(level string) string {
	name, err := wire.DecodeUTF7(level)
	if err != nil {
		name = level
	}

	return latin1(name)
}

// file adds an mbox. Other files are none of ours; an empty one is an empty
// mbox only where its neighbours are mboxes, too, or an index lies beside it.
func (t *Tree) file(path, name string, levels []string) {
	if t.Layout != "" && t.Layout != LayoutMbox {
		return
	}
	if strings.HasPrefix(name, ".") || notMail(name) {
		if beginsAsMbox(path) {
			t.note("not read: %s looks like an mbox, but is called as a mail program's own files are; give it another name if it is mail", path)
		}
		return
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.note("not read: %v", err)
		return
	}
	if fi.Size() == 0 {
		_, err := os.Stat(path + ".msf")
		if err == nil || t.manifest.at(t.relative(path)) != nil {
			t.addMbox(path, name, levels)
		}
		return
	}
	s, err := Open(path)
	if err != nil {
		t.note("not read: %v", err)
		return
	}
	_ = s.Close() // it was only read
	if s.Kind == Mbox {
		t.addMbox(path, name, levels)
	} else {
		t.note("not read: %s is no mbox", path)
	}
}

// beginsAsMbox tells whether a file's first octets are an mbox's.
func beginsAsMbox(path string) bool {
	f, err := openRegular(path)
	if err != nil {
		return false
	}
	defer f.Close()
	first := make([]byte, len("From "))
	_, err = io.ReadFull(f, first)

	return err == nil && string(first) == "From "
}

func (t *Tree) addMbox(path, name string, levels []string) {
	t.setLayout(LayoutMbox)
	levels = append(slices.Clip(levels), mboxLevel(name))
	// Apple Mail exports a folder "Name.mbox" with a file "mbox" in it.
	if n := len(levels); name == "mbox" && n > 1 && strings.HasSuffix(levels[n-2], ".mbox") {
		levels = append(levels[:n-2:n-2], mboxLevel(levels[n-2]))
	}
	t.add(path, levels, Mbox)
}

func mboxLevel(name string) string {
	for _, suffix := range []string{".mbox", ".mbx"} {
		if level, ok := strings.CutSuffix(name, suffix); ok && level != "" {
			name = level
		}
	}

	return latin1(name)
}

// latin1 makes UTF-8 of a name that is none, as if it were Latin-1: no two
// names become one.
func latin1(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	runes := make([]rune, len(name))
	for i := range len(name) {
		runes[i] = rune(name[i])
	}

	return string(runes)
}

// notMail tells of names that belong to the files of a mail program.
func notMail(name string) bool {
	switch filepath.Ext(name) {
	case ".msf", ".dat", ".html", ".json", ".sqlite", ".db", ".plist", ".log", ".mozmsgs", ".partial", ".lock":
		return true
	}

	return name == ManifestName || name == "subscriptions" || strings.HasPrefix(name, "dovecot")
}

func (t *Tree) addCyrus(dir string, levels []string) {
	header := readCyrusHeader(dir)
	owner, below, ok := cyrusMailbox(header.name)
	if !ok { // older versions: the folders are the name
		owner, below = t.cyrusPath(levels)
	}
	if owner != "" {
		t.owners[owner] = true
		if t.owner != "" && !strings.EqualFold(owner, t.owner) {
			return
		}
	}
	for i := range below {
		below[i] = decodeLevel(below[i])
	}
	t.add(dir, below, Cyrus)
}

// cyrusPath finds "user" and a person among the folders above.
func (t *Tree) cyrusPath(levels []string) (owner string, below []string) {
	if i := slices.Index(levels, "user"); i >= 0 && i+1 < len(levels) {
		return levels[i+1], slices.Clone(levels[i+2:])
	}

	return "", slices.Clone(levels)
}

func (t *Tree) add(path string, levels []string, kind Kind) {
	if known := t.manifest.at(t.relative(path)); known != nil {
		levels = strings.Split(known.Name, "/")
	}
	if len(levels) == 0 {
		levels = []string{inbox}
	}
	if strings.EqualFold(levels[0], inbox) {
		levels = append([]string{inbox}, levels[1:]...)
	}
	t.Folders = append(t.Folders, Folder{Levels: levels, Path: path, Kind: kind})
}

func (t *Tree) relative(path string) string {
	rel, err := filepath.Rel(t.Path, path)
	if err != nil {
		return path
	}

	return rel
}

func (t *Tree) setLayout(l Layout) {
	if t.Layout == "" {
		t.Layout = l
	}
}

// maxNotes bounds what a person is told.
const maxNotes = 200

func (t *Tree) note(format string, args ...any) {
	if len(t.Notes) < maxNotes {
		t.Notes = append(t.Notes, fmt.Sprintf(format, args...))
	}
}

// Open opens one of the tree's folders.
func (t *Tree) Open(f Folder) (*Source, error) {
	promised := t.manifest.at(t.relative(f.Path))
	var s *Source
	var err error
	switch f.Kind {
	case Maildir:
		s, err = openMaildir(f.Path)
	case Cyrus:
		s, err = openCyrus(f.Path)
	default:
		s, err = Open(f.Path)
		if errors.Is(err, ErrEmpty) {
			s, err = &Source{Path: f.Path, Kind: Mbox}, nil
		}
		if err == nil && promised != nil {
			s.UIDValidity, s.UIDNext = promised.UIDValidity, promised.UIDNext
		}
	}
	if err == nil && promised != nil {
		s.promise(promised)
	}

	return s, err
}

func sortedKeys(m map[string]bool) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)

	return keys
}
