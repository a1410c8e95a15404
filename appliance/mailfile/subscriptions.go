package mailfile

import (
	"bufio"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// maxSubscriptions bounds a list of subscriptions, in octets.
const maxSubscriptions = 8 << 20

// subscriptions reads what the person's program shows. Cyrus keeps it outside
// of the spool, in a database that is not read.
func (t *Tree) subscriptions() {
	if t.Layout == LayoutFile || t.Layout == LayoutCyrus {
		return
	}
	if t.manifest != nil && t.Layout == LayoutMbox {
		t.Subscribed = t.manifest.Subscribe
		return
	}
	for _, name := range []string{"subscriptions", ".subscriptions", "courierimapsubscribed"} {
		f, err := openRegular(filepath.Join(t.Path, name))
		if err != nil {
			continue
		}
		names := parseSubscriptions(io.LimitReader(f, maxSubscriptions), t.Layout == LayoutMaildirPlus)
		_ = f.Close() // it was only read
		if known := t.known(names); len(known) > 0 {
			t.Subscribed = known
			return
		}
	}
}

// parseSubscriptions reads one name a line; Dovecot's version 2 has a header,
// and a tab between the levels. Dotted says that a dot is, too, in the older form.
func parseSubscriptions(r io.Reader, dotted bool) (names []string) {
	sc := bufio.NewScanner(r)
	tabs := false
	for n := 0; sc.Scan(); n++ {
		line := strings.TrimRight(sc.Text(), "\r")
		if n == 0 && strings.HasPrefix(line, "V\t") {
			tabs = true
			continue
		}
		if line == "" || len(names) >= maxFolders {
			continue
		}
		separator := "/"
		if tabs {
			separator = "\t"
		} else if dotted {
			separator = "."
		}
		levels := strings.Split(line, separator)
		if slices.Contains(levels, "") {
			continue
		}
		for i, level := range levels {
			if tabs {
				level = unescapeTab.Replace(level)
			}
			levels[i] = decodeLevel(level)
		}
		if strings.EqualFold(levels[0], inbox) {
			levels[0] = inbox
		}
		names = append(names, strings.Join(levels, "/"))
	}

	return names
}

// unescapeTab undoes what Dovecot writes for characters that would end a level.
var unescapeTab = strings.NewReplacer("\x011", "\x01", "\x01t", "\t", "\x01r", "\r", "\x01n", "\n", "\x010", "\x00")

// known gives the names that the folders have: a namespace's prefix "INBOX." may
// stand before them, and the export may have changed them.
func (t *Tree) known(names []string) (known []string) {
	have := make(map[string]string, len(t.Folders))
	for _, f := range t.Folders {
		have[f.Name()] = f.Name()
		if t.Layout == LayoutMaildirPlus {
			have[dottedName(t.relative(f.Path))] = f.Name()
		}
	}
	for _, name := range names {
		if _, ok := have[name]; !ok {
			if _, ok := have[strings.TrimPrefix(name, inbox+"/")]; ok {
				name = strings.TrimPrefix(name, inbox+"/")
			}
		}
		if as, ok := have[name]; ok {
			name = as
		}
		if !slices.Contains(known, name) {
			known = append(known, name)
		}
	}

	return known
}

// dottedName is the name that a folder of Maildir++ would have by itself.
func dottedName(base string) string {
	levels := strings.Split(strings.TrimPrefix(base, "."), ".")
	for i := range levels {
		levels[i] = decodeLevel(levels[i])
	}

	return strings.Join(levels, "/")
}
